public import AloftQueue

/// Somebody who waits at a queue: for a message, or for room for a message of its own. A task in
/// Swift, a thread in C.
///
/// Open, and so public, for the reason that `ConnectionHandler` is.
@safe
open class QueueWaiter: @unchecked Sendable {
  // @unchecked: the queue's lock guards everything here; subclasses prove their own.

  public enum Outcome: Sendable {
    /// With the message, for who waits for one.
    case served(MessageBlock?)
    case closed
    case cancelled
    case timedOut
    /// Things have changed since its last try: it tries again.
    case again

    package var isAgain: Bool { if case .again = self { true } else { false } }
  }

  /// The message of who waits for room; its reference is the waiter's until it is in.
  package let block: MessageBlock?
  /// What was decided before it came to wait.
  var early: Outcome?
  fileprivate(set) var isListed = false
  fileprivate var next: QueueWaiter?
  fileprivate weak var previous: QueueWaiter?

  public init(_ block: MessageBlock? = nil) { self.block = block }

  /// Called once for each time that it was entered, by whoever serves it or has it leave, without
  /// the queue's lock.
  open func resume(_ outcome: Outcome) {}
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
