import AloftMembership

/// A log of one: what is told it is applied to a state at the next index.
struct ClusterLog {
  var state = ClusterState()
  var index: UInt64 = 0
  var sequence: UInt64 = 0
  /// All that was applied.
  var entries: [[UInt8]] = []

  /// A cluster of nodes with these names.
  init(_ names: [String] = []) {
    for name in names { enter(name) }
  }

  @discardableResult
  mutating func apply(_ entry: [UInt8]) -> CommandResult {
    index += 1
    entries.append(entry)
    return state.apply(index: index, entry: entry).result
  }

  @discardableResult
  mutating func apply(
    _ command: ClusterCommand, by proposer: Incarnation? = nil
  ) -> CommandResult {
    sequence += 1
    let proposer = proposer ?? state.living.first?.incarnation ?? Incarnation(rawValue: 0)
    return apply(
      ClusterProposal(proposer: proposer, sequence: sequence, command: command).bytes)
  }

  /// Lets a node in, the first one by founding.
  @discardableResult
  mutating func enter(
    _ name: String, zone: String = "", weight: UInt16 = 100, role: MemberRole = .voter,
    birth: UInt64? = nil, former: NodeIdentity = .none
  ) -> CommandResult {
    let description = MemberDescription(
      name: name, address: "\(name):1", zone: zone, weight: weight, role: role)
    let birth = birth ?? 1_000 + index
    if state.cluster == 0 { return apply(.found(cluster: 7, description, birth: birth)) }
    return apply(.admit(description, birth: birth, former: former))
  }

  func life(_ name: String) -> Incarnation {
    state.members.last { $0.name == name }?.incarnation ?? Incarnation(rawValue: 0)
  }

  func identity(_ name: String) -> NodeIdentity {
    guard let member = state.members.last(where: { $0.name == name }) else { return .none }
    return NodeIdentity(cluster: state.cluster, id: member.id, incarnation: member.incarnation)
  }

  /// Spreads the slots as a leader would.
  @discardableResult
  mutating func spread() -> CommandResult {
    let plan = Placement.plan(from: state.slots, nodes: Placement.nodes(state.members))
    return apply(.assignSlots(base: state.epoch, plan.changes(since: state.slots)))
  }
}
