/// Going through all entries while others change them, and growing.
extension HashLinesCore {
  /// Visits every line. `visit` reads a line and its chain as they stood at one time, and answers
  /// with the line's depth, or nil to end the walk.
  ///
  /// A line of depth `d` holds the entries of one ending of `d` digits, whole. The walk goes from
  /// ending to ending: having read line `i` of depth `d` where it looked for the ending of `m`
  /// digits, it has still to look for those that were split off from it, which begin at lines
  /// `i + 2^m` ... `i + 2^(d-1)`. So each hash is covered exactly once, however lines are split
  /// meanwhile.
  @inlinable
  func walk(_ visit: (_ index: Int) -> UInt?) {
    var pending: [(index: Int, digits: UInt)] = []
    for index in 0..<(1 &<< Layout.firstBits) {
      pending.append((index, UInt(bitPattern: Layout.firstBits)))
      while let (index, digits) = pending.popLast() {
        guard let depth = visit(index) else { return }
        for digit in digits..<max(digits, depth) {
          pending.append((index | 1 &<< Int(bitPattern: digit), digit &+ 1))
        }
      }
    }
  }

  /// Reads a line's entries to the end of `words`; the answer is its header, or nil when a writer
  /// holds or has changed the line meanwhile. What else is read of them, before the header is
  /// looked at again, is `body`'s.
  @inlinable
  func tryToRead(_ index: Int, into words: inout [UInt]) -> UInt? {
    let first = lines[index]
    let header = first.loadAcquire(HashLine.header)
    // While a line is split, what moves from further lines stands in two places for a moment. Who
    // looks for one key finds either; a walk would see it twice.
    if header & HashLine.locked != 0 { return nil }
    var line = first
    var bits = header
    while true {
      for slot in 0..<Layout.slots where HashLine.holds(bits, slot) {
        for word in 0..<Layout.slotWords {
          words.append(line.loadAcquire(Layout.word(slot) &+ word))
        }
      }
      let link = line.loadAcquire(HashLine.link)
      // Before the link is followed: it may be of another line by now.
      if !Self.isUnchanged(first, since: header) { return nil }
      if link == 0 { return header }
      line = pool[link]
      bits = line.loadAcquire(HashLine.header)
    }
  }

  /// Bytes of the lines in use and of the pool's pieces.
  var bytes: Int { lineCount * HashLine.words * 8 + pool.bytes }

  /// At the end: nobody uses it any more.
  func release() {
    lines.release(to: pool.source)
    pool.segments.release(to: pool.source)
  }

  /// Adds lines until there are more than `enough`, or another thread does.
  @inlinable @inline(never)
  func grow(enough: Int) {
    while let range = claim(enough: enough) {
      for index in range {
        var patience = HashPatience()
        while !bringForth(index) { patience.wait(pool.source) }
      }
    }
  }
}

/// How a writer waits for a line that another one holds: it tries again at once, for a line is held
/// for some ten nanoseconds, and lets others run when that was in vain.
@usableFromInline
@frozen
struct HashPatience {
  @usableFromInline var tries = 0

  @inlinable
  init() {}

  @inlinable
  mutating func wait(_ source: HashMemory) {
    tries &+= 1
    if tries & 63 == 0 { source.yield() }
  }
}
