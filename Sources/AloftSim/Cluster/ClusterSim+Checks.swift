internal import AloftMembership

extension ClusterSim {
  // MARK: What clients do

  func client() {
    if !isHealed { later(.client, 1_000_000...20_000_000) }
    let node = nodes[random.below(nodes.count)]
    guard node.isUp, node.pausedUntil <= now, let core = node.core else { return }
    if random.chance(10) { return operate(node, core) }
    nextData += 1
    let slot = Slot(rawValue: UInt16(random.below(Slot.count)))
    guard let owner = core.state[core.state.slots[slot]], owner.isAlive else { return }
    node.waitsForData[nextData] = (owner.id, owner.incarnation, 3)
    retry(node, node.life, nextData, slot)
  }

  /// Sends a message that wasn't acknowledged once more, to the life that it was meant for.
  func retry(_ node: SimNode, _ life: Int, _ data: UInt64, _ slot: Slot) {
    guard node.life == life, let wait = node.waitsForData[data], let core = node.core else {
      return
    }
    guard wait.tries > 0 else { return node.waitsForData[data] = nil }
    node.waitsForData[data]?.tries -= 1
    if let to = node.wanted[wait.to].flatMap({ Int($0.address) }) {
      let packet = SimPacket.data(
        data, slot: slot, core.identity, core.state.epoch, to: wait.to, wait.1)
      send(packet, node.number, to)
    }
    later(.retry(node.number, life: life, data, slot), 5_000_000...400_000_000)
  }

  func take(
    _ node: SimNode, _ core: ClusterCore, _ data: UInt64, _ slot: Slot, _ sender: NodeIdentity,
    _ epoch: Epoch
  ) {
    let fence = core.fence(sender, epoch: epoch, slot: slot, now: now)
    guard fence == .passed || options.faults.contains(.fenceUnchecked) else { return }
    if let to = node.wanted[sender.id].flatMap({ Int($0.address) }) {
      send(.dataTaken(data), node.number, to)
    }
    guard node.taken.insert(data).inserted else { return }
    result.taken += 1
    if !takenBy.insert(data).inserted { violate("message \(data) is taken twice") }
    // Held against what the log says, not against the fence.
    let state = core.state
    let key = state.epoch.rawValue << 14 | UInt64(slot.rawValue)
    let me = core.identity
    if let owner = ownerOf[key], owner != me.id {
      violate("slot \(slot.rawValue) has two owners in epoch \(state.epoch.rawValue)")
    }
    ownerOf[key] = me.id
    if let at = convictedAt[me.incarnation], now > at + core.options.lease {
      violate("n\(node.number) takes a message \((now - at) / 1_000_000) ms after its conviction")
    }
    let isOver = convictedAt[sender.incarnation] != nil
    if isOver, sender.incarnation.rawValue <= state.appliedIndex,
      state[sender.incarnation]?.isAlive != true
    {
      violate("n\(node.number) takes a message of a life that it knows to be over")
    }
  }

  // MARK: What must always hold

  func lead(_ node: SimNode, _ term: Term) {
    result.leaders += 1
    trace("n\(node.number) leads term \(term.rawValue)")
    if let other = leaderOf[term.rawValue], other != node.number {
      violate("term \(term.rawValue) has two leaders, n\(other) and n\(node.number)")
    }
    leaderOf[term.rawValue] = node.number
  }

  func down(_ number: Int, _ id: NodeID, _ incarnation: Incarnation) {
    if convictedAt[incarnation] == nil {
      convictedAt[incarnation] = now
      result.convictions += 1
      trace("\(id.rawValue)/\(incarnation.rawValue) is down")
    }
  }

  /// An entry is applied for the first time anywhere, to this state.
  func applied(_ before: ClusterState, _ index: UInt64, _ bytes: [UInt8]) {
    var state = before
    let applied = state.apply(index: index, entry: bytes)
    let command = applied.proposal.map { "\($0.command)".prefix(90) } ?? "?"
    trace("entry \(index): \(command) \(applied.result)")
    guard case .setWeight(_, let weight) = applied.proposal?.command, weight > 50 else { return }
    if case .refused = applied.result { return }
    if let other = effects[weight] {
      violate("request \(weight) has effect twice, by entries \(other) and \(index)")
    }
    effects[weight] = index
  }

  /// How a node and its log stand, for whoever reads the trace.
  func standing(of node: SimNode) -> String {
    guard let core = node.core else { return "n\(node.number) is not up" }
    guard let raft = node.raft else { return "n\(node.number) has no log" }
    let identity = "\(core.identity.id.rawValue)/\(core.identity.incarnation.rawValue)"
    let voters = raft.voters.map { "\($0.rawValue)" }.joined(separator: ",")
    let leader = raft.leader.map { "\($0.rawValue)" } ?? "none"
    return "n\(node.number) \(identity) is \(raft.role) in term \(raft.term), has \(raft.log.last),"
      + " stored \(raft.stored), committed \(raft.committed), voters \(voters), leader \(leader)"
  }

  /// What keeps the cluster from being at rest; nil if nothing does.
  func unrest() -> String? {
    let cores = nodes.compactMap(\.core)
    guard cores.count == nodes.count else { return "not all are up" }
    if waitingClients > 0 { return "\(waitingClients) clients wait" }
    guard cores.count(where: \.isLeader) == 1, let leader = cores.first(where: \.isLeader) else {
      return "\(cores.count(where: \.isLeader)) lead"
    }
    for (node, core) in zip(nodes, cores) {
      if !core.isAccepting { return "n\(node.number) doesn't accept" }
      if core.state.epoch != leader.state.epoch { return "n\(node.number) is behind" }
      if core.state != leader.state { return "n\(node.number) knows another state" }
    }
    let placed = Placement.nodes(leader.state.members)
    if Placement.plan(from: leader.state.slots, nodes: placed) != leader.state.slots {
      return "slots are out of balance"
    }
    let living = leader.state.living.count
    return living == nodes.count ? voterUnrest(leader) : "\(living) members live"
  }
}
