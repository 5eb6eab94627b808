internal import AloftQueue

/// A task that waits at a queue: for a message, or for room for its own.
@safe
final class QueueWaiter: @unchecked Sendable {
  // @unchecked: the queue's lock guards everything.

  enum Outcome {
    /// With the message, for who waits for one.
    case served(MessageBlock?)
    case closed
    case cancelled
    case timedOut
    /// Things have changed since its last try: it tries again.
    case again

    var isAgain: Bool { if case .again = self { true } else { false } }
  }

  /// The message of who waits for room; its reference is the waiter's until it is in.
  let block: MessageBlock?
  var continuation: UnsafeContinuation<Outcome, Never>?
  /// What was decided before it came to wait.
  var early: Outcome?
  fileprivate(set) var isListed = false
  fileprivate var next: QueueWaiter?
  fileprivate weak var previous: QueueWaiter?

  init(_ block: MessageBlock? = nil) { self.block = block }
}

/// Those who wait, in the order in which they came. Anyone can leave at once.
struct QueueWaiterList {
  private(set) var count = 0
  private(set) var first: QueueWaiter?
  private weak var last: QueueWaiter?

  mutating func append(_ waiter: QueueWaiter) {
    waiter.isListed = true
    waiter.previous = last
    if let last { last.next = waiter } else { first = waiter }
    last = waiter
    count += 1
  }

  mutating func remove(_ waiter: QueueWaiter) {
    waiter.isListed = false
    if let previous = waiter.previous { previous.next = waiter.next } else { first = waiter.next }
    if let next = waiter.next { next.previous = waiter.previous } else { last = waiter.previous }
    waiter.next = nil
    waiter.previous = nil
    count -= 1
  }

  mutating func removeFirst() -> QueueWaiter {
    let waiter = unsafe first.unsafelyUnwrapped
    remove(waiter)
    return waiter
  }
}
