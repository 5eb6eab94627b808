/// A bounded queue of words from any threads to any threads, over memory of its own.
///
/// Who may call: any thread, everything. No call waits or allocates; full and empty are answers.
/// Any word is an item, 0 too. The items of one producer come out in its order. The algorithm, and
/// which orders pair, stand in ``MPMCRingCore``.
///
/// ```swift
/// let ring = MPMCRing(capacity: 1_024)
/// if !ring.push(7) { /* full: refuse, or try again later */ }
/// while let word = ring.pop() { use(word) }
/// ```
///
/// A thread that is taken off its core in the middle of a push holds up the items behind it until
/// it runs again: `pop` finds nothing meanwhile, though `count` is not 0. The same for `push` and a
/// thread in the middle of a pop.
public struct MPMCRing: ~Copyable, Sendable {
  @usableFromInline let block: WordBlock
  /// For those who need more than words in and out.
  public let core: MPMCRingCore<HardwareMemory>
  public let capacity: Int

  /// `capacity` is rounded up to a power of two. 16 bytes an item.
  public init(capacity: Int) {
    let capacity = roundedUpToPowerOfTwo(capacity)
    let block = WordBlock(words: MPMCRingCore<HardwareMemory>.words(capacity: capacity))
    self.core = MPMCRingCore(memory: block.memory, capacity: capacity)
    self.block = block
    self.capacity = capacity
  }

  /// `false` when there is no room, or the ring is closed.
  @inlinable @inline(__always)
  public func push(_ item: UInt) -> Bool { core.push(item).isAccepted }

  /// Takes as many of `items` as fit, from the first on, which then come out one after the other;
  /// the answer is how many.
  @inlinable
  public func push(contentsOf items: UnsafeBufferPointer<UInt>) -> Int {
    var mustServe = false
    return unsafe core.push(contentsOf: items, mustServe: &mustServe)
  }

  /// `nil` when there is nothing.
  @inlinable @inline(__always)
  public func pop() -> UInt? {
    var item: UInt = 0
    return core.isItem(&item) ? item : nil
  }

  /// Fills `buffer` from its start, oldest first; the answer is how many.
  @inlinable
  public func pop(into buffer: UnsafeMutableBufferPointer<UInt>) -> Int {
    guard let target = buffer.baseAddress else { return 0 }
    var mustServe = false
    return unsafe core.pop(into: target, limit: buffer.count, mustServe: &mustServe)
  }

  /// Nothing goes in from now on; what is inside comes out.
  public func close() { _ = core.close() }

  /// How many items are inside, as of a moment ago.
  public var count: Int { core.count }
}
