public import AloftAtomics

/// What is registered: a name of bytes, or a number of 64 or 128 bits. Three name spaces.
public enum RegistryKey {
  case name(NameKey)
  case id(UInt64)
  case wideID(WideID)
}

/// The calls from outside: each is one of the generic ones, of the key's table.
extension Directory {
  // MARK: Looking up

  @inline(__always)
  public func find(_ name: NameKey) -> Target? { find(names, name) }
  public func find(_ id: UInt64) -> Target? { find(ids, id) }
  public func find(_ id: WideID) -> Target? { find(wideIDs, id) }

  /// Without resolving what a watched name stands for: needs no section, and answers `record` then.
  @inline(__always)
  public func look(_ name: NameKey) -> Target? { names.find(name) }
  public func look(_ id: UInt64) -> Target? { ids.find(id) }
  public func look(_ id: WideID) -> Target? { wideIDs.find(id) }

  /// Looks up to 16 names up at once, as `look`: waiting for memory overlaps.
  public func look(
    _ keys: UnsafeBufferPointer<NameKey>, _ body: (_ place: Int, _ target: Target?) -> Void
  ) {
    unsafe names.table.pointee.find(keys) { body($0, $1.map { Target(word: $0) }) }
  }

  public func find(_ key: RegistryKey) -> Target? {
    switch key {
    case .name(let name): find(names, name)
    case .id(let id): find(ids, id)
    case .wideID(let id): find(wideIDs, id)
    }
  }

  // MARK: Changing

  /// - Throws: `nameTaken` with the holder, `ownerEnded`, `full`.
  public func register(_ key: RegistryKey, _ target: Target) throws(RegistryError) {
    switch key {
    case .name(let name): try register(names, name, target)
    case .id(let id): try register(ids, id, target)
    case .wideID(let id): try register(wideIDs, id, target)
    }
  }

  /// - Throws: `nameUnknown`, `notOwner` with the holder.
  public func unregister(_ key: RegistryKey, _ target: Target) throws(RegistryError) {
    switch key {
    case .name(let name): try unregister(names, name, target)
    case .id(let id): try unregister(ids, id, target)
    case .wideID(let id): try unregister(wideIDs, id, target)
    }
  }

  /// - Throws: `nameUnknown`, `notOwner` with the holder, `ownerEnded`, `full`.
  public func replace(
    _ key: RegistryKey, _ expected: Target, with target: Target
  ) throws(RegistryError) {
    switch key {
    case .name(let name): try replace(names, name, expected, with: target)
    case .id(let id): try replace(ids, id, expected, with: target)
    case .wideID(let id): try replace(wideIDs, id, expected, with: target)
    }
  }

  /// A name that is entered and not yet bound to its owner.
  public struct Binding: Sendable {
    let node: Bindings.Node
  }

  /// The first half of `register`: nil when it was so already.
  public func enter(_ key: RegistryKey, _ target: Target) throws(RegistryError) -> Binding? {
    let entered =
      switch key {
      case .name(let name): try enter(names, name, target)
      case .id(let id): try enter(ids, id, target)
      case .wideID(let id): try enter(wideIDs, id, target)
      }
    return entered == .new ? binding(key) : nil
  }

  /// The first half of `replace`: nil when it was so already.
  public func exchange(
    _ key: RegistryKey, _ expected: Target, with target: Target
  ) throws(RegistryError) -> Binding? {
    let entered =
      switch key {
      case .name(let name): try exchange(names, name, expected, with: target)
      case .id(let id): try exchange(ids, id, expected, with: target)
      case .wideID(let id): try exchange(wideIDs, id, expected, with: target)
      }
    return entered == .new ? binding(key) : nil
  }

  private func binding(_ key: RegistryKey) -> Binding {
    switch key {
    case .name(let name): Binding(node: .init(hash: name.hash, kind: Kind.name))
    case .id(let id): Binding(node: .init(hash: ids.hash(id), kind: Kind.id))
    case .wideID(let id): Binding(node: .init(hash: wideIDs.hash(id), kind: Kind.wideID))
    }
  }

  /// The second half of both.
  /// - Throws: `ownerEnded`, `full`; the name is gone then.
  public func bind(_ binding: Binding, _ target: Target) throws(RegistryError) {
    switch binding.node.kind {
    case Kind.name: try bind(names, binding.node.hash, target)
    case Kind.id: try bind(ids, binding.node.hash, target)
    case Kind.wideID: try bind(wideIDs, binding.node.hash, target)
    default: try bind(groups, binding.node.hash, target)
    }
  }

  // MARK: Groups

  /// - Throws: `ownerEnded`, `full`.
  public func join(group: NameKey, _ member: Target) throws(RegistryError) {
    try join(group, member)
  }

  /// The first half of `join`: nil when it was a member already.
  public func enter(group: NameKey, _ member: Target) throws(RegistryError) -> Binding? {
    enter(group: group, member) ? Binding(node: .init(hash: group.hash, kind: Kind.group)) : nil
  }

  /// - Throws: `nameUnknown`, `notOwner`.
  public func leave(group: NameKey, _ member: Target) throws(RegistryError) {
    try leave(group, member)
  }

  /// A group's members as they stand at one moment, for as long as `body` runs; nil without any.
  @inline(__always)
  public func withMembers<Value>(
    of group: NameKey, _ body: (GroupMembers) -> Value
  ) -> Value? {
    guard let (record, state) = members(group), state.count > 0 else { return nil }
    return body(GroupMembers(record: record, state: state))
  }

  // MARK: Watches

  public func watch(_ key: RegistryKey, _ watch: Watch) -> Target? {
    switch key {
    case .name(let name): self.watch(names, name, watch).first
    case .id(let id): self.watch(ids, id, watch).first
    case .wideID(let id): self.watch(wideIDs, id, watch).first
    }
  }

  public func unwatch(_ key: RegistryKey, _ watch: Watch) {
    switch key {
    case .name(let name): unwatch(names, name, watch)
    case .id(let id): unwatch(ids, id, watch)
    case .wideID(let id): unwatch(wideIDs, id, watch)
    }
  }

  public func watch(group: NameKey, _ watch: Watch) -> [Target] {
    self.watch(groups, group, watch)
  }

  public func unwatch(group: NameKey, _ watch: Watch) { unwatch(groups, group, watch) }

  // MARK: The whole

  /// Names of bytes that stand for somebody.
  public var nameCount: Int { count(names) }
  /// IDs of 64 and of 128 bits that stand for somebody.
  public var idCount: Int { count(ids) + count(wideIDs) }
  /// Groups that have members.
  public var groupCount: Int { count(groups) }
  /// Bytes of the tables and of the reverse index.
  public var memoryBytes: Int {
    unsafe names.table.pointee.memoryBytes + groups.table.pointee.memoryBytes
      + ids.table.pointee.memoryBytes
      + wideIDs.table.pointee.memoryBytes + bindings.bytes
  }

  /// Calls `body` for each name of bytes, in no order, until it answers false. Nobody is stopped.
  public func forEachName(_ body: (UnsafeRawBufferPointer, Target) -> Bool) {
    unsafe names.table.pointee.forEach { name, value in
      guard let target = Self.resolve(Target(word: value)) else { return true }
      return unsafe body(name, target)
    }
  }

  public func forEachID(_ body: (UInt64, Target) -> Bool) {
    ids.forEach { id, target in
      guard let target = Self.resolve(target) else { return true }
      return body(id, target)
    }
  }

  public func forEachWideID(_ body: (WideID, Target) -> Bool) {
    wideIDs.forEach { id, target in
      guard let target = Self.resolve(target) else { return true }
      return body(id, target)
    }
  }

  public func forEachGroup(_ body: (UnsafeRawBufferPointer, GroupMembers) -> Bool) {
    unsafe groups.table.pointee.forEach { name, value in
      let record = Record(Target(word: value))
      let state = record.state
      return unsafe state.count == 0
        || body(name, GroupMembers(record: record, state: state))
    }
  }

  private static func resolve(_ target: Target) -> Target? {
    if !target.isRecord { return target }
    let state = Record(target).state
    return state.count > 0 ? state[0] : nil
  }
}

/// The members of a group at one moment, at least one. Good for as long as the caller's section.
public struct GroupMembers {
  let record: Record
  let state: RecordState

  public var count: Int { state.count }
  public subscript(index: Int) -> Target { state[index] }

  /// Whose turn it is: a place among the members, from one call to the next one further.
  public func nextTurn() -> Int { Int(record.takeTurn() % UInt(state.count)) }
}
