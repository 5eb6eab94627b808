public import Synchronization

/// The real memory: each operation is one load, store or locked instruction.
///
/// A trivial value, one address, with no reference to count. It doesn't own what it points to;
/// ``WordBlock`` does, or whoever lends the memory.
///
/// Any thread may hold a copy: which operation it may use on which word is the business of the
/// algorithm above, stated in that file's head comment.
@safe
public struct HardwareMemory: AtomicMemory, @unchecked Sendable {
  // Sendable: an address alone, and every algorithm over it states its threads.
  @usableFromInline let base: UnsafeMutableRawPointer

  /// `base` is aligned to 8 bytes at least, zeroed, and outlives every use.
  @inlinable @inline(__always)
  public init(base: UnsafeMutableRawPointer) {
    unsafe self.base = unsafe base
  }

  @inlinable @inline(__always)
  func plain(_ word: Int) -> UnsafeMutablePointer<UInt> {
    unsafe base.assumingMemoryBound(to: UInt.self) + word
  }

  @inlinable @inline(__always)
  func atomic(_ word: Int) -> UnsafeMutablePointer<Atomic<UInt>> {
    unsafe base.assumingMemoryBound(to: Atomic<UInt>.self) + word
  }

  @inlinable @inline(__always)
  public func advanced(by words: Int) -> HardwareMemory {
    unsafe HardwareMemory(base: base + words &* MemoryLayout<UInt>.stride)
  }

  @inlinable @inline(__always)
  public func block(at address: UInt) -> HardwareMemory {
    unsafe HardwareMemory(base: UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped)
  }

  @inlinable @inline(__always)
  public static var wordStride: UInt { 8 }

  /// For bricks that take the address of a word of their owner's.
  @inlinable @inline(__always)
  public func address(ofWord word: Int) -> UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(plain(word))
  }

  // MARK: Plain

  @inlinable @inline(__always)
  public func read(_ word: Int) -> UInt { unsafe plain(word).pointee }

  @inlinable @inline(__always)
  public func write(_ word: Int, _ value: UInt) { unsafe plain(word).pointee = value }

  @inlinable @inline(__always)
  public func read(_ word: Int, into target: UnsafeMutablePointer<UInt>, count: Int) {
    unsafe target.update(from: plain(word), count: count)
  }

  @inlinable @inline(__always)
  public func write(_ word: Int, from source: UnsafePointer<UInt>, count: Int) {
    unsafe plain(word).update(from: source, count: count)
  }

  @inlinable @inline(__always)
  public func readLink(of node: UInt) -> UInt {
    unsafe UnsafeMutablePointer<UInt>(bitPattern: node).unsafelyUnwrapped.pointee
  }

  @inlinable @inline(__always)
  public func writeLink(of node: UInt, to next: UInt) {
    unsafe UnsafeMutablePointer<UInt>(bitPattern: node).unsafelyUnwrapped.pointee = next
  }

  // MARK: Atomic

  @inlinable @inline(__always)
  public func loadOwn(_ word: Int) -> UInt {
    unsafe atomic(word).pointee.load(ordering: .relaxed)
  }

  @inlinable @inline(__always)
  public func loadRelaxed(_ word: Int) -> UInt {
    unsafe atomic(word).pointee.load(ordering: .relaxed)
  }

  @inlinable @inline(__always)
  public func loadAcquire(_ word: Int) -> UInt {
    unsafe atomic(word).pointee.load(ordering: .acquiring)
  }

  @inlinable @inline(__always)
  public func loadSequential(_ word: Int) -> UInt {
    unsafe atomic(word).pointee.load(ordering: .sequentiallyConsistent)
  }

  @inlinable @inline(__always)
  public func storeRelaxed(_ word: Int, _ value: UInt) {
    unsafe atomic(word).pointee.store(value, ordering: .relaxed)
  }

  @inlinable @inline(__always)
  public func storeRelease(_ word: Int, _ value: UInt) {
    unsafe atomic(word).pointee.store(value, ordering: .releasing)
  }

  @inlinable @inline(__always)
  public func storeSequential(_ word: Int, _ value: UInt) {
    unsafe atomic(word).pointee.store(value, ordering: .sequentiallyConsistent)
  }

  @inlinable @inline(__always)
  public func exchangeRelaxed(_ word: Int, _ value: UInt) -> UInt {
    unsafe atomic(word).pointee.exchange(value, ordering: .relaxed)
  }

  @inlinable @inline(__always)
  public func exchangeAcquire(_ word: Int, _ value: UInt) -> UInt {
    unsafe atomic(word).pointee.exchange(value, ordering: .acquiring)
  }

  /// Adds, wrapping around; the answer is the sum. Not in the protocol: it's for counters, on which
  /// no algorithm rests.
  @inlinable @inline(__always)
  public func addRelaxed(_ word: Int, _ value: UInt) -> UInt {
    unsafe atomic(word).pointee.wrappingAdd(value, ordering: .relaxed).newValue
  }

  @inlinable @inline(__always)
  public func compareExchangeRelease(
    _ word: Int, _ expected: UInt, _ desired: UInt
  ) -> UInt {
    unsafe atomic(word).pointee.compareExchange(
      expected: expected, desired: desired,
      successOrdering: .releasing, failureOrdering: .relaxed
    ).original
  }

  @inlinable @inline(__always)
  public func compareExchangeSequential(
    _ word: Int, _ expected: UInt, _ desired: UInt
  ) -> UInt {
    unsafe atomic(word).pointee.compareExchange(
      expected: expected, desired: desired,
      successOrdering: .sequentiallyConsistent, failureOrdering: .relaxed
    ).original
  }

  @inlinable @inline(__always)
  public func fenceSequential() { atomicMemoryFence(ordering: .sequentiallyConsistent) }
}
