internal import AloftEngine
internal import AloftSupervision
internal import AloftUV
import Glibc
import Synchronization

/// Starts workers, watches over them, and starts again those that fail.
///
/// ```swift
/// let supervisor = try await runtime.supervise(.init(strategy: .oneForOne)) {
///   try .worker("orders") { Orders() }
///   try .worker("bills", restart: .transient) { Bills() }
///   try .process("render", .init("/usr/libexec/render", spares: 2), handler: Renders())
/// }
/// let orders = await supervisor.worker("orders")
/// orders?.send(bytes)
/// …
/// await supervisor.shutDown()
/// ```
/// The behaviour is that of Erlang/OTP's `supervisor`, with two departures: the restart intensity
/// scales with the number of children, and one that fails again and again waits in between.
///
/// A supervisor lives on one loop; its workers may live on any. It goes on, and keeps its children,
/// until it is shut down or its runtime is, whether or not this object is kept. All methods may be
/// called from any thread or task; they suspend, never block, and throw `closed` after the end.
/// Complexity: a failure costs O(1), a restart of a group O(its size). Memory: 32 bytes a child
/// for the supervisor, and some 250 for the worker with its empty mailbox and handler.
public final class Supervisor: Sendable {
  private let core: AloftEngine.Supervisor
  private let stocks: ProcessStocks
  /// Whose loops workers are spread over.
  private let group: LoopGroup
  private let broadcast = EventBroadcast()

  init(
    _ options: SupervisorOptions, on loop: EventLoop, of group: LoopGroup
  ) throws(AloftError) {
    core = AloftEngine.Supervisor(
      on: loop.core, options: try options.engineOptions(), seed: .random(in: 0 ... .max))
    stocks = ProcessStocks()
    self.group = group
    let broadcast = broadcast
    let onEvent = options.onEvent
    let stocks = stocks
    core.observer = { event in
      if case .ended = event { stocks.close() }
      guard onEvent != nil || broadcast.isHeard else { return }
      let event = SupervisorEvent(event)
      onEvent?(event)
      broadcast.send(event)
    }
  }

  /// The loop on which it lives.
  public var eventLoop: EventLoop { EventLoop(core.loop) }

  /// Starts it with these children: answered when all have come up.
  func begin(_ children: [SupervisorChild]) async throws {
    let (core, stocks, group) = (core, stocks, group)
    try await eventLoop.run {
      do {
        for child in children { try child.add(to: core, stocks, group, lasts: false) }
      } catch {
        core.shutDown()
        throw error
      }
    }
    unsafe try await withUnsafeThrowingContinuation { continuation in
      let reply = unsafe Reply<Void>(continuation)
      core.loop.executeUnrefused {
        core.begin { end, error in
          let failure = end.map { AloftError.supervisor($0, error) ?? .supervisorClosed }
          reply.resume(with: failure.map { .failure($0) } ?? .success(()))
        }
      }
    }
  }

  /// Stops all children, the last one first, each within its limit. Idempotent; answered when
  /// nothing runs any more.
  public func shutDown() async {
    let (core, stocks) = (core, stocks)
    try? await unsafe withUnsafeThrowingContinuation { continuation in
      let reply = unsafe Reply<Void>(continuation)
      core.loop.executeUnrefused {
        core.shutDown {
          stocks.close()
          reply.resume(with: .success(()))
        }
      }
    }
  }
}

/// Children by name.
extension Supervisor {
  /// The worker of that name; nil when there is none.
  public func worker(_ name: String) async throws -> Worker? {
    let core = core
    return try await eventLoop.run {
      (core.child(named: name) as? MailboxWorker).map { Worker(core: $0) }
    }
  }

  public func process(_ name: String) async throws -> ProcessWorker? {
    let core = core
    return try await eventLoop.run {
      (core.child(named: name) as? AloftEngine.ProcessWorker).map { ProcessWorker(core: $0) }
    }
  }

  /// All workers, in the order of starting. O(children).
  public func workers() async throws -> [Worker] {
    let core = core
    return try await eventLoop.run {
      var all: [Worker] = []
      all.reserveCapacity(core.childCount)
      core.forEachChild { child in
        if let worker = child as? MailboxWorker { all.append(Worker(core: worker)) }
      }
      return all
    }
  }

  /// The workers of the supervisor of that name below this one, in the order of starting; none when
  /// there is no such supervisor.
  public func workers(below name: String) async throws -> [Worker] {
    let core = core
    return try await eventLoop.run {
      var all: [Worker] = []
      (core.child(named: name) as? AloftEngine.Supervisor)?.forEachChild { child in
        if let worker = child as? MailboxWorker { all.append(Worker(core: worker)) }
      }
      return all
    }
  }

  /// All process workers, in the order of starting. O(children).
  public func processes() async throws -> [ProcessWorker] {
    let core = core
    return try await eventLoop.run {
      var all: [ProcessWorker] = []
      core.forEachChild { child in
        if let worker = child as? AloftEngine.ProcessWorker {
          all.append(ProcessWorker(core: worker))
        }
      }
      return all
    }
  }

  /// Adds a child behind the others and starts it; its start may still be under way when this is
  /// answered. When the supervisor is itself restarted by one above, such children are gone.
  /// - Throws: `nameTaken`, `childLimit`, `closed`.
  public func add(_ child: SupervisorChild) async throws {
    _ = try await adding(child)
  }

  /// The same for a worker, which it answers.
  public func addWorker(
    _ name: String? = nil, restart: RestartPolicy = .permanent,
    stopWithin: Duration = .seconds(5), on loop: EventLoop? = nil,
    options: WorkerOptions = .init(),
    _ make: @escaping @Sendable () throws -> some WorkerHandler
  ) async throws -> Worker {
    let child = try SupervisorChild.worker(
      name, restart: restart, stopWithin: stopWithin, on: loop, options: options, make)
    guard let worker = try await adding(child) as? MailboxWorker else {
      throw AloftError.supervisorClosed
    }
    return Worker(core: worker)
  }

  /// The same for a process.
  public func addProcess(
    _ name: String? = nil, _ program: ProcessProgram, restart: RestartPolicy = .permanent,
    stopWithin: Duration = .seconds(5), options: ProcessOptions = .init(),
    handler: some ProcessHandler
  ) async throws -> ProcessWorker {
    let child = try SupervisorChild.process(
      name, program, restart: restart, stopWithin: stopWithin, options: options,
      handler: handler)
    guard let worker = try await adding(child) as? AloftEngine.ProcessWorker else {
      throw AloftError.supervisorClosed
    }
    return ProcessWorker(core: worker)
  }

  private func adding(_ child: SupervisorChild) async throws -> any SupervisedChild {
    let (core, stocks, group) = (core, stocks, group)
    return try await eventLoop.run {
      try child.add(to: core, stocks, group, lasts: false)
    }
  }
}

/// Orders to single children. Each answers false when there is nothing to do: no such child, one
/// that is not in the state for it, or the supervisor is ending.
extension Supervisor {
  /// Stops a child, which stays known: what waits in its mailbox is handled first, then that ends.
  @discardableResult
  public func stop(_ name: String) async throws -> Bool {
    try await order { core in core.find(name).map { core.stopChild($0) } }
  }

  /// Starts a child that is down, or waits for its back-off.
  @discardableResult
  public func start(_ name: String) async throws -> Bool {
    try await order { core in core.find(name).map { core.startChild($0) } }
  }

  /// Stops a child and starts it again, which is no failure; its mailbox and what waits there stay.
  @discardableResult
  public func restart(_ name: String) async throws -> Bool {
    try await order { core in core.find(name).map { core.restartChild($0) } }
  }

  /// Stops a child and forgets it; its name is free when it is down.
  @discardableResult
  public func remove(_ name: String) async throws -> Bool {
    try await order { core in core.find(name).map { core.removeChild($0) } }
  }

  /// The same for a worker of this supervisor without a name.
  @discardableResult
  public func stop(_ worker: Worker) async throws -> Bool {
    try await order { core in Self.place(worker.core, core).map { core.stopChild($0) } }
  }

  @discardableResult
  public func start(_ worker: Worker) async throws -> Bool {
    try await order { core in Self.place(worker.core, core).map { core.startChild($0) } }
  }

  @discardableResult
  public func restart(_ worker: Worker) async throws -> Bool {
    try await order { core in Self.place(worker.core, core).map { core.restartChild($0) } }
  }

  @discardableResult
  public func remove(_ worker: Worker) async throws -> Bool {
    try await order { core in Self.place(worker.core, core).map { core.removeChild($0) } }
  }

  private func order(
    _ body: @escaping @Sendable (AloftEngine.Supervisor) -> Bool?
  ) async throws -> Bool {
    let core = core
    return try await eventLoop.run { body(core) ?? false }
  }

  /// Nil for another supervisor's.
  private static func place(
    _ child: any SupervisedChild, _ core: AloftEngine.Supervisor
  ) -> ChildID? {
    guard let place = child.place, place.supervisor === core else { return nil }
    return place.id
  }
}

/// What it does, and how often.
extension Supervisor {
  /// What happens from now on, until the supervisor ends. Of events that nobody takes, the last
  /// 1,024 are kept.
  public var events: AsyncStream<SupervisorEvent> { broadcast.stream() }

  /// Its counters. Suspends.
  public func statistics() async throws -> SupervisorStatistics {
    let (core, stocks) = (core, stocks)
    return try await eventLoop.run {
      SupervisorStatistics(
        children: core.childCount, restarts: core.restarts, spares: stocks.spareCount)
    }
  }
}

/// Counters of a supervisor.
public struct SupervisorStatistics: Sendable, Hashable {
  /// Children that it knows, running or not.
  public let children: Int
  /// Restarts that were allowed; of a group, one.
  public let restarts: UInt64
  /// Processes that run and wait to be promoted.
  public let spares: Int
}

/// Listeners come from any thread; events come on one loop.
final class EventBroadcast: @unchecked Sendable {
  // @unchecked: the list is guarded by the lock.
  private let lock = SpinLock()
  private var listeners: [AsyncStream<SupervisorEvent>.Continuation] = []
  private let count = Atomic<Int>(0)
  private var hasEnded = false

  var isHeard: Bool { count.load(ordering: .relaxed) > 0 }

  func stream() -> AsyncStream<SupervisorEvent> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: SupervisorEvent.self, bufferingPolicy: .bufferingNewest(1_024))
    lock.withLock {
      if hasEnded {
        continuation.finish()
      } else {
        listeners.append(continuation)
        count.add(1, ordering: .relaxed)
      }
    }
    return stream
  }

  func send(_ event: SupervisorEvent) {
    let told = lock.withLock { listeners }
    for listener in told { listener.yield(event) }
    guard case .ended = event else { return }
    lock.withLock {
      hasEnded = true
      listeners = []
    }
    for listener in told { listener.finish() }
  }
}

/// Held for a few instructions, and hardly ever contended.
private final class SpinLock: Sendable {
  private let isHeld = Atomic<Bool>(false)

  func withLock<Value>(_ body: () -> Value) -> Value {
    while isHeld.exchange(true, ordering: .acquiring) { sched_yield() }
    defer { isHeld.store(false, ordering: .releasing) }
    return body()
  }
}

extension AloftError {
  static let supervisorClosed = AloftError(.closed, "the supervisor has ended")
}

extension Runtime {
  /// Starts a supervisor, and its children one after another in the order in which they stand.
  /// Answered when all have come up.
  ///
  /// - Parameter loop: where it lives; nil for the next in turn.
  /// - Throws: `startFailed` when a child did not come up, and then those that had are stopped
  ///   again; `nameTaken`, `childLimit`, `invalidOption`, `closed`.
  public nonisolated(nonsending) func supervise(
    _ options: SupervisorOptions = .init(), on loop: EventLoop? = nil,
    @SupervisorChildren _ children: () throws -> [SupervisorChild] = { [] }
  ) async throws -> Supervisor {
    let listed = try children()
    let supervisor = try Supervisor(options, on: loop ?? nextEventLoop(), of: group)
    try await supervisor.begin(listed)
    return supervisor
  }

  /// Shuts all supervisors down, the loops' at the same time, each in its own order.
  func shutDownSupervisors(within limit: Duration) async {
    await withTaskGroup { tasks in
      for loop in group.loops {
        tasks.addTask {
          try? await unsafe withUnsafeThrowingContinuation { continuation in
            let reply = unsafe Reply<Void>(continuation)
            loop.executeUnrefused { loop.shutDownSupervisors(within: limit, reply) }
          }
        }
      }
    }
  }
}

extension AloftEngine.EventLoop {
  fileprivate func shutDownSupervisors(within limit: Duration, _ reply: Reply<Void>) {
    let all = Array(workers.supervisors.values)
    guard !all.isEmpty else { return reply.resume(with: .success(())) }
    var left = all.count
    for supervisor in all {
      supervisor.shutDown {
        left -= 1
        if left == 0 { reply.resume(with: .success(())) }
      }
    }
    let wait = UInt64(max(0, limit.milliseconds))
    _ = startTimer(afterMilliseconds: wait, period: 0, beyondLimit: true) {
      reply.resume(with: .success(()))
    }
  }
}
