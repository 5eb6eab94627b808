extension ClusterState {
  mutating func found(
    _ cluster: UInt64, _ description: MemberDescription, birth: UInt64, index: UInt64
  ) throws(CommandRefusal) -> Bool {
    if self.cluster == cluster, members.contains(where: { $0.birth == birth }) { return false }
    guard self.cluster == 0, cluster != 0 else { throw .alreadyFounded }
    guard description.isValid else { throw .badDescription }
    self.cluster = cluster
    lastID = 1
    let first = NodeID(rawValue: 1)
    members = [
      Member(
        id: first, incarnation: Incarnation(rawValue: index), birth: birth, description: description
      )
    ]
    if members[0].takesSlots {
      slots.assign(SlotRun(first: Slot(rawValue: 0), count: UInt16(Slot.count), owner: first))
    }
    slotsEpoch = Epoch(rawValue: index)
    return true
  }

  /// Lets a node in, in one of three ways: it comes back with its log and keeps its number; it
  /// comes back without, or is new, and gets one that nobody has.
  mutating func admit(
    _ description: MemberDescription, birth: UInt64, former: NodeIdentity, index: UInt64
  ) throws(CommandRefusal) -> Bool {
    guard cluster != 0 else { throw .notFounded }
    guard description.isValid else { throw .badDescription }
    if let same = member(named: description.name), same.birth == birth {
      // Asked twice. Who was convicted since has to be born again.
      guard same.isAlive else { throw .wrongStatus }
      return false
    }
    if former != .none { return try readmit(description, birth, former, index) }
    if let namesake = members.firstIndex(where: { hasName($0, description.name) }) {
      guard !members[namesake].isAlive else { throw .nameTaken }
      // It has lost its log, so its number may not vote again.
      end(namesake, as: .left, index: index)
    }
    let id = try freeID()
    let member = Member(
      id: id, incarnation: Incarnation(rawValue: index), birth: birth, description: description)
    members.insert(member, at: members.firstIndex { $0.id > id } ?? members.count)
    lastID = id.rawValue
    return true
  }

  private func hasName(_ member: Member, _ name: String) -> Bool {
    member.name == name && member.status != .left
  }

  /// Whoever shows the current identity holds the data of that life, which only one process can: so
  /// that life is over, whether somebody noticed or not.
  private mutating func readmit(
    _ description: MemberDescription, _ birth: UInt64, _ former: NodeIdentity, _ index: UInt64
  ) throws(CommandRefusal) -> Bool {
    guard former.cluster == cluster, let position = position(of: former.id),
      hasName(members[position], description.name)
    else { throw .unknownFormer }
    // An older life of it than the last: the data are those of the last one, all the same, if the
    // last one did not get to write down its own identity. But it has to be over.
    guard members[position].incarnation == former.incarnation || !members[position].isAlive else {
      throw .nameTaken
    }
    guard members[position].incarnation >= former.incarnation else { throw .unknownFormer }
    windows[members[position].incarnation] = nil
    var member = Member(
      id: former.id, incarnation: Incarnation(rawValue: index), birth: birth,
      description: description)
    // Who was being emptied stays so until somebody says otherwise.
    member.isDraining = members[position].isDraining
    members[position] = member
    return true
  }

  /// The number after the last one given that nobody has. Only when all are taken, the one that has
  /// been gone for longest is forgotten; who is only down may come back, and is not.
  private mutating func freeID() throws(CommandRefusal) -> NodeID {
    if members.count == 255 {
      let gone = members.filter { $0.status == .left && !slots.owns($0.id) }
      guard let oldest = gone.min(by: { ($0.changedAt, $0.id) < ($1.changedAt, $1.id) }) else {
        throw .full
      }
      members.removeAll { $0.id == oldest.id }
    }
    let taken = Set(members.map(\.id.rawValue))
    var next = lastID
    for _ in 0..<255 {
      next = next == 255 ? 1 : next + 1
      if !taken.contains(next) { return NodeID(rawValue: next) }
    }
    throw .full
  }
}
