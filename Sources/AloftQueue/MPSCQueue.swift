public import AloftAtomics

/// A bounded queue of messages from any threads to one.
///
/// ``MPMCQueue`` with one consumer, which therefore may look at the message that comes next. A full
/// queue refuses: to drop the oldest, producers would have to be consumers as well.
///
/// Who may call: any thread pushes, closes and asks for the statistics; one thread pops and asks
/// for the oldest. No call waits, blocks or allocates.
public struct MPSCQueue: ~Copyable, Sendable {
  @usableFromInline let queue: MPMCQueue

  /// `capacity` is rounded up to a power of two.
  public init(capacity: Int, highWater: Int = .max, lowWater: Int = 0) {
    queue = MPMCQueue(
      QueueOptions(capacity: capacity, highWater: highWater, lowWater: lowWater))
  }

  @inlinable public var capacity: Int { queue.capacity }

  /// Any thread. A message that isn't accepted is released. `exactly` as in ``MPMCQueue``.
  @inlinable
  public func push(_ message: consuming Message, exactly: Bool = false) -> RingPush {
    queue.push(message, exactly: exactly)
  }

  /// Any thread. The reference is the queue's when it is accepted, and the caller's else.
  @inlinable
  public func push(_ block: MessageBlock, exactly: Bool = false) -> RingPush {
    queue.push(block, exactly: exactly)
  }

  /// Any thread; idempotent. A push that is under way is delivered or refused.
  public func close() { _ = queue.close() }

  /// Consumer. The oldest message; nil when there is none.
  @inlinable
  public func pop() -> Message? { queue.pop() }

  /// Consumer. See ``MPMCQueue``.
  @inlinable
  public func pop(_ block: inout MessageBlock?, exactly: Bool = true) -> RingPop {
    queue.pop(&block, exactly: exactly)
  }

  /// Consumer. Up to `limit` messages at once, oldest first; the answer is how many.
  @inlinable
  public func pop(limit: Int, _ body: (consuming Message) -> Void) -> Int {
    var mustServe = false
    return queue.pop(limit: limit, mustServe: &mustServe, body)
  }

  /// Consumer. When the oldest message arrived, by the clock that its sender wrote it with, in
  /// milliseconds cut to 32 bits; nil when there is none.
  @inlinable
  public var oldestArrived: UInt32? {
    queue.ring.peek().map { unsafe MessageBlock(address: $0).header.pointee.arrived }
  }

  /// Any thread.
  public var statistics: QueueStatistics { queue.statistics }

  /// After a push: `true` when it went above the high-water mark.
  @inlinable
  public func roseAboveHighWater() -> Bool { queue.roseAboveHighWater() }

  /// After a pop: `true` when it is down to the low-water mark.
  @inlinable
  public func fellToLowWater() -> Bool { queue.fellToLowWater() }
}
