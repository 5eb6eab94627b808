/// Counters off the hot path and the state of the water marks, on a line of their own.
///
/// Who may call: any thread. What goes in and out is counted by the indices of the ring already;
/// only refusals and drops need words here.
///
/// The marks: `isHigh` is set by the push that finds the depth at the high mark and cleared by the
/// pop that finds it at the low mark. Either store and the look at the depth that follows (for the
/// push) or precedes it (for the pop) are sequential, as in ``SleepFlagCore``: either the pop sees
/// the flag, or the push sees what the pop has taken. So the flag never stays up over a queue that
/// is below its low mark and at rest.
public struct QueueCounters<Memory: AtomicMemory> {
  @usableFromInline static var refused: Int { 0 }
  @usableFromInline static var dropped: Int { 1 }
  // Read by every push and pop where marks are set, written seldom.
  @usableFromInline static var isHigh: Int { 16 }

  /// Words that it needs.
  public static var words: Int { 32 }

  @usableFromInline let memory: Memory
  @usableFromInline let high: Int
  @usableFromInline let low: Int

  /// `memory` is zeroed. A `high` of `Int.max` stands for no marks.
  @inlinable
  public init(memory: Memory, high: Int, low: Int) {
    self.memory = memory
    self.high = high
    self.low = low
  }

  @inlinable public var refused: UInt { memory.loadRelaxed(Self.refused) }
  @inlinable public var dropped: UInt { memory.loadRelaxed(Self.dropped) }

  @inlinable public func countRefused(_ count: UInt = 1) { add(Self.refused, count) }
  @inlinable public func countDropped() { add(Self.dropped, 1) }

  @inlinable
  func add(_ word: Int, _ count: UInt) {
    var value = memory.loadRelaxed(word)
    while true {
      let found = memory.compareExchangeSequential(word, value, value &+ count)
      if found == value { return }
      value = found
    }
  }

  // MARK: Water marks

  @inlinable public var hasMarks: Bool { high != Int.max }
  @inlinable public var isAboveHighWater: Bool { memory.loadSequential(Self.isHigh) != 0 }

  /// After a push. `true` when the flag has gone up: one push an episode.
  @inlinable
  public func pushed(_ depth: () -> Int) -> Bool {
    if depth() < high || memory.loadSequential(Self.isHigh) != 0 { return false }
    if memory.compareExchangeSequential(Self.isHigh, 0, 1) != 0 { return false }
    // A pop that found the flag down has moved on before this look.
    if depth() > low { return true }
    return memory.compareExchangeSequential(Self.isHigh, 1, 0) != 1
  }

  /// After a pop. `true` when the flag has gone down.
  @inlinable
  public func popped(_ depth: () -> Int) -> Bool {
    if memory.loadSequential(Self.isHigh) == 0 || depth() > low { return false }
    return memory.compareExchangeSequential(Self.isHigh, 1, 0) == 1
  }
}

extension QueueCounters: Sendable where Memory: Sendable {}
