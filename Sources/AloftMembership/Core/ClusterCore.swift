/// How a node begins.
package enum ClusterStart: Hashable, Sendable {
  /// Its data directory is empty and there is nobody to ask: it is a cluster of one.
  case found
  /// Its data directory is empty; these are addresses of nodes that may be in a cluster.
  case join(seeds: [String])
  /// It was let in before: what `ClusterAction.keep` and `keepContacts` wrote down last, and
  /// addresses to ask at.
  case resume(NodeIdentity, contacts: [Contact], seeds: [String])
}

/// A node's mind: who is in the cluster, who leads, who is dead, who owns what, and whether this
/// node may accept anything.
///
/// Pure and synchronous. Events come in by `handle`, with the time in nanoseconds, which never goes
/// back; what is to be done comes out of `nextAction`, in order. What all nodes must agree on goes
/// through the log and is in `state`; all else is this node's own view. Only a leader proposes what
/// nobody asked for. Each of its duties follows from the state as it is, so one that was lost on
/// the way is found due again, and nothing has to be remembered of it.
package struct ClusterCore {
  enum Phase: Hashable {
    case new
    /// Asks to be let in, without a log.
    case joining
    /// Has its log, as a life that the log hasn't told it of yet.
    case arriving
    /// Has its log, and a life that is over; asks for another.
    case returning
    case member
    case stopped
  }

  package let options: ClusterOptions
  package let description: MemberDescription
  /// What all nodes know alike, as of the last entry applied.
  package internal(set) var state = ClusterState()
  /// Which node this is, in which life; goes into all that it sends.
  package internal(set) var identity = NodeIdentity.none
  package internal(set) var leader: NodeID?
  package internal(set) var term = Term(rawValue: 0)
  package internal(set) var isLeader = false
  package internal(set) var isAccepting = false
  /// Until when it may accept, on the clock that it is told: for who can't wait to hear that the
  /// time is over.
  package var acceptsUntil: UInt64 { isAccepting ? lease.until : 0 }
  /// The log's own configuration, as far as this node knows.
  package internal(set) var logMembers: [LogMember] = []
  /// Sessions by slot, or none: what a leader that spreads slots takes into account.
  package var slotLoads: [UInt32] = []

  var phase = Phase.new
  var now: UInt64 = 0
  /// When the phase began.
  var phaseAt: UInt64 = 0
  /// When this node last accepted.
  var acceptedAt: UInt64 = 0
  var lastTick: UInt64?
  /// This life's own number.
  var birth: UInt64 = 0
  var joining: Joining
  var detector: FailureDetector
  var lease = Lease()
  var duties = Duties()
  var requests = Requests()
  /// To whom links are kept.
  var links: [NodeID: Contact] = [:]

  private let start: ClusterStart
  private var random: UInt64
  private var actions: [ClusterAction] = []
  private var actionsTaken = 0

  package init(
    description: MemberDescription, options: ClusterOptions = .default, seed: UInt64,
    start: ClusterStart
  ) {
    precondition(description.isValid, "a name, an address or a zone is too long, or missing")
    self.description = description
    self.options = options
    self.start = start
    random = seed
    detector = FailureDetector(options.detector)
    switch start {
    case .found: joining = Joining(seeds: [])
    case .join(let seeds), .resume(_, _, let seeds): joining = Joining(seeds: seeds)
    }
  }

  /// What is to be done next; nil when nothing is left.
  package mutating func nextAction() -> ClusterAction? {
    guard actionsTaken < actions.count else {
      actions.removeAll(keepingCapacity: true)
      actionsTaken = 0
      return nil
    }
    actionsTaken += 1
    return actions[actionsTaken - 1]
  }

  mutating func act(_ action: ClusterAction) {
    if phase != .stopped { actions.append(action) }
  }

  /// Something has happened, at this time.
  package mutating func handle(_ event: ClusterEvent, now time: UInt64) {
    guard phase != .stopped else { return }
    now = max(now, time)
    switch event {
    case .started: begin()
    case .tick: tick()
    case .linkUp(let id, let incarnation): detector.linkUp(id, incarnation, now: now)
    case .linkDown(let id, let incarnation): detector.linkDown(id, incarnation)
    case .probed(let id, let incarnation, let result): detector.probed(id, incarnation, result)
    case .heard(let id, let incarnation): detector.heard(id, incarnation, now: now)
    case .delayed(let delay): detector.delayed(by: delay)
    case .received(let source, let envelope): received(envelope, from: source)
    case .applied(let index, let entry): applied(index, entry)
    case .restored(_, let snapshot): restored(snapshot)
    case .leaderChanged(let leader, let term, let isSelf): changed(leader, term, isSelf)
    case .proposed(let token, let outcome): proposed(token, outcome)
    case .logMembers(let members):
      logMembers = members
      duties.isDue = true
      updateLinks()
    case .logEnded(let reason): stop(.logEnded(reason))
    case .requested(let request, let token): requested(request, token)
    }
    settle()
  }

  /// What follows from an event: verdicts first, for duties come of them.
  private mutating func settle() {
    guard phase != .stopped else { return }
    if detector.hasVerdicts { actOnVerdicts() }
    if duties.isDue { performDuties() }
    if isLeader { beatIfDue() }
    updateAccepting()
  }

  private mutating func begin() {
    precondition(phase == .new, "started twice")
    birth = word()
    switch start {
    case .found:
      identity = NodeIdentity(
        cluster: word() | 1, id: NodeID(rawValue: 1), incarnation: Incarnation(rawValue: 0))
      enter(.returning)
      act(.keep(identity))
      act(.startLog(identity, isFounder: true))
    case .join:
      enter(.joining)
      askToJoin()
    case .resume(let identity, let contacts, _):
      self.identity = identity
      enter(.returning)
      for contact in contacts where contact.id != identity.id {
        links[contact.id] = contact
        act(.connect(contact.id, contact.incarnation, address: contact.address))
      }
      act(.startLog(identity, isFounder: false))
    }
  }

  mutating func enter(_ next: Phase) {
    phase = next
    phaseAt = now
  }

  mutating func stop(_ end: ClusterEnd) {
    if isAccepting {
      isAccepting = false
      act(.accepting(false))
    }
    for request in requests.takeAll() { act(.answered(token: request.token, .unknown)) }
    act(.stopped(end))
    phase = .stopped
  }

  private mutating func tick() {
    // Ticks that come late say that this loop was: what it missed meanwhile proves nothing.
    if let lastTick, now > lastTick + options.tick {
      detector.delayed(by: now - lastTick - options.tick)
    }
    lastTick = now
    detector.tick(now: now)
    if phase == .joining || phase == .returning || isDeaf { askToJoin() }
    retryRequests()
    duties.isDue = isLeader
  }

  /// SplitMix64 (Steele, Lea and Flood, 2014).
  mutating func word() -> UInt64 {
    random &+= 0x9E37_79B9_7F4A_7C15
    var z = random
    z = (z ^ z &>> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z &>> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z &>> 31
  }

  func envelope(_ message: ClusterMessage) -> ClusterEnvelope {
    ClusterEnvelope(sender: identity, epoch: state.epoch, message: message)
  }
}
