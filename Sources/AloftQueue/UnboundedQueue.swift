public import AloftAtomics

/// A queue of messages from any threads to one, without a bound: for what may not be refused. The
/// messages themselves are its memory, so it takes what the process has.
///
/// Who may call: any thread pushes, closes and asks for the statistics; one thread pops and asks
/// for the oldest. No call waits, blocks or allocates. What is still inside at the end is released.
public struct UnboundedQueue: ~Copyable, Sendable {
  @usableFromInline let block: WordBlock
  @usableFromInline let core: UnboundedQueueCore<HardwareMemory>
  @usableFromInline let state: UnboundedQueueState<HardwareMemory>

  public init() {
    block = WordBlock(words: 16 + UnboundedQueueState<HardwareMemory>.words)
    core = UnboundedQueueCore(memory: block.memory)
    state = UnboundedQueueState(memory: block.memory.advanced(by: 16))
  }

  deinit { while let message = pop() { _ = consume message } }

  // MARK: Producers

  /// Any thread. `accepted`, or `closed` and it is released.
  @inlinable
  public func push(_ message: consuming Message) -> RingPush {
    let block = message.take()
    let answer = push(block)
    if answer != .accepted { MessageBlock.release(block) }
    return answer
  }

  /// Any thread. `accepted`, and the reference is the queue's; `closed`, and it is the caller's.
  @inlinable
  public func push(_ block: MessageBlock) -> RingPush {
    // Before, so that a message is never counted out before it is counted in.
    state.add(UnboundedQueueState<HardwareMemory>.pushed, 1)
    if core.push(block.word) { return .accepted }
    state.add(UnboundedQueueState<HardwareMemory>.refused, 1)
    return .closed
  }

  /// Any thread; idempotent. A push that is under way is delivered or refused.
  public func close() { core.close() }

  // MARK: Consumer

  /// Consumer. The oldest message; nil when there is none.
  @inlinable
  public func pop() -> Message? {
    var block: MessageBlock?
    return pop(&block) == .item ? block.map { Message(adopting: $0) } : nil
  }

  /// Consumer. `item`, and `block` is set and its reference the caller's; `empty`; or `closed`:
  /// nothing is inside and nothing will come.
  @inlinable
  public func pop(_ block: inout MessageBlock?) -> RingPop {
    let word = oldest()
    if word <= UnboundedQueueCore<HardwareMemory>.end { return word == 0 ? .empty : .closed }
    let oldest = MessageBlock(address: word)
    state.advance(to: unsafe oldest.header.pointee.link)
    block = oldest
    return .item
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
    let word = oldest()
    if word <= UnboundedQueueCore<HardwareMemory>.end { return nil }
    return unsafe MessageBlock(address: word).header.pointee.arrived
  }

  /// As `take` of the core, but what it takes over is kept.
  @inlinable
  func oldest() -> UInt {
    var word = state.oldest
    if word == 0 {
      word = core.take()
      if word > UnboundedQueueCore<HardwareMemory>.end { state.hold(word) }
    }
    return word
  }

  /// Any thread. See ``QueueStatistics``; a push that is under way counts as accepted.
  public var statistics: QueueStatistics {
    let (taken, refused) = (state.taken, state.refusals)
    return QueueStatistics(
      accepted: state.pushes &- refused, taken: taken, refused: refused, dropped: 0)
  }
}

/// What the consumer has taken over and not yet given out, and the counters.
@frozen
@usableFromInline
struct UnboundedQueueState<Memory: AtomicMemory> {
  // The producers' line.
  @usableFromInline static var pushed: Int { 0 }
  @usableFromInline static var refused: Int { 1 }
  // The consumer's line.
  @usableFromInline static var held: Int { 16 }
  @usableFromInline static var delivered: Int { 17 }
  @usableFromInline static var words: Int { 32 }

  @usableFromInline let memory: Memory

  @inlinable
  init(memory: Memory) { self.memory = memory }

  @inlinable var pushes: UInt { memory.loadAcquire(Self.pushed) }
  @inlinable var refusals: UInt { memory.loadAcquire(Self.refused) }
  @inlinable var taken: UInt { memory.loadAcquire(Self.delivered) }
  @inlinable var oldest: UInt { memory.loadOwn(Self.held) }

  @inlinable
  func hold(_ word: UInt) { memory.storeRelaxed(Self.held, word) }

  @inlinable
  func advance(to next: UInt) {
    memory.storeRelaxed(Self.held, next)
    memory.storeRelease(Self.delivered, memory.loadOwn(Self.delivered) &+ 1)
  }

  @inlinable
  func add(_ word: Int, _ count: UInt) {
    var value = memory.loadRelaxed(word)
    while true {
      let found = memory.compareExchangeSequential(word, value, value &+ count)
      if found == value { return }
      value = found
    }
  }
}

extension UnboundedQueueState: Sendable where Memory: Sendable {}
