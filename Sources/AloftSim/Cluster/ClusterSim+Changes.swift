internal import AloftMembership

/// What those who run a cluster do to it: weights, nodes that are emptied, leave, or are replaced.
extension ClusterSim {
  /// Somebody on this node asks for something.
  func operate(_ node: SimNode, _ core: ClusterCore) {
    let name = nodes[random.below(nodes.count)].description.name
    var request = ClusterRequest.setDraining(name: name, random.chance(50))
    switch random.below(20) {
    case 0, 1: break
    case 2:
      // The last one would take the cluster with it.
      guard core.state.living.count > 2, mayLose(core.identity.id) else { return }
      node.isLeaving = true
      request = .leave
    case 3:
      let lives = core.state.living.filter { $0.name == name }
      guard lives.allSatisfy({ mayLose($0.id) }) else { return }
      request = .convict(name: name)
    case 4, 5:
      // Of those who won't come back.
      let names = nodes.map(\.description.name)
      let gone = core.state.members.first { $0.status == .down && !names.contains($0.name) }
      guard let gone else { return }
      request = .forget(name: gone.name)
    default:
      nextWeight += 1
      request = .setWeight(name: name, nextWeight)
    }
    result.requests += 1
    nextToken += 1
    handle(node, .requested(request, token: nextToken))
  }

  /// The node dies and its disk with it. Another takes its place: under its name, or a new one.
  func replace(_ node: SimNode) {
    if let id = node.disk.identity?.id {
      guard mayLose(id) else { return }
    } else if !isFounded {
      return
    }
    kill(node, "lost for good")
    wipe(node)
    if random.chance(50) {
      node.generation += 1
      node.description.name = "n\(node.number).\(node.generation)"
    }
    later(.restart(node.number), 0...300_000_000)
  }

  func wipe(_ node: SimNode) {
    if let id = node.disk.identity?.id { lost.insert(id) }
    let (isFull, delay) = (node.disk.isFull, node.disk.delay)
    node.disk = SimDisk()
    (node.disk.isFull, node.disk.delay) = (isFull, delay)
    node.isLeaving = false
  }

  /// Of every configuration that may hold, most voters are left without this one's disk; also of
  /// what a leader may make of it before it knows of the loss: with this one, and without some of
  /// those who are down or going, at worst those who would come back. More is not to be asked of
  /// anybody.
  private func mayLose(_ id: NodeID) -> Bool {
    guard let (index, members) = configuration else { return false }
    let cores = nodes.compactMap(\.core)
    guard let state = cores.map(\.state).max(by: { $0.epoch < $1.epoch }) else { return false }
    var configurations = [members]
    for peer in nodes {
      let (at, members) = (peer.raft?.log ?? peer.disk.log).members
      if at > index { configurations.append(members) }
    }
    func isBorne(_ voters: Set<NodeID>) -> Bool {
      2 * voters.subtracting(lost).subtracting([id]).count > voters.count
    }
    return configurations.allSatisfy { members in
      let voters = Set(members.filter { $0.role == .voter }.map(\.id))
      let left = voters.filter { state[$0]?.status == .up || lost.contains($0) }
      return isBorne(voters) && isBorne(voters.union([id])) && isBorne(left.union([id]))
    }
  }

  /// Who has an identity, so that those who ask each other in turn come to the cluster in the end.
  func seeds(of node: SimNode) -> [String] {
    let others = nodes.filter { $0 !== node }
    let members = others.filter { $0.disk.identity != nil }
    if !members.isEmpty, random.chance(50) {
      return [members[random.below(members.count)].description.address]
    }
    return others.map(\.description.address)
  }

  /// At least as many of those who live may die as with the best voters that there could be.
  func voterUnrest(_ leader: ClusterCore) -> String? {
    let able = leader.state.members.filter { $0.status == .up && $0.description.role != .standby }
    let most = max(1, min(leader.options.votersMax, able.count))
    let voters = leader.status.roles.filter { $0.value == .voter }.keys
    let useful = voters.count { id in able.contains { $0.id == id } }
    let margin = useful - (voters.count / 2 + 1)
    return margin >= (most - 1) / 2 ? nil : "\(useful) of \(voters.count) voters live"
  }
}
