/// A bounded queue of words from any threads to one, over memory of its own.
///
/// Who may call: any thread pushes, one thread pops. No call blocks or allocates; a full ring
/// says so and the producer decides. Items are words other than 0. The algorithm, and which
/// orders pair, stand in ``MPSCRingCore``.
public struct MPSCRing: ~Copyable, Sendable {
  @usableFromInline let block: WordBlock
  @usableFromInline let core: MPSCRingCore<HardwareMemory>
  public let capacity: Int

  /// `capacity` is rounded up to a power of two.
  public init(capacity: Int) {
    let capacity = roundedUpToPowerOfTwo(capacity)
    let block = WordBlock(words: MPSCRingCore<HardwareMemory>.words(capacity: capacity))
    self.core = MPSCRingCore(memory: block.memory, capacity: capacity)
    self.block = block
    self.capacity = capacity
  }

  /// Any thread. `false` when full. `item` is not 0.
  @inlinable @inline(__always)
  public func push(_ item: UInt) -> Bool { core.push(item) }

  /// Any thread. Takes as many of `items` as fit, from the first on, which then come out one
  /// after the other; the answer is how many. No item is 0.
  @inlinable
  public func push(contentsOf items: UnsafeBufferPointer<UInt>) -> Int {
    unsafe core.push(contentsOf: items)
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
