public import AloftAtomics

/// A bounded queue of messages from any threads to any threads.
///
/// ```swift
/// let queue = MPMCQueue(.init(capacity: 1_024))
/// if queue.push(message) != .accepted { /* full or closed: it was released */ }
/// while let message = queue.pop() { handle(message) }
/// ```
/// Who may call: any thread, everything. No call waits, blocks or allocates. The messages of one
/// producer come out in its order. What is still inside at the end is released.
///
/// Full and empty, asked for `exactly`, held at a moment of the call; else they may be said because
/// another thread is in the middle of a push or pop (``MPMCRingCore``). The age of the oldest
/// message can't be had here: whoever looked at it would race with whoever takes it. A consumer
/// that wants to know how long a message waited compares `arrived` when it has it.
///
/// Closing: no push goes in afterwards; one that is under way is delivered or refused. Pops go on
/// until nothing is left and are then answered `closed`.
///
/// Waiting is the business of the floor above; see `MPMCRingCore.expectItems`, reached by `ring`.
public struct MPMCQueue: ~Copyable, Sendable {
  @usableFromInline let block: WordBlock
  public let ring: MPMCRingCore<HardwareMemory>
  public let counters: QueueCounters<HardwareMemory>
  public let capacity: Int
  @usableFromInline let dropsOldest: Bool

  public init(_ options: QueueOptions) {
    typealias Ring = MPMCRingCore<HardwareMemory>
    let capacity = options.slots
    let words = Ring.words(capacity: capacity)
    block = WordBlock(words: words + QueueCounters<HardwareMemory>.words)
    ring = Ring(memory: block.memory, capacity: capacity)
    counters = QueueCounters(
      memory: block.memory.advanced(by: words), high: options.highWater, low: options.lowWater)
    self.capacity = capacity
    dropsOldest = options.overflow == .dropOldest
  }

  deinit {
    var word: UInt = 0
    while ring.isItem(&word) { MessageBlock.release(MessageBlock(address: word)) }
  }

  // MARK: Pushing

  /// A message that isn't accepted is released.
  @inlinable
  public func push(_ message: consuming Message, exactly: Bool = false) -> RingPush {
    let block = message.take()
    let answer = push(block, exactly: exactly)
    if !answer.isAccepted { MessageBlock.release(block) }
    return answer
  }

  /// The reference to `block` is the queue's when it is accepted, and the caller's else.
  @inlinable
  public func push(_ block: MessageBlock, exactly: Bool = false) -> RingPush {
    let answer = offer(block, exactly: exactly)
    if !answer.isAccepted { counters.countRefused() }
    return answer
  }

  /// The same without counting a refusal: for whoever waits then.
  @inlinable
  public func offer(_ block: MessageBlock, exactly: Bool) -> RingPush {
    let answer = ring.push(block.word, exactly: exactly)
    return answer == .full && dropsOldest ? pushDropping(block) : answer
  }

  /// Throws the oldest out as long as the queue is full, and only then: while a consumer is under
  /// way with the slot that comes next, no drop would help.
  @usableFromInline
  func pushDropping(_ block: MessageBlock) -> RingPush {
    var mustServe = false
    while true {
      let answer = ring.push(block.word, exactly: true)
      if answer == .accepted && mustServe { return .acceptedMustServe }
      guard answer == .full else { return answer }
      var word: UInt = 0
      let oldest = ring.pop(&word)
      guard oldest.isItem else { continue }
      counters.countDropped()
      MessageBlock.release(MessageBlock(address: word))
      if oldest == .itemMustServe { mustServe = true }
    }
  }

  // MARK: Popping

  /// The oldest message, `nil` when there is none.
  ///
  /// For queues that nobody waits at: it serves nobody.
  @inlinable
  public func pop() -> Message? {
    var word: UInt = 0
    return ring.isItem(&word) ? Message(adopting: MessageBlock(address: word)) : nil
  }

  /// The same with its answer; `block` is set when there is one, and its reference the caller's.
  @inlinable
  public func pop(_ block: inout MessageBlock?, exactly: Bool = true) -> RingPop {
    var word: UInt = 0
    let answer = ring.pop(&word, exactly: exactly)
    if answer.isItem { block = MessageBlock(address: word) }
    return answer
  }

  /// Takes up to `limit` messages at once, oldest first; how many is the answer. `mustServe` is
  /// set when those who wait for room have to be served.
  @inlinable
  public func pop(
    limit: Int, mustServe: inout Bool, _ body: (consuming Message) -> Void
  ) -> Int {
    unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: min(limit, batchMax)) { words in
      guard let start = words.baseAddress else { return 0 }
      var total = 0
      while total < limit {
        let count = unsafe ring.pop(
          into: start, limit: min(limit - total, batchMax), mustServe: &mustServe)
        if count == 0 { break }
        for index in 0..<count {
          body(Message(adopting: MessageBlock(address: unsafe words[index])))
        }
        total += count
      }
      return total
    }
  }

  /// Words on the stack.
  @inlinable var batchMax: Int { 256 }

  // MARK: The rest

  /// Idempotent. `true` for the one call that closed it, which has to serve whoever waits.
  @inlinable
  public func close() -> Bool { ring.close() }

  @inlinable public var isClosed: Bool { ring.isClosed }

  /// See ``QueueStatistics``.
  public var statistics: QueueStatistics {
    // `dropped` first: what is dropped was taken before.
    let (dropped, refused, taken) = (counters.dropped, counters.refused, ring.taken)
    return QueueStatistics(
      accepted: ring.accepted, taken: taken, refused: refused, dropped: dropped)
  }

  /// After a push, where marks are set: `true` when it went above the high-water mark.
  @inlinable
  public func roseAboveHighWater() -> Bool { counters.pushed { ring.count } }

  /// After a pop, where marks are set: `true` when it is down to the low-water mark.
  @inlinable
  public func fellToLowWater() -> Bool { counters.popped { ring.count } }
}
