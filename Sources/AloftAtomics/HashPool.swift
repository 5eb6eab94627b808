/// The pieces of memory of a hash table: further lines of a chain, and names. Pieces of 1, 2, 4 or
/// 10 granules of 32 bytes, those of 64 bytes and up aligned to 64. They are given back to the
/// pool, and never from it: whoever reads a piece that meanwhile became another one reads what he
/// didn't look for, but reads memory. His own check then tells (``HashLinesCore``).
///
/// Algorithm: a stack of free pieces for each size (Treiber, 1986) whose head carries a counter
/// against ABA, and an index that counts up through granules never used.
///
/// Who may call: any thread; no call waits. Which orders pair: a head is exchanged sequentially,
/// by the giver after it has written the piece's link, by the taker before it uses the piece.
/// Links are stored with release, as everything in a piece: see the readers.
@frozen
public struct HashPool<Memory: AtomicMemory> {
  /// Words from one head to the next.
  @inlinable static var line: Int { MemoryLine.words }
  @inlinable static var classes: Int { 4 }
  /// The first granule never used; 0 stands for 1.
  @inlinable static var fresh: Int { classes &* line }
  @inlinable static var directory: Int { fresh &+ line }
  public static var words: Int {
    directory + MemoryLine.roundedUp(HashSegments<Memory>.directoryWords)
  }

  @inlinable static var granuleWords: Int { 4 }
  /// Binary digits of a piece's number, so that it fits half a word.
  @inlinable static var indexBits: UInt { 32 }

  @usableFromInline let memory: Memory
  @usableFromInline let source: HashMemory

  /// The first segment is 32 KiB.
  @inlinable static var firstBits: Int { 10 }

  @inlinable @inline(__always)
  public init(memory: Memory, source: HashMemory) {
    self.memory = memory
    self.source = source
  }

  @inlinable @inline(__always)
  var segments: HashSegments<Memory> {
    HashSegments(
      directory: memory.advanced(by: Self.directory), firstBits: Self.firstBits,
      unitWords: Self.granuleWords)
  }

  /// A piece's memory.
  @inlinable @inline(__always)
  subscript(_ piece: UInt) -> Memory { segments[Int(bitPattern: piece)] }

  @inlinable @inline(__always)
  static func granules(_ kind: Int) -> Int {
    kind < 3 ? 1 &<< kind : 10
  }

  /// The smallest kind that holds so many words.
  @inlinable @inline(__always)
  static func kind(words: Int) -> Int {
    words <= 4 ? 0 : words <= 8 ? 1 : words <= 16 ? 2 : 3
  }

  /// A piece; its content is whatever it was. Never 0.
  @inlinable
  public func take(_ kind: Int) -> UInt {
    let head = kind &* Self.line
    var top = memory.loadSequential(head)
    while top & 0xffff_ffff != 0 {
      let piece = top & 0xffff_ffff
      // Another thread may have it by now and write into it; then the counter has moved on.
      let next = self[piece].loadAcquire(0) & 0xffff_ffff
      let tag = (top &>> Self.indexBits) &+ 1
      let found = memory.compareExchangeSequential(head, top, tag &<< Self.indexBits | next)
      if found == top { return piece }
      // A failed exchange acquires nothing, and the next piece's link is to be read.
      top = memory.loadSequential(head)
    }
    return takeFresh(kind)
  }

  @inlinable
  public func give(_ piece: UInt, _ kind: Int) {
    let head = kind &* Self.line
    var top = memory.loadRelaxed(head)
    while true {
      self[piece].storeRelease(0, top & 0xffff_ffff)
      let tag = (top &>> Self.indexBits) &+ 1
      let found = memory.compareExchangeSequential(head, top, tag &<< Self.indexBits | piece)
      if found == top { return }
      top = found
    }
  }

  @inlinable @inline(never)
  func takeFresh(_ kind: Int) -> UInt {
    let count = Self.granules(kind)
    var next = memory.loadRelaxed(Self.fresh)
    while true {
      // Even for what is aligned to 64 bytes; 0 is nobody's.
      var first = max(Int(bitPattern: next), 2)
      if kind > 0 { first = (first + 1) & ~1 }
      // A piece lies within one segment: further on there is room.
      if segments.entry(first) != segments.entry(first + count - 1) {
        first = segments.first(segments.entry(first + count - 1))
      }
      precondition(first + count < 1 << 32, "a hash table of more than 128 GiB")
      segments.ensure(first, from: source)
      let found = memory.compareExchangeSequential(Self.fresh, next, UInt(first + count))
      if found == next {
        // What alignment left over is a piece of one granule.
        if kind > 0, next >= 2, next & 1 != 0, first == Int(next) + 1 { give(next, 0) }
        return UInt(first)
      }
      next = found
    }
  }

  /// Bytes used by pieces, given back or not.
  var bytes: Int { Int(memory.loadRelaxed(Self.fresh)) * Self.granuleWords * 8 }
}

extension HashPool: Sendable where Memory: Sendable {}
