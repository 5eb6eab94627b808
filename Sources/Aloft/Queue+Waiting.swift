internal import AloftAtomics
internal import AloftEngine
public import AloftQueue

extension Queue {
  /// Pushes when there is room, after those who wait already. Suspends while the queue is full.
  ///
  /// ```swift
  /// try await queue.push(Message(copying: bytes), within: .milliseconds(5))
  /// ```
  /// - Parameter limit: how long to wait at most; without bound if nil.
  /// - Throws: `AloftError` `timedOut` when there was no room in time, `closed` when the queue is
  ///   closed; `CancellationError`. The message is released then.
  public func push(_ message: consuming Message, within limit: Duration? = nil) async throws {
    let block = message.take()
    let outcome = await wait(forRoomFor: block, within: limit)
    if case .served = outcome { return }
    MessageBlock.release(block)
    core.counters.countRefused()
    try Self.fail(outcome, "the queue was full", limit)
  }

  /// The oldest message, after those who wait already have theirs. Suspends while the queue is
  /// empty; nil once it is closed and empty.
  ///
  /// - Parameter limit: how long to wait at most; without bound if nil.
  /// - Throws: `AloftError` `timedOut` when none came in time; `CancellationError`. The caller then
  ///   has no message, and none is lost.
  public func pop(within limit: Duration? = nil) async throws -> Message? {
    let outcome = await wait(forRoomFor: nil, within: limit)
    switch outcome {
    case .served(let block): return block.map { Message(adopting: $0) }
    case .closed: return nil
    case .cancelled, .timedOut, .again:
      try Self.fail(outcome, "the queue was empty", limit)
      return nil
    }
  }

  private static func fail(
    _ outcome: QueueWaiter.Outcome, _ what: String, _ limit: Duration?
  ) throws {
    switch outcome {
    case .timedOut: throw AloftError(.timedOut, "\(what) for \(limit ?? .zero)")
    case .cancelled: throw CancellationError()
    case .served, .closed, .again: throw AloftError(.closed, "the queue is closed")
    }
  }

  /// For a message, when `block` is nil.
  private func wait(
    forRoomFor block: MessageBlock?, within limit: Duration?
  ) async -> QueueWaiter.Outcome {
    let (outcome, after) = waiting.tryInTurn(block, at: core)
    carryOut(after)
    if let outcome, !outcome.isAgain { return outcome }
    let deadline = limit.map { ContinuousClock.now + $0 }
    while true {
      let outcome = await waitOnce(TaskQueueWaiter(block), until: deadline)
      guard outcome.isAgain else { return outcome }
      if Task.isCancelled { return .cancelled }
      if let deadline, deadline <= ContinuousClock.now { return .timedOut }
      // Somebody is in the middle of a push or pop, for some nanoseconds as a rule.
      await Task.yield()
    }
  }

  private func waitOnce(
    _ waiter: TaskQueueWaiter, until deadline: ContinuousClock.Instant?
  ) async -> QueueWaiter.Outcome {
    var alarm: Task<Void, Never>?
    if let deadline {
      alarm = Task {
        do { try await Task.sleep(until: deadline) } catch { return }
        self.waiting.leave(waiter, .timedOut, at: self.core)
      }
    }
    let outcome = await withTaskCancellationHandler {
      unsafe await withUnsafeContinuation { continuation in
        unsafe waiter.continuation = continuation
        let (outcome, after) = waiting.enter(waiter, at: core)
        carryOut(after)
        if let outcome { unsafe continuation.resume(returning: outcome) }
      }
    } onCancel: {
      waiting.leave(waiter, .cancelled, at: core)
    }
    alarm?.cancel()
    return outcome
  }

  private func carryOut(_ after: QueueWaiting.After) {
    switch after {
    case .nothing: break
    case .pushed(let answer): pushed(answer)
    case .popped(let answer): popped(answer)
    }
  }
}

/// A task that waits at a queue.
@safe
private final class TaskQueueWaiter: QueueWaiter, @unchecked Sendable {
  // @unchecked: set before it is entered, read by the one who resumes it.
  var continuation: UnsafeContinuation<Outcome, Never>?

  override func resume(_ outcome: Outcome) {
    unsafe continuation.unsafelyUnwrapped.resume(returning: outcome)
  }
}
