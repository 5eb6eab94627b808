internal import AloftMembership
internal import AloftSession

/// The sessions of a simulated process: the owner that real nodes have, and what it needs of others.
final class SimSessions {
  /// Marks the log's tokens that are of sessions.
  static let tokenBit: UInt64 = 1 << 63
  /// For how long an entry's verdict is waited for.
  static let patience: UInt64 = 400_000_000

  let owner: SessionOwner
  var nextToken: UInt64 = 1
  /// On a leader: who waits for what a proposal comes to.
  var proposals: [UInt64: (origin: Int, life: Int, sequence: UInt64)] = [:]
  /// On a leader: verdicts by index, until the log says that it was ours to give.
  var verdicts: [UInt64: SessionVerdict] = [:]
  /// When entries that are on their way were sent.
  var sentAt: [UInt64: UInt64] = [:]
  /// Whose requests wait for an answer of the log.
  var waiting: [UInt64: Int] = [:]
  var announcedAt: UInt64 = 0

  init(limits: SessionLimits, faults: Set<SessionFault>, lease: UInt64) {
    owner = SessionOwner(
      store: SessionStore(limits: limits, faults: faults), limits: limits,
      wallOffsetMs: 1_600_000_000_000, lease: lease)
    owner.voters = 3
  }

  static var limits: SessionLimits {
    var limits = SessionLimits()
    limits.sessionsMax = 256
    limits.entryBytesMax = 400
    limits.entriesInFlightMax = 3
    limits.queuedBytesMax = 4_000
    return limits
  }
}

enum SimSessionPacket {
  /// To whoever leads: put this into the log.
  case entry([UInt8], sequence: UInt64, from: Int, life: Int)
  /// Back: what it came to, or nil for not.
  case verdict(SessionVerdict?, sequence: UInt64, life: Int)
  /// I know of this change of members or slots.
  case announce(NodeID, Incarnation, Epoch)
  /// A client's, passed on so many times.
  case request(SimSessionRequest, hops: Int)
}

struct SimSessionRequest {
  enum Kind {
    case write(SessionRequest)
    case read(SessionID)
    /// At whatever node, not back behind what was seen.
    case localRead(SessionID, token: UInt64)
  }

  var client: Int
  /// The client's own number for this try.
  var number: UInt64
  var kind: Kind
}

enum SimSessionReply {
  case outcome(SessionOutcome)
  case state([UInt8], version: UInt64)
}

enum SimSessionEvent {
  case begin(client: Int)
  case reply(client: Int, number: UInt64, SimSessionReply)
  case silence(client: Int, number: UInt64)
}

extension ClusterSim {
  func startSessions(_ node: SimNode) {
    guard options.sessions > 0, let core = node.core else { return }
    node.sessions = SimSessions(
      limits: SimSessions.limits, faults: options.sessionFaults, lease: core.options.lease)
  }

  // MARK: The log

  func applySession(_ node: SimNode, _ index: UInt64, _ entry: [UInt8]) {
    guard let sessions = node.sessions else { return }
    let verdict = unsafe entry.withUnsafeBytes {
      unsafe sessions.owner.apply(index: index, entry: $0, now: now)
    }
    sessions.verdicts[index] = verdict
    if sessions.verdicts.count > 64 { sessions.verdicts[index - 64] = nil }
  }

  func clusterApplied(_ node: SimNode, _ index: UInt64) {
    guard let sessions = node.sessions, let core = node.core else { return }
    let epoch = sessions.owner.epoch
    sessions.owner.clusterChanged(core.state, index: index, identity: life(core), now: now)
    sessions.owner.skip(to: index)
    while sessions.owner.nextSlotEvent() != nil {}
    if sessions.owner.epoch != epoch { announce(node) }
  }

  /// Which life this is by the log; a core that was convicted still says what it was.
  private func life(_ core: ClusterCore) -> NodeIdentity {
    core.state.isCurrent(core.identity.id, core.identity.incarnation) ? core.identity : .none
  }

  private func announce(_ node: SimNode) {
    guard let sessions = node.sessions, let core = node.core else { return }
    sessions.announcedAt = now
    let me = sessions.owner.identity
    guard me != .none else { return }
    for member in core.state.members where member.isAlive && member.id != me.id {
      guard let to = node.wanted[member.id].flatMap({ Int($0.address) }) else { continue }
      send(.session(.announce(me.id, me.incarnation, sessions.owner.epoch)), node.number, to)
    }
  }

  /// The cluster's state, and the sessions' behind it.
  func snapshot(_ node: SimNode, _ state: ClusterState) -> [UInt8] {
    guard let store = node.sessions?.owner.store else { return state.snapshot }
    let first = state.snapshot
    var bytes = (0..<4).map { UInt8(truncatingIfNeeded: first.count >> (8 * $0)) } + first
    store.beginSnapshot()
    while let piece = store.nextPiece(bytesMax: 1_000) { bytes += piece }
    return bytes
  }

  func restore(_ node: SimNode, _ index: UInt64, _ snapshot: [UInt8]) {
    guard let sessions = node.sessions else {
      return handle(node, .restored(index: index, snapshot: snapshot))
    }
    let length = (0..<4).reduce(0) { $0 | Int(snapshot[$1]) << (8 * $1) }
    var restorer = SessionRestorer(limits: SimSessions.limits)
    do {
      unsafe try snapshot[(4 + length)...].withUnsafeBytes { unsafe try restorer.take($0) }
      let store = try restorer.finish()
      handle(node, .restored(index: index, snapshot: Array(snapshot[4..<4 + length])))
      guard node.sessions === sessions, let core = node.core else { return }
      sessions.owner.restore(store, now: now)
      sessions.owner.clusterChanged(core.state, index: index, identity: life(core), now: now)
      sessions.owner.skip(to: index)
      while sessions.owner.nextSlotEvent() != nil {}
      announce(node)
    } catch {
      violate("n\(node.number) can't read a snapshot of sessions")
    }
  }

  func proposed(_ node: SimNode, _ token: UInt64, _ outcome: LogOutcome) {
    guard let sessions = node.sessions, let waiter = sessions.proposals.removeValue(forKey: token)
    else { return }
    var verdict: SessionVerdict?
    if case .committed(let index) = outcome { verdict = sessions.verdicts[index] }
    if waiter.origin == node.number {
      if verdict == nil { sessions.owner.entryFailed(waiter.sequence, now: now) }
      sessions.sentAt[waiter.sequence] = nil
      return
    }
    let packet = SimSessionPacket.verdict(verdict, sequence: waiter.sequence, life: waiter.life)
    send(.session(packet), node.number, waiter.origin)
  }

  private func propose(
    _ node: SimNode, _ entry: [UInt8], _ sequence: UInt64, origin: Int, life: Int
  ) {
    guard let sessions = node.sessions else { return }
    let token = SimSessions.tokenBit | sessions.nextToken
    sessions.nextToken += 1
    sessions.proposals[token] = (origin, life, sequence)
    node.raft?.propose(.command(entry), token: token, now: now)
  }

  // MARK: The owner

  /// Gives out what the owner has; true when the log has something to do.
  func pumpSessions(_ node: SimNode) -> Bool {
    guard let sessions = node.sessions, let core = node.core else { return false }
    var isBusy = false
    while let entry = sessions.owner.takeEntry(now: now) {
      sessions.sentAt[entry.sequence] = now
      if core.isLeader {
        propose(node, entry.bytes, entry.sequence, origin: node.number, life: node.life)
        isBusy = true
      } else if let to = core.leader.flatMap({ node.wanted[$0] }).flatMap({ Int($0.address) }) {
        let packet = SimSessionPacket.entry(
          entry.bytes, sequence: entry.sequence, from: node.number, life: node.life)
        send(.session(packet), node.number, to)
      } else {
        sessions.owner.entryFailed(entry.sequence, now: now)
      }
    }
    while let answer = sessions.owner.nextAnswer() {
      guard let client = sessions.waiting.removeValue(forKey: answer.token) else { continue }
      reply(client, answer.token, .outcome(answer.outcome))
    }
    return isBusy
  }

  func tickSessions(_ node: SimNode) {
    guard let sessions = node.sessions, let core = node.core else { return }
    sessions.owner.isAccepting = core.accepts(now: now)
    _ = sessions.owner.tick(now: now)
    while sessions.owner.nextSlotEvent() != nil {}
    for (sequence, at) in sessions.sentAt.sorted(by: { $0.key < $1.key })
    where now > at + SimSessions.patience {
      sessions.sentAt[sequence] = nil
      sessions.owner.entryFailed(sequence, now: now)
    }
    if now >= sessions.announcedAt + 100_000_000 { announce(node) }
  }

  func arrive(_ node: SimNode, _ core: ClusterCore, _ packet: SimSessionPacket) {
    guard let sessions = node.sessions else { return }
    sessions.owner.isAccepting = core.accepts(now: now)
    switch packet {
    case .entry(let bytes, let sequence, let from, let life):
      propose(node, bytes, sequence, origin: from, life: life)
    case .verdict(let verdict, let sequence, let life):
      guard life == node.life else { return }
      sessions.sentAt[sequence] = nil
      if let verdict {
        sessions.owner.entryDone(sequence, verdict, now: now)
      } else {
        sessions.owner.entryFailed(sequence, now: now)
      }
    case .announce(let id, let incarnation, let epoch):
      sessions.owner.announced(by: id, incarnation, epoch: epoch, now: now)
      while sessions.owner.nextSlotEvent() != nil {}
    case .request(let request, let hops): serve(node, sessions, request, hops)
    }
    drain(node)
  }

  private func serve(
    _ node: SimNode, _ sessions: SimSessions, _ request: SimSessionRequest, _ hops: Int
  ) {
    var refusal: SessionOutcome?
    let owner = sessions.owner
    func answer(_ reading: SessionReading) {
      switch reading {
      case .found(let ref):
        let (state, version) = (owner.store.state(ref), owner.store.version(ref))
        reply(request.client, request.number, .state(state, version: version))
      case .refused(let outcome): refusal = outcome
      }
    }
    switch request.kind {
    case .write(let write):
      refusal = owner.submit(write, token: request.number, now: now)
      if refusal == nil { sessions.waiting[request.number] = request.client }
    case .read(let id): answer(owner.read(id, by: .anyone, now: now))
    case .localRead(let id, let token):
      answer(owner.store.read(id, by: .anyone, token: token))
    }
    guard let refusal else { return }
    // Any node answers for any session: it passes on what isn't its own.
    if refusal.code == .moved, hops < 3,
      let to = node.wanted[NodeID(rawValue: UInt8(refusal.number))].flatMap({ Int($0.address) })
    {
      return send(.session(.request(request, hops: hops + 1)), node.number, to)
    }
    reply(request.client, request.number, .outcome(refusal))
  }

  private func reply(_ client: Int, _ number: UInt64, _ reply: SimSessionReply) {
    if !isHealed, random.chance(options.loss) { return }
    later(.session(.reply(client: client, number: number, reply)), options.delay)
  }
}
