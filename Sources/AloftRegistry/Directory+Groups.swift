import AloftAtomics

/// Groups, and who watches what.
extension Directory {
  func join(_ key: NameKey, _ member: Target) throws(RegistryError) {
    if member.loop != nil, !isAlive(member) {
      throw RegistryError(.ownerEnded, holder: member, "\(member) has ended, or never was")
    }
    if enter(group: key, member) { try bind(groups, key.hash, member) }
  }

  /// The first half of `join`: false when it was a member already.
  func enter(group key: NameKey, _ member: Target) -> Bool {
    while true {
      guard let found = groups.find(key) else {
        let record = Record(members: [member])
        if groups.insert(key, record.target) == nil { return true }
        record.free()
        continue
      }
      switch join(Record(found), member, Kind.group) {
      case .same: return false
      case .sealed: finish(Record(found), groups, hash: key.hash)
      case .done, .held, .absent: return true
      }
    }
  }

  func leave(_ key: NameKey, _ member: Target) throws(RegistryError) {
    while true {
      guard let found = groups.find(key) else { throw unknown(groups, key) }
      let record = Record(found)
      switch leave(record, member, Kind.group) {
      case .sealed: finish(record, groups, hash: key.hash)
      case .done:
        unbind(Kind.group, key.hash, member)
        return dissolve(record, groups, hash: key.hash)
      case .same, .held, .absent:
        throw RegistryError(
          .notOwner, holder: nil, "\(member) is no member of the group \(groups.describe(key))")
      }
    }
  }

  /// A group's members as they stand at one moment; empty for a group that isn't.
  @inline(__always)
  func members(_ key: NameKey) -> (record: Record, state: RecordState)? {
    guard let found = groups.find(key) else { return nil }
    let record = Record(found)
    return (record, record.state)
  }

  // MARK: Watches

  /// Has `watch` told of each change from now on; the answer is how things stand now. The watch is
  /// kept until `unwatch`.
  func watch<Space: KeySpace & ~Copyable>(
    _ space: borrowing Space, _ key: Space.Key, _ watch: Watch
  ) -> [Target] {
    _ = unsafe Unmanaged.passRetained(watch)
    while true {
      if let found = space.find(key) {
        if found.isRecord {
          if let members = add(watch, to: Record(found)) { return members }
          finish(Record(found), space, hash: space.hash(key))
        } else {
          watch.begin(after: 0)
          let record = Record(members: [found], watches: [watch])
          if space.replace(key, found, with: record.target) == .done { return [found] }
          record.free()
        }
      } else {
        watch.begin(after: 0)
        let record = Record(members: [], watches: [watch])
        if space.insert(key, record.target) == nil {
          addVacant(space.kind, 1)
          return []
        }
        record.free()
      }
    }
  }

  /// The reverse; idempotent.
  func unwatch<Space: KeySpace & ~Copyable>(
    _ space: borrowing Space, _ key: Space.Key, _ watch: Watch
  ) {
    watch.cancel()
    guard let found = space.find(key), found.isRecord else { return }
    let record = Record(found)
    if remove(watch, from: record) { dissolve(record, space, hash: space.hash(key)) }
  }
}
