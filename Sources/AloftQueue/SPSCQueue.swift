public import AloftAtomics

/// A bounded queue of messages from one thread to one other.
///
/// ```swift
/// let queue = SPSCQueue(capacity: 1_024)
/// if queue.push(message) == .full { /* it was released; push a block to keep it */ }   // producer
/// while let message = queue.pop() { handle(message) }                                  // consumer
/// ```
/// Who may call: one thread pushes and closes, one thread pops and asks for the oldest; any thread
/// asks for the statistics. No call waits, blocks or allocates, and none needs a locked
/// instruction. What is still inside at the end is released.
///
/// A full queue refuses: to drop the oldest, the producer would have to be a second consumer. Every
/// answer is exact as far as each side can know: what the other has done before, in the sense of
/// release and acquire, is seen.
public struct SPSCQueue: ~Copyable, Sendable {
  @usableFromInline let block: WordBlock
  @usableFromInline let ring: SPSCRingCore<HardwareMemory>
  @usableFromInline let state: SPSCRingEnd<HardwareMemory>
  public let capacity: Int

  /// `capacity` is rounded up to a power of two.
  public init(capacity: Int) {
    typealias Ring = SPSCRingCore<HardwareMemory>
    let options = QueueOptions(capacity: capacity)
    let words = Ring.words(capacity: options.slots)
    block = WordBlock(words: words + SPSCRingEnd<HardwareMemory>.words)
    ring = Ring(memory: block.memory, capacity: options.slots)
    state = SPSCRingEnd(memory: block.memory.advanced(by: words))
    self.capacity = options.slots
  }

  deinit {
    while let word = ring.pop() { MessageBlock.release(MessageBlock(address: word)) }
  }

  // MARK: Producer

  /// Producer. A message that isn't accepted is released.
  @inlinable
  public func push(_ message: consuming Message) -> RingPush {
    let block = message.take()
    let answer = push(block)
    if answer != .accepted { MessageBlock.release(block) }
    return answer
  }

  /// Producer. `accepted`, and the reference is the queue's; `full` or `closed`, and it is the
  /// caller's still.
  @inlinable
  public func push(_ block: MessageBlock) -> RingPush {
    if state.isClosed {
      state.countRefused()
      return .closed
    }
    if ring.push(block.word, .release) { return .accepted }
    state.countRefused()
    return .full
  }

  /// Producer. Idempotent. What is inside can still be popped.
  @inlinable
  public func close() { state.close() }

  // MARK: Consumer

  /// Consumer. The oldest message; nil when there is none.
  @inlinable
  public func pop() -> Message? {
    ring.pop().map { Message(adopting: MessageBlock(address: $0)) }
  }

  /// Consumer. `item`, and `block` is set and its reference the caller's; `empty`; or `closed`:
  /// nothing is inside and nothing will come.
  @inlinable
  public func pop(_ block: inout MessageBlock?) -> RingPop {
    var word: UInt = 0
    let answer = state.pop(from: ring, &word)
    if answer == .item { block = MessageBlock(address: word) }
    return answer
  }

  /// Consumer. Up to `limit` messages at once, oldest first; the answer is how many.
  @inlinable
  public func pop(limit: Int, _ body: (consuming Message) -> Void) -> Int {
    var count = 0
    while count < limit, let message = pop() {
      body(message)
      count += 1
    }
    return count
  }

  /// Consumer. When the oldest message arrived, by the clock that its sender wrote it with, in
  /// milliseconds cut to 32 bits; nil when there is none.
  @inlinable
  public var oldestArrived: UInt32? {
    ring.peek().map { unsafe MessageBlock(address: $0).header.pointee.arrived }
  }

  /// Any thread. See ``QueueStatistics``; nothing is ever dropped.
  public var statistics: QueueStatistics {
    let taken = ring.taken
    return QueueStatistics(
      accepted: ring.accepted, taken: taken, refused: state.refused, dropped: 0)
  }
}
