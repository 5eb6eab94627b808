import AloftAtomics

/// Changes of records: each is one exchange, and whoever made it tells the watches.
extension Directory {
  enum RecordAnswer {
    case done
    /// It was so already.
    case same
    /// Somebody else is named.
    case held(Target)
    case absent
    /// The record is on its way out: `finish` it and look again.
    case sealed
  }

  /// Exchanges a record's state for one with other members.
  private func exchange(
    _ record: Record, _ state: RecordState, members: [Target], _ kind: UInt, _ change: NameChange
  ) -> Bool {
    let watches = state.watches
    var change = change
    change.number = state.version &+ 1
    let next = RecordState(
      version: change.number, isSealed: false, members: members, watches: watches)
    let (before, after) = (state.count, members.count)
    guard record.exchange(state, next) else { return false }
    unsafe retire(state.pointer)
    if before == 0 && after > 0 { addVacant(kind, -1) }
    if before > 0 && after == 0 { addVacant(kind, 1) }
    for watch in watches { watch.push(change) }
    return true
  }

  /// A name's record: `target` takes it if it is nobody's.
  func claim(_ record: Record, _ target: Target, _ kind: UInt) -> RecordAnswer {
    while true {
      let state = record.state
      if state.isSealed { return .sealed }
      if state.count > 0 { return state[0] == target ? .same : .held(state[0]) }
      if exchange(record, state, members: [target], kind, NameChange(came: target)) {
        return .done
      }
    }
  }

  /// A name's record: from `expected` to `target`.
  func handOver(
    _ record: Record, from expected: Target, to target: Target, _ kind: UInt
  ) -> RecordAnswer {
    while true {
      let state = record.state
      if state.isSealed { return .sealed }
      if state.count == 0 { return .absent }
      if state[0] != expected { return .held(state[0]) }
      if expected == target { return .same }
      let change = NameChange(gone: expected, came: target)
      if exchange(record, state, members: [target], kind, change) { return .done }
    }
  }

  /// A group's record: `member` joins.
  func join(_ record: Record, _ member: Target, _ kind: UInt) -> RecordAnswer {
    while true {
      let state = record.state
      if state.isSealed { return .sealed }
      if state.contains(member) { return .same }
      let members = state.members + [member]
      if exchange(record, state, members: members, kind, NameChange(came: member)) {
        return .done
      }
    }
  }

  /// Takes `member` out.
  func leave(_ record: Record, _ member: Target, _ kind: UInt) -> RecordAnswer {
    while true {
      let state = record.state
      if state.isSealed { return .sealed }
      guard state.contains(member) else {
        return state.count == 0 || kind == Kind.group ? .absent : .held(state[0])
      }
      let members = state.members.filter { $0 != member }
      if exchange(record, state, members: members, kind, NameChange(gone: member)) {
        return .done
      }
    }
  }

  /// Adds a watch; the answer is the members from which its changes count, nil when sealed.
  func add(_ watch: Watch, to record: Record) -> [Target]? {
    while true {
      let state = record.state
      if state.isSealed { return nil }
      watch.begin(after: state.version)
      let members = state.members
      let next = RecordState(
        version: state.version, isSealed: false, members: members, watches: state.watches + [watch]
      )
      if record.exchange(state, next) {
        unsafe retire(state.pointer)
        return members
      }
    }
  }

  /// Takes a watch out; false when it wasn't there.
  func remove(_ watch: Watch, from record: Record) -> Bool {
    while true {
      let state = record.state
      var watches = state.watches
      guard !state.isSealed, let index = watches.firstIndex(where: { $0 === watch }) else {
        return false
      }
      watches.remove(at: index)
      let next = RecordState(
        version: state.version, isSealed: false, members: state.members, watches: watches)
      if record.exchange(state, next) {
        unsafe retire(state.pointer)
        retire(watch)
        return true
      }
    }
  }

  // MARK: The end of a record

  /// Takes a record out of its table if it has become more than is needed: a name's that nobody
  /// watches, or a group's without members that nobody watches.
  func dissolve<Space: KeySpace & ~Copyable>(
    _ record: Record, _ space: borrowing Space, hash: UInt
  ) {
    while true {
      let state = record.state
      if state.isSealed { return finish(record, space, hash: hash) }
      if state.watchCount > 0 || space.kind == Kind.group && state.count > 0 { return }
      let sealed = RecordState(
        version: state.version, isSealed: true, members: state.members, watches: [])
      if record.exchange(state, sealed) {
        unsafe retire(state.pointer)
        return finish(record, space, hash: hash)
      }
    }
  }

  /// A sealed record's entry leads straight to the target from now on, or goes. Whoever meets a
  /// sealed record does this; one of them is first, and the record is his to retire.
  func finish<Space: KeySpace & ~Copyable>(
    _ record: Record, _ space: borrowing Space, hash: UInt
  ) {
    let state = record.state
    if state.count > 0 {
      guard space.replace(hash: hash, record.target, with: state[0]) else { return }
    } else {
      guard space.remove(hash: hash, record.target) else { return }
      addVacant(space.kind, -1)
    }
    unsafe retire(state.pointer)
    unsafe retire(record.base)
  }
}
