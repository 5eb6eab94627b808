public import AloftAtomics

/// A resource on loan. It goes back to its pool at the end of its scope, or with `end`.
///
/// ```swift
/// if let lease = pool.tryLease() { lease.resource.use() }
/// ```
/// **Threads**: it may be sent to another thread, and ends wherever it is; it ends cheapest where
/// it began. **Ownership**: the resource is the holder's alone until then; a copy of it must not be
/// used any more afterwards.
@safe
public struct Lease<Resource: Sendable>: ~Copyable, Sendable {
  // Unretained: the pool's home holds it until the last lease has ended.
  @usableFromInline let store: Unmanaged<PoolStore<Resource>>
  /// The lease by name: pool 12 bits, slot 12, generation 40.
  public let rawValue: UInt64
  /// It began on a loop, which keeps the resource if the lease ends there, too.
  @usableFromInline let isLoops: Bool

  @inlinable @inline(__always)
  init(_ store: PoolStore<Resource>, _ lease: UInt64, isLoops: Bool) {
    unsafe self.store = .passUnretained(store)
    rawValue = lease
    self.isLoops = isLoops
  }

  @inlinable @inline(__always)
  deinit {
    _ = unsafe store._withUnsafeGuaranteedRef { [rawValue, isLoops] in
      isLoops ? $0.giveBack(rawValue) : $0.giveBackShared(rawValue)
    }
  }

  @inlinable public var resource: Resource {
    unsafe store._withUnsafeGuaranteedRef { [rawValue] in
      unsafe $0.place(of: rawValue).pointee!
    }
  }

  /// Returns the resource now.
  /// - Throws: `staleLease` when the pool has taken it back meanwhile, because it was lent for
  ///   longer than `leaseMax`.
  public consuming func end() throws(PoolError) { try end(.sound) }

  /// Returns a resource that is broken, or may be: it is closed, and another one is opened if need
  /// be. Throws as `end`.
  public consuming func discard() throws(PoolError) { try end(.broken) }

  consuming func end(_ ending: LeaseEnding) throws(PoolError) {
    let store = unsafe store.takeUnretainedValue()
    let lease = rawValue
    discard self
    if !store.giveBack(lease, ending) { throw PoolError.stale(lease) }
  }
}

/// A pool as one event loop sees it: a value to keep and use on that loop alone.
@safe
public struct LocalPool<Resource: Sendable> {
  /// Keeps the store; what is hot goes through `store`, so that no lease counts a reference. An
  /// object of its own, because a copy of this value counts a reference to it, and loops that all
  /// counted the store's would wait for each other's cache line.
  private let keeper: Keeper
  @usableFromInline let store: Unmanaged<PoolStore<Resource>>
  @usableFromInline let position: Int

  init(_ store: PoolStore<Resource>, _ position: Int) {
    keeper = Keeper(store)
    unsafe self.store = .passUnretained(store)
    self.position = position
  }

  private final class Keeper {
    private let store: PoolStore<Resource>
    init(_ store: PoolStore<Resource>) { self.store = store }
  }

  /// A lease of what is idle just now, the loop's own first; nil when nothing is, or somebody
  /// waits.
  @inlinable @inline(__always)
  public func tryLease() -> LocalLease<Resource>? {
    let (store, position) = unsafe (store, position)
    var lease = unsafe store._withUnsafeGuaranteedRef { $0.core.takeKept(by: position) }
    if lease == 0 { lease = unsafe store._withUnsafeGuaranteedRef { $0.takeShared() } }
    return lease == 0 ? nil : unsafe LocalLease(store, position, lease)
  }
}

@available(*, unavailable)
extension LocalPool: Sendable {}

/// A lease that began and ends on one event loop: two loads and two stores each.
///
@safe
public struct LocalLease<Resource: Sendable>: ~Copyable {
  @usableFromInline let store: Unmanaged<PoolStore<Resource>>
  @usableFromInline let position: Int
  @usableFromInline let lease: UInt64

  @inlinable @inline(__always)
  init(_ store: Unmanaged<PoolStore<Resource>>, _ position: Int, _ lease: UInt64) {
    unsafe self.store = unsafe store
    self.position = position
    self.lease = lease
  }

  @inlinable @inline(__always)
  deinit {
    unsafe store._withUnsafeGuaranteedRef { [position, lease] in
      if !$0.core.keepOwn(LeaseHandle(rawValue: lease), on: position) {
        $0.giveBackElsewhere(lease, from: position)
      }
    }
  }

  @inlinable @inline(__always)
  public var resource: Resource {
    unsafe store._withUnsafeGuaranteedRef { [lease] in unsafe $0.place(of: lease).pointee! }
  }

  /// The lease by name: pool 12 bits, slot 12, generation 40.
  public var rawValue: UInt64 {
    unsafe store._withUnsafeGuaranteedRef { [lease] in lease | $0.tag }
  }
}

@available(*, unavailable)
extension LocalLease: Sendable {}
