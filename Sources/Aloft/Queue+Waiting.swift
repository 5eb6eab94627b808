internal import AloftAtomics
public import AloftQueue
internal import Synchronization

/// Those who wait at a queue. The lock guards the lists; the counts are looked at without it, so
/// that whoever comes later doesn't overtake.
final class QueueWaiting: @unchecked Sendable {
  // @unchecked: the lock.
  let lock = QueueLock()
  var poppers = QueueWaiterList()
  var pushers = QueueWaiterList()
  let poppersCount = Atomic<Int>(0)
  let pushersCount = Atomic<Int>(0)

  /// With the lock held, after the lists have changed.
  func publishCounts() {
    poppersCount.store(poppers.count, ordering: .relaxed)
    pushersCount.store(pushers.count, ordering: .relaxed)
  }
}

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
    let others =
      block == nil
      ? waiting.poppersCount.load(ordering: .relaxed)
      : waiting.pushersCount.load(ordering: .relaxed)
    if others == 0 {
      let (outcome, after) = tryOnce(block)
      carryOut(after)
      if let outcome, !outcome.isAgain { return outcome }
    }
    let deadline = limit.map { ContinuousClock.now + $0 }
    while true {
      let outcome = await waitOnce(QueueWaiter(block), until: deadline)
      guard outcome.isAgain else { return outcome }
      if Task.isCancelled { return .cancelled }
      if let deadline, deadline <= ContinuousClock.now { return .timedOut }
      // Somebody is in the middle of a push or pop, for some nanoseconds as a rule.
      await Task.yield()
    }
  }

  private func waitOnce(
    _ waiter: QueueWaiter, until deadline: ContinuousClock.Instant?
  ) async -> QueueWaiter.Outcome {
    var alarm: Task<Void, Never>?
    if let deadline {
      alarm = Task {
        do { try await Task.sleep(until: deadline) } catch { return }
        self.leave(waiter, .timedOut)
      }
    }
    let outcome = await withTaskCancellationHandler {
      unsafe await withUnsafeContinuation { continuation in
        unsafe waiter.continuation = continuation
        if let outcome = enter(waiter) { unsafe continuation.resume(returning: outcome) }
      }
    } onCancel: {
      leave(waiter, .cancelled)
    }
    alarm?.cancel()
    return outcome
  }

  // MARK: With the lock

  /// Nil when it is entered and will be resumed by somebody else.
  private func enter(_ waiter: QueueWaiter) -> QueueWaiter.Outcome? {
    let (outcome, after) = waiting.lock.withLock { () -> (QueueWaiter.Outcome?, After) in
      if let early = waiter.early { return (early, .nothing) }
      let isPopper = waiter.block == nil
      if isPopper ? waiting.poppers.count == 0 : waiting.pushers.count == 0 {
        let (outcome, after) = tryOnce(waiter.block)
        if outcome != nil { return (outcome, after) }
        // From now on whoever pushes, or pops, serves the list. `false`: things have changed.
        if !(isPopper ? core.ring.expectItems() : core.ring.expectRoom()) { return (.again, after) }
      }
      if isPopper { waiting.poppers.append(waiter) } else { waiting.pushers.append(waiter) }
      waiting.publishCounts()
      return (nil, .nothing)
    }
    carryOut(after)
    return outcome
  }

  /// What a push or pop leaves to be done without the lock.
  private enum After {
    case nothing
    case pushed(RingPush)
    case popped(RingPop)
  }

  private func carryOut(_ after: After) {
    switch after {
    case .nothing: break
    case .pushed(let answer): pushed(answer)
    case .popped(let answer): popped(answer)
    }
  }

  /// One try to push, or to pop when `block` is nil. No outcome when it has to wait.
  private func tryOnce(_ block: MessageBlock?) -> (QueueWaiter.Outcome?, After) {
    if let block {
      let answer = core.offer(block, exactly: true)
      switch answer {
      case .accepted, .acceptedMustServe: return (.served(nil), .pushed(answer))
      case .full: return (nil, .nothing)
      case .busy: return (.again, .nothing)
      case .closed: return (.closed, .nothing)
      }
    }
    var block: MessageBlock?
    let answer = core.pop(&block, exactly: true)
    switch answer {
    case .item, .itemMustServe: return (.served(block), .popped(answer))
    case .empty: return (nil, .nothing)
    case .busy: return (.again, .nothing)
    case .closed: return (.closed, .nothing)
    }
  }

  /// Gives up, unless it has been served already.
  private func leave(_ waiter: QueueWaiter, _ outcome: QueueWaiter.Outcome) {
    let wasListed = waiting.lock.withLock { () -> Bool in
      guard waiter.isListed else {
        waiter.early = outcome
        return false
      }
      if waiter.block == nil {
        waiting.poppers.remove(waiter)
        if waiting.poppers.count == 0 { core.ring.expectNoItems() }
      } else {
        waiting.pushers.remove(waiter)
        if waiting.pushers.count == 0 { core.ring.expectNoRoom() }
      }
      waiting.publishCounts()
      return true
    }
    if wasListed { unsafe waiter.continuation.unsafelyUnwrapped.resume(returning: outcome) }
  }

  /// Hands out what there is to those who wait, until nobody waits or nothing is left to give.
  func serve() {
    let ready = waiting.lock.withLock { () -> [Served] in
      var ready: [Served] = []
      var more = true
      while more {
        var count = waiting.poppers.count
        _ = core.ring.serveItems(&count) { word in
          let outcome = word.map { QueueWaiter.Outcome.served(MessageBlock(address: $0)) }
          ready.append(Served(waiting.poppers.removeFirst(), outcome ?? .closed))
        }
        count = waiting.pushers.count
        more = core.ring.serveRoom(&count) {
          unsafe waiting.pushers.first.unsafelyUnwrapped.block.unsafelyUnwrapped.word
        } entered: { entered in
          ready.append(Served(waiting.pushers.removeFirst(), entered ? .served(nil) : .closed))
        }
      }
      waiting.publishCounts()
      return ready
    }
    // Without the lock: a task may run at once, and come back here.
    for served in ready { served.resume() }
  }

  @safe
  private struct Served {
    let continuation: UnsafeContinuation<QueueWaiter.Outcome, Never>
    let outcome: QueueWaiter.Outcome

    init(_ waiter: QueueWaiter, _ outcome: QueueWaiter.Outcome) {
      unsafe continuation = waiter.continuation.unsafelyUnwrapped
      self.outcome = outcome
    }

    func resume() { unsafe continuation.resume(returning: outcome) }
  }
}
