import AloftAtomics
import AloftEngine
import AloftQueue
import CAloft
import Glibc

// `aloft/queue.h` is the manual of both functions.

@c @implementation
public func aloft_queue_push_within(
  _ queue: OpaquePointer!, _ message: OpaquePointer!, _ timeout_ms: UInt32
) -> Int32 {
  reporting { () throws(Failure) in
    let box = unsafe try QueueBox.of(queue)
    guard let block = unsafe MessageBlock(message) else { throw .null("message") }
    let outcome = try box.wait(block, timeout_ms)
    if case .served = outcome { return Code.success }
    box.queue.counters.countRefused()
    return outcome.refusal
  }
}

@c @implementation
public func aloft_queue_pop_within(
  _ queue: OpaquePointer!, _ message: UnsafeMutablePointer<OpaquePointer?>!, _ timeout_ms: UInt32
) -> Int32 {
  reporting { () throws(Failure) in
    let box = unsafe try QueueBox.of(queue)
    guard let message = unsafe message else { throw .null("message") }
    let outcome = try box.wait(nil, timeout_ms)
    guard case .served(let block?) = outcome else { return outcome.refusal }
    unsafe message.pointee = unsafe block.pointer
    return Code.success
  }
}

extension QueueWaiter.Outcome {
  /// That time is up, or that it is closed, is a matter of course: no message is made.
  fileprivate var refusal: Int32 { if case .closed = self { Code.closed } else { Code.timedOut } }
}

extension QueueBox {
  /// Pushes `block`, or pops when it is nil, and blocks until that is done, or time is up.
  fileprivate func wait(
    _ block: MessageBlock?, _ milliseconds: UInt32
  ) throws(Failure) -> QueueWaiter.Outcome {
    guard EventLoop.current == nil else {
      throw Failure(Code.wrongThread, "an event loop's thread can't wait at a queue")
    }
    var (outcome, after) = waiting.tryInTurn(block, at: queue)
    carryOut(after)
    let deadline = WaitDeadline(milliseconds: milliseconds)
    while true {
      if let outcome, !outcome.isAgain { return outcome }
      // Once it has been tried, so that 0 means one try; not to wait behind others is one, too.
      if outcome == nil ? milliseconds == 0 : deadline.isPast { return .timedOut }
      if outcome != nil { sched_yield() }
      outcome = waitOnce(ThreadQueueWaiter(block), until: deadline)
    }
  }

  private func waitOnce(
    _ waiter: ThreadQueueWaiter, until deadline: WaitDeadline
  ) -> QueueWaiter.Outcome {
    let (outcome, after) = waiting.enter(waiter, at: queue)
    carryOut(after)
    if let outcome { return outcome }
    if let outcome = waiter.wait(until: deadline) { return outcome }
    // Either it leaves, or it has been served and hears of it at once: both resume it.
    waiting.leave(waiter, .timedOut, at: queue)
    return waiter.wait()
  }
}

/// A moment on the system's monotonic clock; nil is never.
private struct WaitDeadline {
  let time: timespec?

  /// ALOFT_NEVER is no limit.
  init(milliseconds: UInt32) {
    guard milliseconds != .max else {
      time = nil
      return
    }
    var now = Self.now
    now.tv_sec += Int(milliseconds / 1_000)
    now.tv_nsec += Int(milliseconds % 1_000) * 1_000_000
    if now.tv_nsec >= 1_000_000_000 {
      now.tv_sec += 1
      now.tv_nsec -= 1_000_000_000
    }
    time = now
  }

  private static var now: timespec {
    var now = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    return now
  }

  var isPast: Bool {
    guard let time else { return false }
    let now = Self.now
    return (now.tv_sec, now.tv_nsec) >= (time.tv_sec, time.tv_nsec)
  }
}

/// A thread that waits at a queue.
@safe
private final class ThreadQueueWaiter: QueueWaiter, @unchecked Sendable {
  // @unchecked: what it guards is touched under the mutex.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var outcome: Outcome?

  override init(_ block: MessageBlock?) {
    unsafe mutex = .allocate(capacity: 1)
    unsafe condition = .allocate(capacity: 1)
    unsafe mutex.initialize(to: pthread_mutex_t())
    unsafe condition.initialize(to: pthread_cond_t())
    var attributes = pthread_condattr_t()
    unsafe pthread_condattr_init(&attributes)
    unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    unsafe pthread_mutex_init(mutex, nil)
    unsafe pthread_cond_init(condition, &attributes)
    unsafe pthread_condattr_destroy(&attributes)
    super.init(block)
  }

  deinit {
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  override func resume(_ outcome: Outcome) {
    unsafe pthread_mutex_lock(mutex)
    self.outcome = outcome
    unsafe pthread_cond_signal(condition)
    unsafe pthread_mutex_unlock(mutex)
  }

  /// Nil when time is up and nobody has resumed it.
  func wait(until deadline: WaitDeadline) -> Outcome? {
    guard var time = deadline.time else { return wait() }
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    while outcome == nil {
      if unsafe pthread_cond_timedwait(condition, mutex, &time) == ETIMEDOUT { break }
    }
    return outcome
  }

  func wait() -> Outcome {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    while true {
      if let outcome { return outcome }
      unsafe pthread_cond_wait(condition, mutex)
    }
  }
}
