internal import AloftAtomics
internal import AloftEngine
internal import AloftRegistry
import Synchronization

extension Registry {
  /// One change of whom a name stands for, or of a group's members.
  public struct Change: Hashable, Sendable {
    /// Whom the name no longer stands for; who has left the group.
    public let gone: Target?
    /// Whom it stands for from now on; who has joined. With both, it was handed over in one step.
    public let came: Target?

    init(_ change: NameChange) {
      gone = change.gone.flatMap { Target($0) }
      came = change.came.flatMap { Target($0) }
    }
  }

  /// Has `body` told of each change of a key from now on: in order, each exactly once.
  ///
  /// ```swift
  /// let watch = try registry.watch("orders", on: loop) { change in
  ///   print("orders:", change.gone, "->", change.came)
  /// }
  /// print("for now:", watch.initial)
  /// ```
  /// `body` is called on `loop` and must not block. A change is told after it has happened, so the
  /// name may stand for another one by then, who is told of next. Changes that the loop has not
  /// come to wait, without a bound, some 64 bytes each. A watched name costs a look-up two more
  /// loads, and a change an allocation.
  ///
  /// Any thread; never blocks. The watch lasts until it is cancelled or released.
  /// - Throws: `nameEmpty`, `nameTooLong`.
  public func watch(
    _ key: some RegistryKey, on loop: EventLoop, _ body: @escaping @Sendable (Change) -> Void
  ) throws(AloftError) -> Watch {
    let watch = LoopWatch(on: loop.core) { body(Change($0)) }
    return try key.withKey { (key: HashedKey) throws(AloftError) in
      let initial = names.watch(key.key, watch)
      return Watch(
        names, watch, WatchedKey(key.key),
        initial: initial.flatMap { Target($0) }.map { [$0] } ?? [])
    }
  }

  /// A watch under way.
  public final class Watch: Sendable {
    /// Whom the name stood for when the watch began; what has changed since is told.
    public var initial: Target? { initialMembers.first }
    /// The same for a group.
    public let initialMembers: [Target]
    private let names: Names
    private let watch: LoopWatch
    private let key: WatchedKey
    private let isCancelled = Atomic<Bool>(false)

    init(_ names: Names, _ watch: LoopWatch, _ key: WatchedKey, initial: [Target]) {
      self.names = names
      self.watch = watch
      self.key = key
      initialMembers = initial
    }

    deinit { cancel() }

    /// Nothing more is told from when this returns; only a call that has begun on the watch's loop
    /// goes on, when this is another thread. Any thread, also from within the call. Idempotent.
    public func cancel() {
      guard !isCancelled.exchange(true, ordering: .acquiringAndReleasing) else { return }
      key.withKey { key, isGroup in
        if case .name(let name) = key, isGroup {
          names.unwatch(group: name, watch)
        } else {
          names.unwatch(key, watch)
        }
      }
    }
  }
}

extension Registry.Group {
  /// Has `body` told of each member that joins or leaves from now on. See `Registry.watch`.
  public func watch(
    on loop: EventLoop, _ body: @escaping @Sendable (Registry.Change) -> Void
  ) -> Registry.Watch {
    let watch = LoopWatch(on: loop.core) { body(Registry.Change($0)) }
    return name.withKey { key in
      let members = registry.names.watch(group: key, watch)
      return Registry.Watch(
        registry.names, watch, .group(name), initial: members.compactMap { Registry.Target($0) })
    }
  }
}

/// A key that is kept.
enum WatchedKey: Sendable {
  case name([UInt8], hash: UInt)
  case group(Registry.Name)
  case id(UInt64)
  case wideID(WideID)

  init(_ key: AloftRegistry.RegistryKey) {
    self =
      switch key {
      case .name(let name): .name(name.bytes, hash: name.hash)
      case .id(let id): .id(id)
      case .wideID(let id): .wideID(id)
      }
  }

  func withKey(_ body: (AloftRegistry.RegistryKey, _ isGroup: Bool) -> Void) {
    switch self {
    case .name(let bytes, let hash):
      unsafe bytes.span.bytes.withUnsafeBytes { unsafe body(.name(NameKey($0, hash: hash)), false) }
    case .group(let name): name.withKey { body(.name($0), true) }
    case .id(let id): body(.id(id), false)
    case .wideID(let id): body(.wideID(id), false)
    }
  }
}
