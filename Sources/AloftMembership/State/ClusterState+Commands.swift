extension ClusterState {
  /// False when it was so already.
  mutating func perform(_ command: ClusterCommand, index: UInt64) throws(CommandRefusal) -> Bool {
    switch command {
    case .found(let cluster, let description, let birth):
      return try found(cluster, description, birth: birth, index: index)
    case .admit(let description, let birth, let former):
      return try admit(description, birth: birth, former: former, index: index)
    case .convict(let incarnation): return try convict(incarnation, index: index)
    case .leave(let incarnation): return try leave(incarnation, index: index)
    case .depart(let incarnation): return try depart(incarnation, index: index)
    case .forget(let incarnation): return try forget(incarnation, index: index)
    case .setDraining(let incarnation, let isDraining):
      let position = try livingPosition(of: incarnation)
      defer { members[position].isDraining = isDraining }
      return members[position].isDraining != isDraining
    case .setWeight(let incarnation, let weight):
      let position = try livingPosition(of: incarnation)
      defer { members[position].description.weight = weight }
      return members[position].description.weight != weight
    case .assignSlots(let base, let runs): return try assign(runs, base: base, index: index)
    }
  }

  private func livingPosition(of incarnation: Incarnation) throws(CommandRefusal) -> Int {
    let position = try self.position(of: incarnation)
    guard members[position].isAlive else { throw .wrongStatus }
    return position
  }

  private func position(of incarnation: Incarnation) throws(CommandRefusal) -> Int {
    guard let position = members.firstIndex(where: { $0.incarnation == incarnation }) else {
      throw .unknownMember
    }
    return position
  }

  private mutating func convict(
    _ incarnation: Incarnation, index: UInt64
  ) throws(CommandRefusal) -> Bool {
    let position = try self.position(of: incarnation)
    switch members[position].status {
    case .down: return false
    case .left: throw .wrongStatus
    case .up, .leaving: end(position, as: .down, index: index)
    }
    return true
  }

  private mutating func leave(
    _ incarnation: Incarnation, index: UInt64
  ) throws(CommandRefusal) -> Bool {
    let position = try livingPosition(of: incarnation)
    guard members[position].status == .up else { return false }
    members[position].status = .leaving
    members[position].changedAt = index
    return true
  }

  private mutating func depart(
    _ incarnation: Incarnation, index: UInt64
  ) throws(CommandRefusal) -> Bool {
    let position = try self.position(of: incarnation)
    guard members[position].status == .leaving else { throw .wrongStatus }
    // The last one takes its slots with it.
    let isLast = members.count { $0.isAlive } == 1
    guard isLast || !slots.owns(members[position].id) else { throw .ownsSlots }
    end(position, as: .left, index: index)
    return true
  }

  private mutating func forget(
    _ incarnation: Incarnation, index: UInt64
  ) throws(CommandRefusal) -> Bool {
    let position = try self.position(of: incarnation)
    guard members[position].status == .down else { throw .wrongStatus }
    end(position, as: .left, index: index)
    return true
  }

  mutating func end(_ position: Int, as status: MemberStatus, index: UInt64) {
    members[position].status = status
    members[position].changedAt = index
    windows[members[position].incarnation] = nil
  }

  private mutating func assign(
    _ runs: [SlotRun], base: Epoch, index: UInt64
  ) throws(CommandRefusal) -> Bool {
    guard base == epoch else { throw .staleBase }
    guard runs.allSatisfy({ self[$0.owner]?.takesSlots == true }) else { throw .wrongOwner }
    let before = slots
    for run in runs { slots.assign(run) }
    guard slots != before else { return false }
    slotsEpoch = Epoch(rawValue: index)
    return true
  }
}
