internal import AloftMembership
internal import AloftSession

/// A simulated cluster: up to 100 nodes, each with the core that real nodes have and a log, and all
/// that can befall them, from one seed. After each step what must always hold is held against it;
/// at the end everything heals, and all have to come to rest.
///
/// ```swift
/// let result = ClusterSim(seed: 1).run()
/// ```
package final class ClusterSim {
  let options: ClusterSimOptions
  let seed: UInt64
  var random: SimRandom
  var now: UInt64 = 1_000_000_000
  var agenda = SimEvents()
  var nodes: [SimNode] = []
  var result: ClusterSimResult
  /// Pairs, from and to, between which nothing passes.
  var cuts: Set<Int> = []
  var isHealed = false
  var nextData: UInt64 = 1
  var nextWeight: UInt16 = 50
  var nextToken: UInt64 = 0
  var isFounded = false
  /// Numbers whose disks are no more.
  var lost: Set<NodeID> = []
  /// The log's members by the last entry that was committed.
  var configuration: (index: UInt64, members: [LogMember])?

  // What must always hold.
  var committed: [UInt64: SimEntry] = [:]
  var leaderOf: [UInt64: Int] = [:]
  var ownerOf: [UInt64: NodeID] = [:]
  var takenBy: Set<UInt64> = []
  var convictedAt: [Incarnation: UInt64] = [:]
  var effects: [UInt16: UInt64] = [:]
  var clients = SimSessionClients()

  package init(seed: UInt64, options: ClusterSimOptions = ClusterSimOptions()) {
    self.seed = seed
    self.options = options
    random = SimRandom(seed: seed)
    result = ClusterSimResult(seed: seed)
    for number in 0..<options.nodes {
      let role: MemberRole =
        number < 3 || random.chance(70) ? .voter : random.chance(50) ? .witness : .standby
      nodes.append(SimNode(number: number, zone: "z\(number % 3)", role: role))
    }
  }

  package func run() -> ClusterSimResult {
    for node in nodes {
      agenda.add(.restart(node.number), at: now + UInt64(random.below(100_000_000)))
    }
    later(.misfortune, options.misfortune)
    later(.client, 1_000_000...20_000_000)
    startClients()
    while result.violation == nil, result.events < options.events, step() {}
    heal()
    let end = now + options.rest
    // At rest some 2,000 a node and second, heartbeats to all others included.
    let most = result.events + 50_000 * nodes.count
    while result.violation == nil, now < end, step() {
      if result.events > most { violate("no rest: messages go to and fro without end") }
      if result.events % 512 == 0, now > end - options.rest / 2, unrest() == nil { break }
    }
    if result.violation == nil, let unrest = unrest() {
      for node in nodes { trace(standing(of: node)) }
      violate("no rest: \(unrest)")
    }
    if result.violation == nil { checkSessions() }
    return result
  }

  func later(_ event: SimEvent, _ delay: ClosedRange<Int>) {
    agenda.add(event, at: now + UInt64(random.in(delay)))
  }

  func trace(_ text: @autoclosure () -> String) {
    guard options.isTraced else { return }
    result.trace.append("\((now - 1_000_000_000) / 1_000) us \(text())")
    if result.trace.count > 40_000 { result.trace.removeFirst(20_000) }
  }

  func violate(_ text: String) {
    trace("VIOLATION \(text)")
    if result.violation == nil { result.violation = text }
  }

  private func step() -> Bool {
    guard let next = agenda.popFirst() else { return false }
    now = max(now, next.time)
    if let number = target(of: next.event), nodes[number].pausedUntil > now {
      agenda.add(next.event, at: nodes[number].pausedUntil)
      return true
    }
    result.events += 1
    happen(next.event)
    return true
  }

  private func target(of event: SimEvent) -> Int? {
    switch event {
    case .tick(let number, _), .arrive(let number, _), .written(let number, _, _, _),
      .dial(let number, _, _), .closed(let number, _, _, _, _), .probed(let number, _, _, _, _),
      .retry(let number, _, _, _), .strike(let number, _):
      number
    case .restart, .misfortune, .client, .session: nil
    }
  }

  private func happen(_ event: SimEvent) {
    switch event {
    case .tick(let number, let life): tick(nodes[number], life)
    case .arrive(let number, let packet): arrive(nodes[number], packet)
    case .written(let number, let life, let last, let term):
      let node = nodes[number]
      guard node.life == life, let raft = node.raft else { return }
      node.disk.log = raft.log
      node.disk.log.truncate(after: max(last, raft.stored))
      raft.written(last: last, term: term, now: now)
      drain(node)
    case .dial(let number, let life, let id): dial(nodes[number], life, id)
    case .closed(let number, let life, let id, let incarnation, let peerLife):
      let node = nodes[number]
      guard node.life == life, node.linked[id]?.life == peerLife else { return }
      node.linked[id] = nil
      later(.dial(number, life: life, id), 10_000_000...50_000_000)
      handle(node, .linkDown(id, incarnation))
    case .probed(let number, let life, let id, let incarnation, let peer):
      guard nodes[number].life == life else { return }
      let isReachable = passes(number, peer) && passes(peer, number)
      let outcome: ProbeResult =
        !isReachable ? .unknown : nodes[peer].isUp ? .accepted : .refused
      if outcome == .refused {
        nodes[number].sessions?.owner.isGone(id, incarnation, now: now)
      }
      handle(nodes[number], .probed(id, incarnation, outcome))
    case .retry(let number, let life, let data, let slot):
      retry(nodes[number], life, data, slot)
    case .restart(let number): start(nodes[number])
    case .strike(let number, let life):
      if nodes[number].life == life { replace(nodes[number]) }
    case .misfortune: misfortune()
    case .client: client()
    case .session(let event): happen(event)
    }
  }

  // MARK: Processes

  func start(_ node: SimNode) {
    guard !node.isUp, node.end == nil else { return }
    node.isUp = true
    node.life += 1
    node.taken = []
    let seeds = seeds(of: node)
    let start: ClusterStart
    if let identity = node.disk.identity {
      start = .resume(identity, contacts: node.disk.contacts, seeds: seeds)
    } else {
      start = node.number == 0 && !isFounded ? .found : .join(seeds: seeds)
    }
    trace("n\(node.number) starts, life \(node.life)")
    node.core = ClusterCore(description: node.description, seed: random.word(), start: start)
    startSessions(node)
    handle(node, .started)
    later(.tick(node.number, life: node.life), 0...10_000_000)
  }

  /// What was being written may be on disk in part.
  func kill(_ node: SimNode, _ why: String) {
    guard node.isUp else { return }
    trace("n\(node.number) ends: \(why)")
    if let raft = node.raft {
      (node.disk.term, node.disk.vote) = (raft.term, raft.vote)
      let least = max(raft.stored, raft.log.base)
      if random.chance(50), raft.log.last > least {
        node.disk.log = raft.log
        node.disk.log.truncate(after: least + UInt64(random.below(Int(raft.log.last - least))))
      }
    }
    (node.isUp, node.core, node.raft, node.pausedUntil) = (false, nil, nil, 0)
    node.sessions = nil
    for peer in nodes where peer.isUp {
      for (id, link) in peer.linked where link.node == node.number && link.life == node.life {
        if passes(node.number, peer.number) {
          let closed = SimEvent.closed(
            peer.number, life: peer.life, id, link.incarnation, peerLife: link.life)
          later(closed, options.delay)
        }
      }
    }
    node.life += 1
    (node.wanted, node.linked, node.waitsForData, node.origins) = ([:], [:], [:], [:])
  }

  func tick(_ node: SimNode, _ life: Int) {
    guard node.life == life else { return }
    agenda.add(.tick(node.number, life: life), at: now + 10_000_000)
    handle(node, .tick)
    tickSessions(node)
    node.raft?.tick(now: now)
    drain(node)
    guard now >= node.heartbeatAt, let identity = node.core?.identity else { return }
    node.heartbeatAt = now + 25_000_000
    for link in node.linked.values.sorted(by: { $0.node < $1.node }) {
      send(.heartbeat(identity.id, identity.incarnation), node.number, link.node)
    }
  }
}
