/// A bounded queue of words from one thread to one other, over memory of its own.
///
/// Who may call: one thread pushes, one thread pops. No call blocks, spins or allocates; a full
/// ring says so and the producer decides. Any word is an item, 0 too. The algorithm, and which
/// orders pair, stand in ``SPSCRingCore``.
///
/// Share it between the two threads by borrowing it from whoever owns both; the memory is freed
/// with the owner.
public struct SPSCRing: ~Copyable, Sendable {
  @usableFromInline let block: WordBlock
  @usableFromInline let core: SPSCRingCore<HardwareMemory>
  public let capacity: Int

  /// `capacity` is rounded up to a power of two.
  public init(capacity: Int) {
    let capacity = roundedUpToPowerOfTwo(capacity)
    let block = WordBlock(words: SPSCRingCore<HardwareMemory>.words(capacity: capacity))
    self.core = SPSCRingCore(memory: block.memory, capacity: capacity)
    self.block = block
    self.capacity = capacity
  }

  /// Producer. `false` when full.
  @inlinable @inline(__always)
  public func push(_ item: UInt) -> Bool { core.push(item, .release) }

  /// Producer. Takes as many of `items` as fit, from the first on, and publishes them at once;
  /// the answer is how many.
  @inlinable
  public func push(contentsOf items: UnsafeBufferPointer<UInt>) -> Int {
    unsafe core.push(contentsOf: items, .release)
  }

  /// Consumer. `nil` when empty.
  @inlinable @inline(__always)
  public func pop() -> UInt? { core.pop() }

  /// Consumer. Fills `buffer` from its start, oldest first; the answer is how many.
  @inlinable
  public func pop(into buffer: UnsafeMutableBufferPointer<UInt>) -> Int {
    guard let target = buffer.baseAddress else { return 0 }
    return unsafe core.pop(into: target, limit: buffer.count)
  }
}

/// The least power of two that is not below `count`, and 1 at least.
func roundedUpToPowerOfTwo(_ count: Int) -> Int {
  count <= 1 ? 1 : 1 << (Int.bitWidth - (count - 1).leadingZeroBitCount)
}
