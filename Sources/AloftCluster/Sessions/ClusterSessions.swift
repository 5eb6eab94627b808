package import AloftEngine
import AloftMembership
package import AloftSession
import Glibc

/// A node's part in the cluster's sessions: the store that all nodes have alike, the owner of this
/// node's slots, and the ways between them, the log and the other nodes.
///
/// A write goes to the node that owns the session's slot. All that is written there in one turn of
/// the loop becomes one entry of the log, and several entries are on their way at a time. Only the
/// log's leader can propose, so other owners send it their entries, and are told what has become of
/// them as soon as the leader has applied them. Whoever is asked for a session of another node's
/// asks that node.
///
/// On the node's home loop alone.
package final class ClusterSessions: TurnEndHandler, @unchecked Sendable {
  // @unchecked: used on the home loop alone.
  package let store: SessionStore
  package let owner: SessionOwner
  package let limits: SessionLimits
  /// What makes texts of session's numbers; nil until the cluster has its secret.
  package internal(set) var keys: SessionKeys?
  /// Told of what happens to this node's sessions.
  package var onNews: ((SessionNews) -> Void)? {
    didSet { owner.tellsNews = onNews != nil }
  }
  package internal(set) var statistics = SessionStatistics()
  unowned var node: ClusterNode!
  package private(set) var hasStopped = false
  var secret: [UInt8]?
  var isSecretProposed = false

  // Who waits for an answer of the owner, by token.
  var askers: [Asker?] = []
  var freeAskers: [Int] = []

  /// As of the core's last event. To ask the core itself costs a copy of it.
  var acceptsUntil: UInt64 = 0

  // Entries on their way.
  var lastVerdict: SessionVerdict?
  /// Entries of other nodes that this node has proposed, by token.
  var forwarded: [UInt64: IncomingCall] = [:]
  var forwardedMade: UInt64 = 0
  var onTheirWay = 0
  /// The link to the leader has no room.
  var isBlocked = false
  /// Counts changes of the leader: what came before says nothing about what is sent now.
  var leadership: UInt64 = 0
  var leader = Leadership()

  // Requests of this node that wait for a better time.
  var held: [SessionAsk] = []
  var attachments: [UInt64: Attachment] = [:]
  var attachmentsMade: UInt64 = 0
  /// Programs of this node's that wait for events.
  var watching: [SessionID: [NodeSubscription]] = [:]
  /// Told of the sessions that this node serves.
  var desk: SessionDesk?
  /// By number: slots that this node serves.
  private(set) var readySlots = [Bool](repeating: false, count: Slot.count)
  /// Who waits for keys, or for a slot.
  var readyWaiters: [() -> Bool] = []

  var randomWords: [UInt64] = []
  static let randomWordsKept = 32
  private var loadsAt: UInt64 = 0
  private var isDue = false
  private var isTelling = false
  var epoch = Epoch(rawValue: 0)
  var attachedEpoch = Epoch(rawValue: 0)
  var snapshot: SnapshotWriter?
  /// Wall-clock milliseconds at the beginning, less the monotonic clock's.
  private static func wallOffset() -> UInt64 {
    var wall = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &wall)
    let milliseconds = UInt64(wall.tv_sec) &* 1_000 &+ UInt64(wall.tv_nsec) / 1_000_000
    return milliseconds &- ClusterNode.now() / 1_000_000
  }

  /// Who the entries go to.
  struct Leadership: Equatable {
    var id: NodeID?
    var term = Term(rawValue: 0)
    var isSelf = false
  }

  init(_ limits: SessionLimits, lease: UInt64) {
    self.limits = limits
    store = SessionStore(limits: limits)
    owner = SessionOwner(
      store: store, limits: limits, wallOffsetMs: Self.wallOffset(), lease: lease)
    super.init()
  }

  // MARK: What the node tells

  /// Something may have changed in the core: after each of its events.
  func coreChanged() {
    let core = node.core
    acceptsUntil = core.acceptsUntil
    let isAccepting = core.isAccepting
    if owner.isAccepting != isAccepting {
      owner.isAccepting = isAccepting
      if isAccepting { retryHeld() }
      due()
    }
    let now = Leadership(id: core.leader, term: core.term, isSelf: core.isLeader)
    guard now != leader else { return }
    leader = now
    leadership += 1
    isBlocked = false
    onTheirWay = 0
    isSecretProposed = false
    owner.leaderChanged(now: ClusterNode.now())
    due()
  }

  /// Who votes in the log has changed.
  func votersChanged(_ members: [LogMember]) {
    owner.voters = members.count { $0.role == .voter }
  }

  /// That process is dead: nothing of it will come.
  func isGone(_ id: NodeID, _ incarnation: Incarnation) {
    owner.isGone(id, incarnation, now: ClusterNode.now())
    slotsMoved()
  }

  /// An entry of the cluster's own was applied.
  func clusterApplied(index: UInt64) {
    guard node.core.state.epoch != epoch || node.core.identity != knownIdentity else {
      return owner.skip(to: index)
    }
    clusterChanged(index: index)
  }

  private var knownIdentity = NodeIdentity.none

  func clusterChanged(index: UInt64) {
    let core = node.core
    epoch = core.state.epoch
    knownIdentity = core.identity
    owner.clusterChanged(core.state, index: index, identity: core.identity, now: ClusterNode.now())
    announce()
    slotsMoved()
  }

  /// Slots may have become ready, or another's.
  func slotsMoved() {
    while let event = owner.nextSlotEvent() { slotEvent(event) }
    attachAgain()
    retryHeld()
    becameReady()
    due()
  }

  private func slotEvent(_ event: SlotEvent) {
    switch event {
    case .ready(let slot):
      statistics.slotsGained += 1
      readySlots[Int(slot.rawValue)] = true
      desk?.ready(slot)
    case .lost(let slot):
      statistics.slotsLost += 1
      readySlots[Int(slot.rawValue)] = false
      desk?.lost(slot)
    }
  }

  /// Each tick of the node.
  func tick() {
    let now = ClusterNode.now()
    _ = owner.tick(now: now)
    if leader.isSelf {
      proposeSecret()
      // Slots are spread by what is on them; what was so a while ago is near enough.
      if now >= loadsAt {
        loadsAt = now + 100_000_000
        node.core.slotLoads = store.slotLoads
      }
    }
    slotsMoved()
    endOverdue(now)
    tellOfOthers()
  }

  // MARK: The turn's end

  /// There is something to be sent, or told, when this turn ends.
  func due() {
    guard !isDue else { return }
    isDue = true
    node.loop.whenTurnEnds(self)
  }

  package override func turnEnds() {
    isDue = false
    // The node may be gone, in the very turn that it stopped in.
    guard !hasStopped else { return }
    sendEntries()
    tellAnswers()
    published()
  }

  /// Hands out what the owner has answered. Whoever is told may ask for more.
  func tellAnswers() {
    if isTelling { return }
    isTelling = true
    while let answer = owner.nextAnswer() { tell(answer) }
    isTelling = false
    guard let onNews else { return }
    while let news = owner.nextNews() { onNews(news) }
  }

  /// The node has come to its end: nobody is left waiting.
  func stop() {
    hasStopped = true
    onNews = nil
    desk?.stop()
    desk = nil
    let waiting = askers
    askers = []
    freeAskers = []
    for case .local(let ask)? in waiting { ask.answer(SessionOutcome(.uncertain), nil) }
    let asks = held
    held = []
    for ask in asks { ask.answer(ask.lastOutcome, nil) }
    attachments = [:]
    watching = [:]
    let waiters = readyWaiters
    readyWaiters = []
    for attempt in waiters { _ = attempt() }
  }
}

/// What has happened to a node's sessions.
package struct SessionStatistics: Hashable, Sendable {
  /// Entries that this node has put together, and those among them that were sent again.
  package var entries: UInt64 = 0
  package var entriesFailed: UInt64 = 0
  /// Entries of other nodes that this node has proposed as leader.
  package var entriesForwarded: UInt64 = 0
  /// Requests that were passed on to the owner, and those that came.
  package var requestsOut: UInt64 = 0
  package var requestsIn: UInt64 = 0
  package var requestsHeld: UInt64 = 0
  /// Reads with a token that this node could answer by itself.
  package var readsHere: UInt64 = 0
  package var slotsGained: UInt64 = 0
  package var slotsLost: UInt64 = 0
  package var snapshots: UInt64 = 0
}
