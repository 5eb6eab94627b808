/// An array that grows and never moves: its first segment holds `1 << firstBits` units, each
/// further one as many as all before it. So a unit's address is found with one look at a small
/// directory, and stays.
///
/// Who may call: any thread. `address` is for units of which the caller has learned through an
/// acquiring load, of whatever was stored with release after `ensure`; so the directory itself
/// needs no order.
@frozen
public struct HashSegments<Memory: AtomicMemory> {
  /// Words of the directory: entry `n` is for units whose index has `n` binary digits.
  @inlinable public static var directoryWords: Int { 48 }

  /// 0, or the address where unit 0 would lie if the segment began there.
  @usableFromInline let directory: Memory
  @usableFromInline let firstBits: Int
  @usableFromInline let unitWords: Int

  @inlinable @inline(__always)
  init(directory: Memory, firstBits: Int, unitWords: Int) {
    self.directory = directory
    self.firstBits = firstBits
    self.unitWords = unitWords
  }

  /// Which entry of the directory `index` belongs to.
  @inlinable @inline(__always)
  func entry(_ index: Int) -> Int {
    let digits = UInt(bitPattern: index) | ((1 &<< UInt(bitPattern: firstBits)) &- 1)
    return UInt.bitWidth &- digits.leadingZeroBitCount
  }

  @inlinable @inline(__always)
  func address(_ index: Int) -> UInt {
    directory.loadRelaxed(entry(index))
      &+ UInt(bitPattern: index &* unitWords) &* Memory.wordStride
  }

  @inlinable @inline(__always)
  subscript(_ index: Int) -> Memory { directory.block(at: address(index)) }

  /// Units of a segment, and the first one's index.
  @inlinable
  func units(_ entry: Int) -> Int { 1 &<< (entry == firstBits ? entry : entry &- 1) }
  @inlinable
  func first(_ entry: Int) -> Int { entry == firstBits ? 0 : 1 &<< (entry &- 1) }

  /// Makes sure of the memory for `index`. Of several threads that find it missing, one's
  /// segment is taken and the others give theirs back.
  @inlinable
  func ensure(_ index: Int, from source: HashMemory) {
    let entry = entry(index)
    if directory.loadAcquire(entry) != 0 { return }
    add(entry, from: source)
  }

  @inlinable @inline(never)
  func add(_ entry: Int, from source: HashMemory) {
    precondition(entry < Self.directoryWords, "no room for so many entries")
    let bytes = units(entry) * unitWords * 8
    let fresh = unsafe source.allocate(bytes)
    let biased = place(UInt(bitPattern: fresh), entry)
    if directory.compareExchangeSequential(entry, 0, biased) != 0 {
      unsafe source.release(fresh, bytes)
    }
  }

  /// What stands in the directory for a segment at `start`.
  @inlinable
  public func place(_ start: UInt, _ entry: Int) -> UInt {
    start &- UInt(first(entry) * unitWords) &* Memory.wordStride
  }

  /// At the end of the table: nobody uses it any more.
  func release(to source: HashMemory) {
    for entry in firstBits..<Self.directoryWords {
      let biased = directory.loadRelaxed(entry)
      if biased == 0 { continue }
      let start = biased &+ UInt(first(entry) * unitWords) &* Memory.wordStride
      unsafe source.release(
        UnsafeMutableRawPointer(bitPattern: start).unsafelyUnwrapped, units(entry) * unitWords * 8)
    }
  }
}

extension HashSegments: Sendable where Memory: Sendable {}
