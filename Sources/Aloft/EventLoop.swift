internal import AloftEngine

/// One of a runtime's event loops.
///
/// As an executor it runs actors and tasks on its own thread, within its turns:
/// ```swift
/// actor Room {
///   let loop: EventLoop
///   nonisolated var unownedExecutor: UnownedSerialExecutor { loop.unownedExecutor }
///   …
/// }
/// await withTaskExecutorPreference(loop.executor) { … }   // or a task
/// ```
/// Code there must not block. Awaiting an actor of the same loop needs no other thread. Tasks that
/// outlive the runtime go on, one at a time still, but on threads of Swift's own choice.
public struct EventLoop: Sendable, Hashable {
  let core: AloftEngine.EventLoop

  init(_ core: AloftEngine.EventLoop) { self.core = core }

  /// Its place in `Runtime.eventLoops`.
  public var index: Int { core.position }

  /// The loop whose thread this is; nil elsewhere.
  public static var current: EventLoop? { AloftEngine.EventLoop.current.map { EventLoop($0) } }

  /// Whether this is the loop's thread.
  public var isCurrent: Bool { core.isCurrent }

  public var unownedExecutor: UnownedSerialExecutor { unsafe core.unownedExecutor }

  /// The loop as an executor of tasks and actors.
  public var executor: any TaskExecutor & SerialExecutor { core }

  /// Has `body` run on the loop, after what the same thread has sent it before. Any thread; never
  /// blocks. A sleeping loop is woken, which costs 36-50 us; one that works isn't.
  ///
  /// - Throws: `inboxFull` when as many jobs wait as may (try later), `closed` after the end.
  public func execute(_ body: sending @escaping () -> Void) throws(AloftError) {
    do throws(EngineError) {
      try core.execute(body)
    } catch {
      throw AloftError(error)
    }
  }

  /// Runs `body` on the loop and answers its result. Any thread; suspends, never blocks.
  public func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws
    -> Value
  {
    if isCurrent { return try body() }
    return unsafe try await withUnsafeThrowingContinuation { continuation in
      let reply = unsafe Reply(continuation)
      core.executeUnrefused { reply.resume(with: Result { try body() }) }
    }
  }

  /// Calls `body` on the loop, `delay` from this moment at the soonest and a millisecond or the
  /// loop's business later, and again every `period` if there is one. On the loop's thread only.
  /// - Throws: `timerLimit` when `timersMax` run.
  @discardableResult
  public func schedule(
    after delay: Duration, repeating period: Duration? = nil, _ body: @escaping () -> Void
  ) throws(AloftError) -> Timer {
    let every = try period.milliseconds("period")
    let wait = UInt64(max(0, delay.milliseconds))
    guard let id = core.startTimer(afterMilliseconds: wait, period: every, body) else {
      throw AloftError(.timerLimit, "\(core.options.timersMax) timers run on event loop \(index)")
    }
    return Timer(id: id)
  }

  public static func == (a: EventLoop, b: EventLoop) -> Bool { a.core === b.core }

  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(core)) }
}

/// A timer of an event loop, by value: eight bytes that name it and don't hold it. Calls belong to
/// that loop's thread.
public struct Timer: Hashable, Sendable {
  let id: TimerID

  /// Moves it to `delay` from now; false when it has fired for the last time or was cancelled.
  @discardableResult
  public func rearm(after delay: Duration) -> Bool {
    unsafe AloftEngine.EventLoop.owner(of: id)?._withUnsafeGuaranteedRef {
      $0.rearmTimer(id, afterMilliseconds: UInt64(max(0, delay.milliseconds)))
    } ?? false
  }

  /// False when it has fired for the last time or was cancelled before.
  @discardableResult
  public func cancel() -> Bool {
    unsafe AloftEngine.EventLoop.owner(of: id)?._withUnsafeGuaranteedRef { $0.cancelTimer(id) }
      ?? false
  }
}
