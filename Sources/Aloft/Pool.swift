internal import AloftEngine
internal import AloftPool
internal import AloftUV
import Synchronization

/// A pool of anything that is opened and closed: connections, files, C handles.
///
/// ```swift
/// let pool = try Pool(runtime, .init(size: 16, overflow: 4)) {
///   try await Upstream.open()
/// } close: { upstream in
///   await upstream.close()
/// } check: { upstream in
///   await upstream.ping()
/// }
/// let answer = try await pool.withLease { upstream in try await upstream.ask("…") }
/// ```
/// A lease is taken where it is cheapest: from what the calling event loop keeps for itself (some
/// 3 ns), else from what is idle for all (some 15 ns), else the caller waits. Those who wait are
/// served in the order in which they came, each handed a resource directly; while anybody waits,
/// nobody takes one without waiting.
///
/// **Threads**: all methods may be called from any thread or task, `local` on an event loop.
/// **Ownership**: a resource belongs to its one borrower until the lease ends. A pool that is
/// released closes what is idle and, later, what is returned. `drain` it before the runtime shuts
/// down, if `close` has something to say to the upstream.
/// **Opening, closing and checking** happen in tasks on the event loop that is the pool's home, one
/// of the runtime's in turn; they may suspend, and must not block.
public final class Pool<Resource: Sendable>: Sendable {
  @usableFromInline let store: PoolStore<Resource>
  private let waitMax: UInt64
  private let sizeLimit: Int

  /// - Throws: `invalidOption`, `poolLimit`.
  public convenience init(
    _ runtime: Runtime, _ options: PoolOptions,
    open: @escaping @Sendable () async throws -> Resource,
    close: @escaping @Sendable (Resource) async -> Void = { _ in },
    check: (@Sendable (Resource) async -> Bool)? = nil
  ) throws(PoolError) {
    try self.init(
      runtime, options, openUpstream: { _ in try await open() }, close: close, check: check)
  }

  /// A pool of default options but for its sizes.
  public convenience init(
    _ runtime: Runtime, size: Int, overflow: Int = 0,
    open: @escaping @Sendable () async throws -> Resource,
    close: @escaping @Sendable (Resource) async -> Void = { _ in }
  ) throws(PoolError) {
    try self.init(
      runtime, .init(size: size, overflow: overflow), openUpstream: { _ in try await open() },
      close: close, check: nil)
  }

  /// A pool of several upstreams, each with a circuit breaker of its own: `openUpstream` is told
  /// which of `options.upstreams` is meant, counted from 0.
  public init(
    _ runtime: Runtime, _ options: PoolOptions,
    openUpstream: @escaping @Sendable (Int) async throws -> Resource,
    close: @escaping @Sendable (Resource) async -> Void,
    check: (@Sendable (Resource) async -> Bool)?
  ) throws(PoolError) {
    store = try PoolStore(
      on: runtime.group.nextLoop(), options: options, loops: runtime.group.loops.count,
      actions: .init(open: openUpstream, close: close, check: check))
    waitMax = try options.waitMax.poolNanoseconds("waitMax")
    sizeLimit = options.slots
    store.home.start()
  }

  deinit { store.home.drain(limit: 0) {} }

  // MARK: Leases

  /// Lends a resource to `body`, waiting for one if need be, and takes it back when `body` returns.
  /// A resource whose borrower throws is checked before it is lent again, and closed if the pool
  /// has no check.
  ///
  /// - Parameter waitMax: for how long to wait at most; nil for what the pool's options say.
  /// - Throws: `PoolError` `timedOut`, `queueFull`, `upstreamDown` or `closed`, each at once when
  ///   it is certain; `CancellationError` when the task is cancelled while it waits; what `body`
  ///   throws.
  public nonisolated(nonsending) func withLease<Value>(
    waitMax: Duration? = nil,
    _ body: nonisolated(nonsending) (Resource) async throws -> Value
  ) async throws -> Value {
    var lease = store.tryTake(store.position())
    if lease == 0 { lease = try await wait(waitMax) }
    // The slot is this task's: nobody else touches its place until the lease has ended.
    let resource = unsafe store.place(of: lease).pointee!
    do {
      let value = try await body(resource)
      // A lease that was taken back in the meantime is over all the same.
      _ = store.giveBack(lease, .sound)
      return value
    } catch {
      _ = store.giveBack(lease, .doubtful)
      throw error
    }
  }

  /// A lease, waited for if need be; it ends with its scope, or with `end`. For what `withLease`
  /// can't express. Throws as that does.
  public nonisolated(nonsending) func lease(waitMax: Duration? = nil) async throws
    -> Lease<Resource>
  {
    let position = store.position()
    var lease = store.tryTake(position)
    if lease == 0 { lease = try await wait(waitMax) }
    return Lease(store, lease, isLoops: position >= 0)
  }

  /// A lease of what is idle just now; nil when nothing is, or somebody waits. Never waits and
  /// opens nothing: use it where a lease is worth having only if it is free.
  @inlinable
  public func tryLease() -> Lease<Resource>? {
    let position = store.position()
    let lease = store.tryTake(position)
    return lease == 0 ? nil : Lease(store, lease, isLoops: position >= 0)
  }

  /// The pool as the calling event loop sees it: its `tryLease` needs not find out where it is.
  /// Traps elsewhere than on an event loop of the pool's runtime.
  public var local: LocalPool<Resource> {
    let position = store.position()
    precondition(position >= 0, "a pool's local part asked for off its runtime's event loops")
    return LocalPool(store, position)
  }

  @inline(__always)
  private nonisolated(nonsending) func wait(_ limit: Duration?) async throws -> UInt64 {
    let timeout = try limit.map { try Optional($0).poolNanoseconds("waitMax") } ?? waitMax
    let waiter = TaskWaiter()
    let home = store.home
    return try await withTaskCancellationHandler {
      unsafe try await withUnsafeThrowingContinuation { continuation in
        unsafe waiter.wait(home, timeout, continuation)
      }
    } onCancel: {
      waiter.cancel(home)
    }
  }

  // MARK: Control

  /// How the pool stands. Waits for the pool's home; the numbers are of one moment there.
  /// - Throws: `closed` after the runtime's end.
  public var statistics: PoolStatistics {
    get async throws {
      unsafe try await withUnsafeThrowingContinuation { continuation in
        let reply = unsafe Reply(continuation)
        store.home.snapshot { reply.resume(with: .success(PoolStatistics($0))) }
      }
    }
  }

  /// Changes the sizes of a pool in use. What is too much is closed when it is idle or returned.
  /// - Throws: `invalidOption` beyond `PoolOptions.sizeLimit`.
  public func resize(size: Int, sizeMin: Int = 0, overflow: Int = 0) throws(PoolError) {
    try PoolOptions.check(sizeMin: sizeMin, size: size, overflow: overflow, limit: sizeLimit)
    store.home.resize(sizeMin: sizeMin, sizeMax: size, overflowMax: overflow)
  }

  /// Refuses those who wait and who come, closes what is idle and what is returned, and answers
  /// when nothing is open. After `limit` what is lent is taken from its borrowers.
  public func drain(within limit: Duration? = nil) async {
    let nanoseconds = (try? limit.poolNanoseconds("limit")) ?? 1
    _ = try? await withUnsafeReply { (reply: Reply<Void>) in
      store.home.drain(limit: nanoseconds) { reply.resume(with: .success(())) }
    }
  }

  private func withUnsafeReply(_ body: (Reply<Void>) -> Void) async throws {
    unsafe try await withUnsafeThrowingContinuation { continuation in
      body(unsafe Reply(continuation))
    }
  }
}

/// A task that waits for a lease. Either its wait begins before it is cancelled, or it sees that
/// it has been.
@safe
final class TaskWaiter: PoolWaiter, @unchecked Sendable {
  // @unchecked: the continuation is set before the waiter is known to anybody who answers, and
  // taken by the one who does.
  private var continuation: UnsafeContinuation<UInt64, any Error>?
  /// 0: neither; 1: waits; 2: cancelled.
  private let state = Atomic<Int>(0)

  /// Released unanswered: its home's loop has ended.
  deinit { unsafe continuation?.resume(throwing: PoolError(.closed)) }

  func wait(
    _ home: PoolHome, _ timeout: UInt64, _ continuation: UnsafeContinuation<UInt64, any Error>
  ) {
    guard state.load(ordering: .acquiring) == 0 else {
      return unsafe continuation.resume(throwing: CancellationError())
    }
    unsafe self.continuation = unsafe continuation
    home.wait(self, timeout: timeout)
    // Cancelled meanwhile, by one who found nobody waiting.
    if state.exchange(1, ordering: .acquiringAndReleasing) == 2 { home.cancel(self) }
  }

  func cancel(_ home: PoolHome) {
    if state.exchange(2, ordering: .acquiringAndReleasing) == 1 { home.cancel(self) }
  }

  private func take() -> UnsafeContinuation<UInt64, any Error>? {
    defer { unsafe continuation = nil }
    return unsafe continuation
  }

  override func granted(_ lease: UInt64) { unsafe take()?.resume(returning: lease) }

  override func refused(_ refusal: PoolRefused) {
    let error: any Error = refusal == .cancelled ? CancellationError() : PoolError(refusal)
    unsafe take()?.resume(throwing: error)
  }
}
