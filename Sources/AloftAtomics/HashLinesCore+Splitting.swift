/// Growth. See the head of ``HashLinesCore`` for what a reader relies on.
extension HashLinesCore {
  /// Lines that one writer splits at a time: some microseconds, once for as many insertions.
  @inlinable static var chunk: Int { 64 }

  /// How many lines there are.
  @inlinable
  public var lineCount: Int { Int(bitPattern: root.loadRelaxed(Self.count) & Self.countMask) }

  /// Adds lines, unless there are more than `enough` or another thread is ahead; the answer is
  /// the range of those that the caller has to see born.
  @inlinable
  public func claim(enough: Int) -> Range<Int>? {
    let counted = root.loadAcquire(Self.count)
    let count = Int(bitPattern: counted & Self.countMask)
    if count > enough { return nil }
    // Not beyond the next power of two, where another segment begins.
    let limit = 1 << (Int.bitWidth - count.leadingZeroBitCount)
    precondition(limit <= 1 << 32, "a hash table of more than 256 GiB")
    let next = min(count + Self.chunk, limit)
    lines.ensure(next - 1, from: pool.source)
    let found = root.compareExchangeSequential(Self.count, counted, Self.counted(UInt(next)))
    return found == counted ? count..<next : nil
  }

  /// Sees to it that a line is born, as far as that can be done now: false when another thread
  /// holds a line that's needed.
  @inlinable
  public func bringForth(_ index: Int) -> Bool {
    let parent = Self.parent(index)
    let digit = UInt(Int.bitWidth - 1 - index.leadingZeroBitCount)
    while true {
      let header = lines[parent].loadAcquire(HashLine.header)
      if header & HashLine.born == 0 {
        // Its own birth is late: another thread has claimed it and not come to it.
        if !bringForth(parent) { return false }
        continue
      }
      if HashLine.depth(header) > digit { return true }
      if !split(parent, header) { return false }
    }
  }

  /// Splits a line that was born and had this header: false when another thread holds it or has
  /// changed it.
  @inlinable
  func split(_ index: Int, _ header: UInt) -> Bool {
    let line = lines[index]
    if header & HashLine.locked != 0 { return false }
    let found = line.compareExchangeSequential(
      HashLine.header, header, header | HashLine.locked)
    if found != header { return false }

    let digit: UInt = 1 &<< HashLine.depth(header)
    let child = lines[index | Int(bitPattern: digit)]
    let born = HashLine.born | (header & (0x3f &<< HashLine.depthShift) &+ HashLine.depthOne)
    let slots = copy(from: line, header, to: child, where: digit)
    // From here on the entries can be found in either, and can't change: both lines are held.
    child.storeRelease(HashLine.header, born | slots | HashLine.locked)
    let kept = header & HashLine.slotMask & ~moving(line, header, digit)
    var next =
      (header & ~HashLine.slotMask | kept) &+ HashLine.depthOne &+ HashLine.versionOne
    if line.loadRelaxed(HashLine.link) != 0 {
      next |= HashLine.locked
      line.storeRelease(HashLine.header, next)
      // Who comes from now on doesn't look for the moved ones here, so they may go.
      forget(line, digit)
      next = tidied(line, next) & ~HashLine.locked
    }
    line.storeRelease(HashLine.header, next)
    child.storeRelease(HashLine.header, born | slots)
    return true
  }

  /// The bits of those slots whose entries have the digit set.
  @inlinable
  func moving(_ line: Memory, _ bits: UInt, _ digit: UInt) -> UInt {
    var moving: UInt = 0
    for slot in 0..<Layout.slots where HashLine.holds(bits, slot) {
      if layout.hash(line, Layout.word(slot)) & digit != 0 { moving |= HashLine.bit(slot) }
    }
    return moving
  }

  /// Copies the entries with the digit set into a line not yet born; the answer is its bits.
  @inlinable
  func copy(from first: Memory, _ header: UInt, to child: Memory, where digit: UInt) -> UInt {
    var line = first
    var bits = header
    var taken: UInt = 0
    while true {
      let moving = moving(line, bits, digit)
      for slot in 0..<Layout.slots where HashLine.holds(moving, slot) {
        let free = (~taken & HashLine.slotMask).trailingZeroBitCount &- Int(HashLine.slotShift)
        if free < Layout.slots {
          copy(from: line, Layout.word(slot), to: child, Layout.word(free))
          taken |= HashLine.bit(free)
        } else {
          let place = further(child)
          copy(from: line, Layout.word(slot), to: place.line, place.word)
          show(place, in: child)
        }
      }
      let link = line.loadRelaxed(HashLine.link)
      if link == 0 { return taken }
      line = pool[link]
      bits = line.loadRelaxed(HashLine.header)
    }
  }

  @inlinable
  func copy(from source: Memory, _ sourceWord: Int, to target: Memory, _ targetWord: Int) {
    for word in 0..<Layout.slotWords {
      target.storeRelease(targetWord &+ word, source.loadRelaxed(sourceWord &+ word))
    }
  }

  /// Takes the entries with the digit set out of the further lines.
  @inlinable
  func forget(_ first: Memory, _ digit: UInt) {
    var link = first.loadRelaxed(HashLine.link)
    while link != 0 {
      let line = pool[link]
      let bits = line.loadRelaxed(HashLine.header)
      line.storeRelease(HashLine.header, bits & ~moving(line, bits, digit))
      link = line.loadRelaxed(HashLine.link)
    }
  }

  /// Moves entries from further lines into free slots of the first, and gives empty lines back to
  /// the pool. The answer is the header as it was left, locked as it came.
  @inlinable
  func tidied(_ first: Memory, _ header: UInt) -> UInt {
    var header = header
    var before = first
    var link = first.loadRelaxed(HashLine.link)
    while link != 0 {
      let line = pool[link]
      var bits = line.loadRelaxed(HashLine.header)
      for slot in 0..<Layout.slots where HashLine.holds(bits, slot) {
        let free = (~header & HashLine.slotMask).trailingZeroBitCount &- Int(HashLine.slotShift)
        if free >= Layout.slots { break }
        copy(from: line, Layout.word(slot), to: first, Layout.word(free))
        // Here first, then not there: it's found all the time.
        header = (header | HashLine.bit(free)) &+ HashLine.versionOne
        first.storeRelease(HashLine.header, header)
        bits &= ~HashLine.bit(slot)
        line.storeRelease(HashLine.header, bits)
      }
      let next = line.loadRelaxed(HashLine.link)
      if bits & HashLine.slotMask == 0 {
        before.storeRelease(HashLine.link, next)
        // Whoever reads what the line becomes next must find another version here.
        header = header &+ HashLine.versionOne
        first.storeRelease(HashLine.header, header)
        pool.give(link, 1)
      } else {
        before = line
      }
      link = next
    }
    return header
  }
}
