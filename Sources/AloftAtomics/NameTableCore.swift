/// Six entries of one word to a line: `piece << 32 | hash's digits 8...31 | length`.
@frozen
public struct NameLayout: HashLayout {
  @usableFromInline let function: HashFunction

  @inlinable
  init(function: HashFunction) { self.function = function }

  @inlinable public static var slotWords: Int { 1 }
  /// A line has 8 digits at least, for the entry knows no lower ones.
  @inlinable public static var firstBits: Int { 8 }
  @inlinable
  public func hash<Memory: AtomicMemory>(_ line: Memory, _ word: Int) -> UInt {
    line.loadRelaxed(word) & 0xffff_ff00
  }

  // MARK: Entries

  /// What the entry of a name has in its lower half.
  @inlinable @inline(__always)
  static func mark(_ hash: UInt, _ length: Int) -> UInt {
    hash & 0xffff_ff00 | UInt(bitPattern: length)
  }
  @inlinable @inline(__always)
  static func mark(_ entry: UInt) -> UInt { entry & 0xffff_ffff }
  @inlinable @inline(__always)
  static func piece(_ entry: UInt) -> UInt { entry &>> 32 }
  @inlinable @inline(__always)
  static func length(_ entry: UInt) -> Int { Int(bitPattern: entry & 0xff) }
}

/// A name's piece of memory: a word for the value, then the name in words, the last one filled up
/// with zeroes. The name never changes until the piece is given back; the value does.
@usableFromInline
enum NameRecord {
  @inlinable static var value: Int { 0 }
  @inlinable static var name: Int { 1 }
  /// Words of names of this length.
  @inlinable @inline(__always)
  static func words(_ length: Int) -> Int { name &+ (length &+ 7) &>> 3 }
}

/// The algorithm of ``NameTable`` over ``HashLinesCore``: each operation once, nil where it has to
/// be tried again because another thread holds or has changed the line.
///
/// An entry leads to a piece that holds the name and its value. A piece is written before the
/// entry, and given back after the header that doesn't name the entry any more. A reader may so
/// come to a piece that is another name's by now, or something else: all of its words are stored
/// with release and loaded with acquire, so the header, which he looks at last, tells.
@frozen
public struct NameTableCore<Memory: AtomicMemory> {
  public typealias Lines = HashLinesCore<Memory, NameLayout>
  @usableFromInline typealias Pool = HashPool<Memory>
  public let lines: Lines

  public init(root: Memory, seed: UInt64, source: HashMemory) {
    lines = Lines(
      root: root, layout: NameLayout(function: HashFunction(seed: seed)), source: source)
  }

  @inlinable @inline(__always)
  public func hash(_ name: NameWords) -> UInt { lines.layout.function.hash(name) }

  @inlinable @inline(__always)
  static func isSame(_ record: Memory, _ name: NameWords) -> Bool {
    var index = 0
    let full = name.count &- 1
    while index < full {
      if record.loadAcquire(NameRecord.name &+ index) != UInt(name.full(index)) { return false }
      index &+= 1
    }
    return record.loadAcquire(NameRecord.name &+ full) == UInt(name.last)
  }

  // MARK: Readers

  /// Any thread; writes nothing. The value, nil when absent.
  @inlinable @inline(__always)
  public func tryFind(_ name: NameWords, _ hash: UInt) -> UInt?? {
    tryFind(name, hash, lines.home(hash))
  }

  @inlinable @inline(__always)
  public func tryFind(_ name: NameWords, _ hash: UInt, _ index: Int) -> UInt?? {
    let mark = NameLayout.mark(hash, name.length)
    let line = lines.lines[index]
    let header = line.loadAcquire(HashLine.header)
    var matches = Self.matches(mark, line, header)
    while matches != 0 {
      let slot = matches.trailingZeroBitCount &- Int(bitPattern: HashLine.slotShift)
      // Words of a first line are entries, old ones at worst: they lead to memory.
      let record = lines.pool[NameLayout.piece(line.loadAcquire(NameLayout.word(slot)))]
      if Self.isSame(record, name) {
        let value = record.loadAcquire(NameRecord.value)
        return Lines.isUnchanged(line, since: header) ? .some(.some(value)) : nil
      }
      matches &= matches &- 1
    }
    let link = line.loadAcquire(HashLine.link)
    if link != 0 || header & HashLine.born == 0 || !Lines.covers(header, index, hash) {
      return tryFindOnward(name, hash, index)
    }
    return Lines.isUnchanged(line, since: header) ? .some(nil) : nil
  }

  @inlinable @inline(__always)
  static func matches(_ mark: UInt, _ line: Memory, _ bits: UInt) -> UInt {
    var matches: UInt = 0
    for slot in 0..<NameLayout.slots {
      let isEqual = NameLayout.mark(line.loadAcquire(NameLayout.word(slot))) == mark
      matches |= isEqual ? HashLine.bit(slot) : 0
    }
    return matches & bits
  }

  /// Loads the piece of the entry with this mark, if there is one in the first line: a look-up
  /// that follows finds it in the cache. What it answers means nothing.
  @inlinable @inline(__always)
  func touch(_ mark: UInt, _ index: Int) -> UInt {
    let line = lines.lines[index]
    let header = line.loadAcquire(HashLine.header)
    let matches = Self.matches(mark, line, header)
    if matches == 0 { return header }
    let slot = matches.trailingZeroBitCount &- Int(bitPattern: HashLine.slotShift)
    return lines.pool[NameLayout.piece(line.loadAcquire(NameLayout.word(slot)))].loadRelaxed(0)
      | header
  }

  /// The same where the line isn't the right one, or isn't the whole chain.
  @inlinable @inline(never)
  func tryFindOnward(_ name: NameWords, _ hash: UInt, _ start: Int) -> UInt?? {
    var index = start
    var first = lines.lines[index]
    var header = first.loadAcquire(HashLine.header)
    while header & HashLine.born == 0 || !Lines.covers(header, index, hash) {
      index = lines.onward(header, index, hash)
      first = lines.lines[index]
      header = first.loadAcquire(HashLine.header)
    }
    let mark = NameLayout.mark(hash, name.length)
    var line = first
    var bits = header
    while true {
      for slot in 0..<NameLayout.slots where HashLine.holds(bits, slot) {
        let entry = line.loadAcquire(NameLayout.word(slot))
        if NameLayout.mark(entry) != mark { continue }
        // Before it's followed: the line may be something else by now, and this no entry.
        if !Lines.isUnchanged(first, since: header) { return nil }
        let record = lines.pool[NameLayout.piece(entry)]
        if Self.isSame(record, name) {
          let value = record.loadAcquire(NameRecord.value)
          return Lines.isUnchanged(first, since: header) ? .some(.some(value)) : nil
        }
      }
      let link = line.loadAcquire(HashLine.link)
      if !Lines.isUnchanged(first, since: header) { return nil }
      if link == 0 { return .some(nil) }
      line = lines.pool[link]
      bits = line.loadAcquire(HashLine.header)
    }
  }

  // MARK: Writers

  /// The place of a name in a held chain.
  @inlinable @inline(__always)
  func place(_ held: Lines.Held, _ name: NameWords, _ hash: UInt) -> Lines.Place? {
    let mark = NameLayout.mark(hash, name.length)
    return lines.first(held) { line, word in
      let entry = line.loadRelaxed(word)
      return NameLayout.mark(entry) == mark
        && Self.isSame(lines.pool[NameLayout.piece(entry)], name)
    }
  }

  @inlinable @inline(__always)
  func record(_ place: Lines.Place) -> Memory {
    lines.pool[NameLayout.piece(place.line.loadRelaxed(place.word))]
  }

  /// Any thread. nil inside when inserted, else the value of the entry that is there.
  @inlinable
  public func tryInsert(_ name: NameWords, _ value: UInt, _ hash: UInt) -> UInt?? {
    guard let held = lines.lock(hash) else { return nil }
    if let place = place(held, name, hash) {
      let found = record(place).loadRelaxed(NameRecord.value)
      lines.unlock(held)
      return .some(.some(found))
    }
    let piece = lines.pool.take(Pool.kind(words: NameRecord.words(name.length)))
    let record = lines.pool[piece]
    record.storeRelease(NameRecord.value, value)
    for index in 0..<name.count {
      record.storeRelease(NameRecord.name &+ index, UInt(name[index]))
    }
    lines.insert(held) { line, word in
      line.storeRelease(word, piece &<< 32 | NameLayout.mark(hash, name.length))
    }
    return .some(nil)
  }

  /// Any thread.
  @inlinable
  public func tryReplace(
    _ name: NameWords, _ expected: UInt, _ value: UInt, _ hash: UInt
  ) -> HashChange? {
    guard let held = lines.lock(hash) else { return nil }
    defer { lines.unlock(held) }
    guard let place = place(held, name, hash) else { return .absent }
    let record = record(place)
    let found = record.loadRelaxed(NameRecord.value)
    if found != expected { return .differs(UInt64(found)) }
    record.storeRelease(NameRecord.value, value)
    return .done
  }

  /// Any thread. `expected` nil takes the entry out whatever its value.
  @inlinable
  public func tryRemove(
    _ name: NameWords, _ expected: UInt?, _ hash: UInt
  ) -> (HashChange, UInt)? {
    guard let held = lines.lock(hash) else { return nil }
    guard let place = place(held, name, hash) else {
      lines.unlock(held)
      return (.absent, 0)
    }
    let piece = NameLayout.piece(place.line.loadRelaxed(place.word))
    let found = lines.pool[piece].loadRelaxed(NameRecord.value)
    if let expected, found != expected {
      lines.unlock(held)
      return (.differs(UInt64(found)), found)
    }
    lines.remove(held, place)
    lines.pool.give(piece, Pool.kind(words: NameRecord.words(name.length)))
    return (.done, found)
  }

  // MARK: The whole

  /// Reads a line's entries, names and values: each entry's word, its value and its name's words.
  /// The answer is the header, or nil when a writer has changed the line meanwhile.
  public func tryToRead(
    _ index: Int, _ entries: inout [UInt], into words: inout [UInt]
  ) -> UInt? {
    entries.removeAll(keepingCapacity: true)
    words.removeAll(keepingCapacity: true)
    guard let header = lines.tryToRead(index, into: &entries) else { return nil }
    for entry in entries {
      let record = lines.pool[NameLayout.piece(entry)]
      words.append(entry)
      for word in 0..<NameRecord.words(NameLayout.length(entry)) {
        words.append(record.loadAcquire(word))
      }
    }
    return Lines.isUnchanged(lines.lines[index], since: header) ? header : nil
  }
}

extension NameTableCore: Sendable where Memory: Sendable {}
