internal import AloftAtomics
internal import AloftEngine
internal import AloftRegistry
internal import AloftUV

/// Names for mailboxes and connections, and sending by name.
///
/// ```swift
/// let registry = runtime.registry
/// try registry.register("orders", mailbox)
/// registry.send(bytes.span.bytes, to: "orders")
/// if case .mailbox(let orders) = registry.lookUp("orders") { … }
/// let workers = try registry.group("workers")
/// try workers.join(mailbox)
/// workers.send(message, .leastQueued)
/// ```
/// A key is a name of 1 to 255 bytes (`String`, `StaticString`, `Registry.Name`, a span), or a
/// number of 64 or 128 bits (`UInt64`, `UInt128`): three spaces that don't touch. A name stands for
/// one target at most, and a target may have many names. A name belongs to its target: it goes away
/// by itself when the mailbox or connection ends, at the latest with its `closed`.
///
/// **Threads**: any, for all calls. **Blocking**: none does. Look-ups write nothing, take no lock
/// and are never held up, not by growth either; each change of a name is one step, which all
/// threads see in one order. **Cost**: O(1); a look-up some 30 ns with up to 100,000 names, and 60
/// bytes a name of 24 beside the name.
///
/// The tables are those of `NameTable`'s sources (CLHT, 2015; DLHT, 2024; linear hashing, 1980);
/// that no name outlives its owner is shown in `docs/ARCHITECTURE.md`.
public struct Registry: Sendable {
  let names: Names

  init(_ names: Names) { self.names = names }

  /// Whom a name stands for.
  public enum Target: Hashable, Sendable {
    case mailbox(Mailbox)
    case connection(Connection)
  }

  // MARK: Looking up

  /// Whom a name stands for at this moment; nil for nobody. Counts no reference and allocates
  /// nothing. A name that is too long, or empty, stands for nobody.
  @inline(__always)
  public func lookUp(_ name: String) -> Target? {
    unsafe name.utf8.span.withUnsafeBytes { unsafe find($0) }
  }

  @inline(__always)
  public func lookUp(_ name: StaticString) -> Target? { unsafe find(name.bytes) }

  /// A name by its bytes.
  @inline(__always)
  public func lookUp(_ name: RawSpan) -> Target? {
    unsafe name.withUnsafeBytes { unsafe find($0) }
  }

  /// A name that was hashed beforehand: for names that are looked up again and again.
  @inline(__always)
  public func lookUp(_ name: Name) -> Target? {
    name.withKey { find($0) }
  }

  public func lookUp(_ id: UInt64) -> Target? { names.find(id).flatMap { Target($0) } }

  public func lookUp(_ id: UInt128) -> Target? {
    names.find(WideID(id)).flatMap { Target($0) }
  }

  /// Looks many names up: as many calls of `lookUp`, but sixteen at a time, so that waiting for
  /// memory overlaps. Each look-up is one by itself. `body` is called for each, in order.
  public func lookUp(
    each names: Span<Name>, _ body: (_ place: Int, _ target: Target?) -> Void
  ) {
    unsafe forSixteenEach(names) { start, keys in
      unsafe self.names.find(keys) { place, target in
        body(start + place, target.flatMap { Target($0) })
      }
    }
  }

  /// Calls `body` with the keys of up to 16 names, and where these begin, until all had their turn.
  func forSixteenEach(
    _ names: Span<Name>, _ body: (_ start: Int, UnsafeBufferPointer<NameKey>) -> Void
  ) {
    unsafe names.withUnsafeBufferPointer { names in
      unsafe forSixteenEach(names, body)
    }
  }

  private func forSixteenEach(
    _ names: UnsafeBufferPointer<Name>, _ body: (_ start: Int, UnsafeBufferPointer<NameKey>) -> Void
  ) {
    unsafe withUnsafeTemporaryAllocation(of: NameKey.self, capacity: 16) { keys in
      var start = 0
      while start < names.count {
        let count = min(16, names.count - start)
        for place in 0..<count {
          unsafe (keys.baseAddress! + place).initialize(
            to: Name.key(at: names.baseAddress! + start + place))
        }
        unsafe body(start, UnsafeBufferPointer(rebasing: UnsafeBufferPointer(keys)[..<count]))
        start += count
      }
    }
  }

  @inline(__always)
  private func find(_ bytes: UnsafeRawBufferPointer) -> Target? {
    guard Name.lengths ~= bytes.count else { return nil }
    return unsafe find(names.looker.key(bytes))
  }

  @inline(__always)
  private func find(_ key: NameKey) -> Target? {
    guard let word = names.looker.find(key) else { return nil }
    let target = AloftRegistry.Target(word: word)
    if target.isMailbox { return .mailbox(Mailbox(rawValue: target.rawValue)) }
    return findRare(key, target)
  }

  @inline(never)
  private func findRare(_ key: NameKey, _ target: AloftRegistry.Target) -> Target? {
    (target.kind == .record ? names.findWatched(.name(key)) : target).flatMap { Target($0) }
  }

  // MARK: Changing

  /// Gives `target` a name that is nobody's. To do so again is no error and changes nothing.
  ///
  /// For a connection of another event loop the name stands at once, and the connection's loop
  /// binds it when it comes to it: for one that has just ended, nothing is thrown, and the name
  /// goes away by itself.
  ///
  /// - Throws: `nameTaken` with its `holder`; `ownerEnded` for a target that has ended or never
  /// was;   `foreignOwner` for one of another runtime; `nameEmpty`, `nameTooLong`; `registryFull`.
  public func register(
    _ key: some RegistryKey, _ target: some RegistryTarget
  ) throws(AloftError) {
    try key.withKey { key throws(AloftError) in
      try translating { () throws(RegistryError) in
        try names.register(key.key, target.registryTarget.word)
      }
    }
  }

  /// Takes its name from `target`, and from nobody else.
  /// - Throws: `nameUnknown` when it is nobody's, `notOwner` with its `holder` when it is
  /// another's;   `nameEmpty`, `nameTooLong`.
  public func unregister(
    _ key: some RegistryKey, _ target: some RegistryTarget
  ) throws(AloftError) {
    try key.withKey { key throws(AloftError) in
      try translating { () throws(RegistryError) in
        try names.unregister(key.key, target.registryTarget.word)
      }
    }
  }

  /// Hands a name from one target to another in one step: there is no moment at which it is
  /// nobody's, and nobody else can come in between. `expected` may have ended.
  /// - Throws: `nameUnknown`, `notOwner` with the `holder` when it isn't `expected`; else as
  ///   `register`.
  public func replace(
    _ key: some RegistryKey, expected: some RegistryTarget, with target: some RegistryTarget
  ) throws(AloftError) {
    try key.withKey { key throws(AloftError) in
      try translating { () throws(RegistryError) in
        try names.replace(
          key.key, expected.registryTarget.word, with: target.registryTarget.word)
      }
    }
  }

  /// Gives `target` a name, whoever has it; the answer is who had.
  /// - Throws: as `register`, but for `nameTaken`.
  @discardableResult
  public func takeOver(
    _ key: some RegistryKey, _ target: some RegistryTarget
  ) throws(AloftError) -> Target? {
    try key.withKey { key throws(AloftError) in
      let before = try translating { () throws(RegistryError) in
        try names.takeOver(key.key, target.registryTarget.word)
      }
      return before.flatMap { Target($0) }
    }
  }

  // MARK: The whole

  /// Names, numbers, and groups with members: exact when nothing changes, else close.
  public var nameCount: Int { names.nameCount }
  public var idCount: Int { names.idCount }
  public var groupCount: Int { names.groupCount }

  /// Bytes of memory in use, for all of it together.
  public var memoryBytes: Int { names.memoryBytes }

  /// Calls `body` for each name and its target, in no order, until it answers false.
  ///
  /// Nobody is stopped meanwhile. A name that stands from beginning to end comes once; one that
  /// comes or goes meanwhile, once or not at all. On an event loop it takes its time from
  /// everything else there, and while it runs no memory of removed names is used again: some 50 ms
  /// for a million names. `body` may use the registry.
  public func forEachName(_ body: (_ name: RawSpan, _ target: Target) -> Bool) {
    unsafe names.forEachName { name, target in
      guard let target = Target(target) else { return true }
      return unsafe body(name.bytes, target)
    }
  }

  /// The same for the numbers of 64 bits.
  public func forEachID(_ body: (_ id: UInt64, _ target: Target) -> Bool) {
    names.forEachID { id, target in Target(target).map { body(id, $0) } ?? true }
  }

  /// The same for the numbers of 128 bits.
  public func forEachWideID(_ body: (_ id: UInt128, _ target: Target) -> Bool) {
    names.forEachWideID { id, target in
      Target(target).map { body(UInt128(id.high) << 64 | UInt128(id.low), $0) } ?? true
    }
  }

  /// The same for the groups that have members.
  public func forEachGroup(_ body: (_ name: RawSpan, _ members: Int) -> Bool) {
    unsafe names.forEachGroup { name, members in unsafe body(name.bytes, members.count) }
  }
}

extension Runtime {
  /// The names of this runtime's mailboxes and connections.
  public var registry: Registry { Registry(group.names) }
}

extension Registry.Target {
  /// Nil for what is neither: a word of Aloft's own.
  @inline(__always)
  init?(_ target: AloftRegistry.Target) {
    switch target.kind {
    case .mailbox: self = .mailbox(Mailbox(rawValue: target.rawValue))
    case .connection: self = .connection(Connection(ConnectionID(rawValue: target.rawValue)))
    case .word, .record: return nil
    }
  }

  var word: AloftRegistry.Target {
    switch self {
    case .mailbox(let mailbox): .mailbox(mailbox.rawValue)
    case .connection(let connection): .connection(connection.rawValue)
    }
  }
}

/// What a name can stand for: `Mailbox`, `Connection`, or a target that was looked up.
public protocol RegistryTarget {
  var registryTarget: Registry.Target { get }
}

extension Mailbox: RegistryTarget {
  public var registryTarget: Registry.Target { .mailbox(self) }
}

extension Connection: RegistryTarget {
  public var registryTarget: Registry.Target { .connection(self) }
}

extension Registry.Target: RegistryTarget {
  public var registryTarget: Registry.Target { self }
}

extension WideID {
  init(_ id: UInt128) {
    self.init(
      high: UInt64(truncatingIfNeeded: id >> 64), low: UInt64(truncatingIfNeeded: id))
  }
}
