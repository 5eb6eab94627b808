import AloftMembership
import AloftSim

@testable import AloftSession

/// A node of a ``SessionWorld``.
final class WorldNode {
  var identity: NodeIdentity
  var owner: SessionOwner
  var cluster = ClusterState()
  /// How much of the log it has applied, and what of it the verdicts were.
  var applied = 0
  var verdicts: [String: SessionVerdict] = [:]

  init(_ world: SessionWorld, _ identity: NodeIdentity) {
    self.identity = identity
    owner = world.makeOwner()
  }

  var store: SessionStore { owner.store }
}

/// Nodes with owners on one log, which is an array here: entries get lost on their way to it, come
/// twice and late; nodes lag behind; verdicts overtake the log. No time passes but what is told.
final class SessionWorld {
  var random: SimRandom
  let limits: SessionLimits
  let faults: Set<SessionFault>
  var now: UInt64 = 1_000_000_000
  var log: [[UInt8]] = []
  var nodes: [WorldNode] = []
  var proposals: UInt64 = 0
  var births: UInt64 = 0
  static let lease: UInt64 = 250_000_000

  init(
    seed: UInt64 = 1, nodes count: Int = 3, limits: SessionLimits = SessionWorld.limits,
    faults: Set<SessionFault> = []
  ) {
    random = SimRandom(seed: seed)
    self.limits = limits
    self.faults = faults
    for number in 0..<count { admit("n\(number)") }
    spread()
    for node in nodes {
      catchUp(node)
      node.owner.isAccepting = true
      node.owner.voters = 3
    }
    announce()
  }

  static var limits: SessionLimits {
    var limits = SessionLimits()
    limits.sessionsMax = 1 << 12
    limits.entryBytesMax = 2_000
    limits.entryOperationsMax = 16
    limits.entriesInFlightMax = 4
    limits.queuedBytesMax = 64 << 10
    limits.closedRetentionMs = 5_000
    return limits
  }

  func makeOwner() -> SessionOwner {
    SessionOwner(
      store: SessionStore(limits: limits, faults: faults), limits: limits,
      wallOffsetMs: 1_000_000_000_000, lease: Self.lease)
  }

  // MARK: The cluster

  func propose(_ command: ClusterCommand) {
    proposals += 1
    let proposer = cluster.members.first { $0.isAlive }?.incarnation ?? Incarnation(rawValue: 0)
    log.append(
      ClusterProposal(proposer: proposer, sequence: proposals, command: command).bytes)
  }

  /// As of the end of the log.
  var cluster: ClusterState {
    while clusterLength < log.count {
      clusterLength += 1
      let entry = log[clusterLength - 1]
      if entry.first == LogEntryKind.cluster {
        _ = latest.apply(index: UInt64(clusterLength), entry: entry)
      }
    }
    return latest
  }

  private var latest = ClusterState()
  private var clusterLength = 0

  func admit(_ name: String, former: NodeIdentity = .none) {
    births += 1
    let description = MemberDescription(name: name, address: name)
    if log.isEmpty {
      log.append(
        ClusterProposal(
          proposer: Incarnation(rawValue: 0), sequence: 1,
          command: .found(cluster: 7, description, birth: births)
        ).bytes)
    } else {
      log.append(
        ClusterProposal(
          proposer: Incarnation(rawValue: 0), sequence: 1,
          command: .admit(description, birth: births, former: former)
        ).bytes)
    }
    guard let member = cluster.member(named: name) else { return }
    let identity = NodeIdentity(
      cluster: cluster.cluster, id: member.id, incarnation: member.incarnation)
    if let node = nodes.first(where: { $0.identity.id == identity.id }) {
      node.identity = identity
    } else {
      nodes.append(WorldNode(self, identity))
    }
  }

  /// Slots to all who live, evenly.
  func spread() {
    let state = cluster
    let plan = Placement.plan(
      from: state.slots, nodes: Placement.nodes(state.members.filter(\.isAlive)))
    let runs = plan.changes(since: state.slots)
    if !runs.isEmpty { propose(.assignSlots(base: state.epoch, runs)) }
  }

  func give(_ slot: Slot, to node: WorldNode) {
    let run = SlotRun(first: slot, count: 1, owner: node.identity.id)
    propose(.assignSlots(base: cluster.epoch, [run]))
  }

  func owner(of slot: Slot) -> WorldNode? {
    let owner = cluster.slots[slot]
    return nodes.first { $0.identity.id == owner }
  }

  // MARK: Applying

  func step(_ node: WorldNode) {
    guard node.applied < log.count else { return }
    node.applied += 1
    let (index, entry) = (UInt64(node.applied), log[node.applied - 1])
    if entry.first == LogEntryKind.cluster {
      _ = node.cluster.apply(index: index, entry: entry)
      node.owner.clusterChanged(node.cluster, index: index, identity: own(node), now: now)
      node.owner.skip(to: index)
    } else {
      let verdict = entry.withUnsafeBytes {
        node.owner.apply(index: index, entry: $0, now: now)
      }
      if let header = entry.withUnsafeBytes({ try? SessionEntryHeader(entry: $0) }),
        verdict.kind == .applied
      {
        node.verdicts["\(header.incarnation.rawValue)/\(header.sequence)"] = verdict
      }
    }
  }

  /// Its life, as far as it has applied the log.
  private func own(_ node: WorldNode) -> NodeIdentity {
    let member = node.cluster[node.identity.id]
    guard let member, member.isAlive else { return .none }
    return NodeIdentity(
      cluster: node.cluster.cluster, id: member.id, incarnation: member.incarnation)
  }

  func catchUp(_ node: WorldNode) { while node.applied < log.count { step(node) } }

  func announce() {
    for node in nodes {
      for other in nodes where other !== node {
        other.owner.announced(
          by: node.owner.identity.id, node.owner.identity.incarnation, epoch: node.owner.epoch,
          now: now)
      }
    }
  }

  /// Everything that waits goes into the log and is applied everywhere.
  func settle() {
    for _ in 0..<100 {
      var isQuiet = true
      for node in nodes {
        while let entry = node.owner.takeEntry(now: now) {
          log.append(entry.bytes)
          isQuiet = false
        }
      }
      for node in nodes where node.applied < log.count {
        catchUp(node)
        isQuiet = false
      }
      announce()
      if isQuiet { return }
    }
  }

  func sleep(ms: UInt64) {
    let end = now + ms * 1_000_000
    while now < end {
      now = min(end, now + 100_000_000)
      for node in nodes { _ = node.owner.tick(now: now) }
      settle()
    }
  }

  // MARK: Asking

  func id(_ number: UInt64, slot: UInt16 = 5) -> SessionID {
    SessionID(
      high: number &* 0x9e37_79b9_7f4a_7c15, low: number &* 0xbf58_476d_1ce4_e5b9,
      slot: Slot(rawValue: slot))
  }

  /// Asks the owner, and waits for the answer.
  func ask(
    _ id: SessionID, _ operation: SessionOperation, key: UInt64 = 0, expected: UInt64? = nil,
    by principal: Principal = .anyone
  ) -> SessionOutcome {
    guard let slot = id.slot, let node = owner(of: slot) else { return SessionOutcome(.moved) }
    let request = SessionRequest(
      id: id, principal: principal, key: key, expected: expected, operation: operation)
    if let outcome = node.owner.submit(request, token: 77, now: now) { return outcome }
    settle()
    while let answer = node.owner.nextAnswer() {
      if answer.token == 77 { return answer.outcome }
    }
    return SessionOutcome(.uncertain)
  }
}
