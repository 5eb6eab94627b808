/// The lines of ``IDTable`` and ``NameTable``: how entries are found, changed and spread over more
/// and more lines while any threads read and write.
///
/// Sources: lines of one cache line whose readers write nothing are CLHT's (David, Guerraoui,
/// Trigonakis, "Asynchronized Concurrency", ASPLOS 2015) and DLHT's (Katsarakis et al., HPDC
/// 2024); growth is linear hashing (Litwin, 1980) with a depth in each line, as extendible hashing
/// has it (Fagin et al., 1979).
///
/// **Where an entry is.** Line `i` of depth `d` holds the entries whose hash ends in the `d` digits
/// of `i`, in its own slots and in further lines chained to it. To split it, those with digit `d`
/// set move to line `i + 2^d`, which is born with that. The depth tells whoever comes to a line
/// whether he is right; who comes to a line not yet born goes to the one that it splits from. So
/// the count of lines by which he chose may be old, and lines may be split in any order.
///
/// **Readers** write nothing and wait for nobody. They read the header, the slots that it says are
/// in use, and the header again: if it's the same but for the lock, what they read stood there at
/// one time. They retry only when a writer has finished a change of this very line meanwhile. A
/// writer who loses his core while he holds a line doesn't stop them, for he
/// - fills slots that the header doesn't name, then stores the header that names them;
/// - takes an entry out by a header that doesn't name it, and leaves its words;
/// - exchanges a value by one store.
///
/// **Writers** hold the line's lock. One who finds it held gets nil and tries again.
///
/// Which orders pair:
/// - all words of a line are stored with release and loaded with acquire. A reader who meets a
///   word of a later change therefore meets the header of the earlier ones when he looks again, for
///   they came before that word; and a slot is named before it is filled anew.
/// - a lock is taken sequentially, which is acquire enough, and given back with release.
@frozen
public struct HashLinesCore<Memory: AtomicMemory, Layout: HashLayout> {
  /// How many lines are in use, and the binary digits of that less one: `digits << 48 | count`.
  @inlinable static var count: Int { 0 }
  @inlinable static var countMask: UInt { (1 &<< 48) &- 1 }
  @inlinable static var directory: Int { MemoryLine.words }
  @inlinable static var poolStart: Int {
    directory + MemoryLine.roundedUp(HashSegments<Memory>.directoryWords)
  }
  public static var words: Int { poolStart + HashPool<Memory>.words }

  public let root: Memory
  public let layout: Layout
  @usableFromInline let source: HashMemory

  /// `root` has `words` words, zeroed before the first of its cores is made.
  @inlinable @inline(__always)
  init(root: Memory, layout: Layout, source: HashMemory) {
    self.root = root
    self.layout = layout
    self.source = source
  }

  // Made anew each time, of constants: what a look-up doesn't need isn't passed around.
  @inlinable @inline(__always)
  public var lines: HashSegments<Memory> {
    HashSegments(
      directory: root.advanced(by: Self.directory), firstBits: Layout.firstBits,
      unitWords: HashLine.words)
  }
  @inlinable @inline(__always)
  public var pool: HashPool<Memory> {
    HashPool(memory: root.advanced(by: Self.poolStart), source: source)
  }

  /// One thread, before any other call: the first lines are born.
  public func begin() {
    let count = 1 << Layout.firstBits
    lines.ensure(0, from: pool.source)
    for index in 0..<count {
      lines[index].storeRelease(
        HashLine.header, HashLine.born | UInt(Layout.firstBits) << HashLine.depthShift)
    }
    root.storeRelease(Self.count, Self.counted(UInt(count)))
  }

  /// The word for so many lines.
  @inlinable
  static func counted(_ count: UInt) -> UInt {
    UInt(UInt.bitWidth - (count - 1).leadingZeroBitCount) << 48 | count
  }

  // MARK: The way to a line

  /// The line where entries of this hash are, as far as known.
  @inlinable @inline(__always)
  func home(_ hash: UInt) -> Int {
    let counted = root.loadAcquire(Self.count)
    let mask = (1 &<< (counted &>> 48)) &- 1
    let index = hash & mask
    return Int(bitPattern: index < counted & Self.countMask ? index : hash & (mask &>> 1))
  }

  /// Whether a born line of this header is the one for `hash`.
  @inlinable @inline(__always)
  static func covers(_ header: UInt, _ index: Int, _ hash: UInt) -> Bool {
    (UInt(bitPattern: index) ^ hash) & ((1 &<< HashLine.depth(header)) &- 1) == 0
  }

  /// Where to go from a line that isn't the right one.
  @inlinable
  func onward(_ header: UInt, _ index: Int, _ hash: UInt) -> Int {
    if header & HashLine.born == 0 { return Self.parent(index) }
    var index = Int(bitPattern: hash & ((1 &<< HashLine.depth(header)) &- 1))
    while lines[index].loadAcquire(HashLine.header) & HashLine.born == 0 {
      index = Self.parent(index)
    }
    return index
  }

  /// The line that this one splits from.
  @inlinable
  static func parent(_ index: Int) -> Int {
    index & ~(1 &<< (Int.bitWidth &- 1 &- index.leadingZeroBitCount))
  }

  /// Whether nothing has changed since the header was read, as far as readers are concerned.
  @inlinable @inline(__always)
  static func isUnchanged(_ line: Memory, since header: UInt) -> Bool {
    (line.loadRelaxed(HashLine.header) ^ header) & ~HashLine.locked == 0
  }

  // MARK: Writers

  /// A line held by the calling thread.
  @usableFromInline
  @frozen
  struct Held {
    @usableFromInline let line: Memory
    /// As it was found, without the lock.
    @usableFromInline let header: UInt

    @inlinable @inline(__always)
    init(line: Memory, header: UInt) {
      self.line = line
      self.header = header
    }
  }

  /// A slot of some line of a chain.
  @usableFromInline
  @frozen
  struct Place {
    @usableFromInline let line: Memory
    @usableFromInline let slot: Int
    /// Whether it's the chain's first line, whose bits are in the header.
    @usableFromInline let isFirst: Bool
    /// The piece of a further line that isn't linked in yet.
    @usableFromInline let fresh: UInt

    @inlinable @inline(__always)
    init(line: Memory, slot: Int, isFirst: Bool, fresh: UInt = 0) {
      self.line = line
      self.slot = slot
      self.isFirst = isFirst
      self.fresh = fresh
    }

    @inlinable @inline(__always)
    var word: Int { Layout.word(slot) }
  }

  /// The line for `hash`, locked; nil when another thread holds it.
  @inlinable
  func lock(_ hash: UInt) -> Held? {
    var index = home(hash)
    while true {
      let line = lines[index]
      let header = line.loadAcquire(HashLine.header)
      guard header & HashLine.born != 0, Self.covers(header, index, hash) else {
        index = onward(header, index, hash)
        continue
      }
      if header & HashLine.locked != 0 { return nil }
      let found = line.compareExchangeSequential(
        HashLine.header, header, header | HashLine.locked)
      return found == header ? Held(line: line, header: header) : nil
    }
  }

  /// Gives a line back that has not changed, but for values.
  @inlinable @inline(__always)
  func unlock(_ held: Held) { held.line.storeRelease(HashLine.header, held.header) }

  /// Gives a line back with these slots in use.
  @inlinable @inline(__always)
  func unlock(_ held: Held, slots: UInt) {
    held.line.storeRelease(
      HashLine.header,
      (held.header & ~HashLine.slotMask | slots & HashLine.slotMask) &+ HashLine.versionOne)
  }

  /// Goes through the entries of a chain that nobody else changes, until `body` answers true;
  /// the answer is that entry's place.
  @inlinable @inline(__always)
  func first(_ held: Held, _ body: (_ line: Memory, _ word: Int) -> Bool) -> Place? {
    var line = held.line
    var bits = held.header
    var isFirst = true
    while true {
      for slot in 0..<Layout.slots where HashLine.holds(bits, slot) {
        if body(line, Layout.word(slot)) { return Place(line: line, slot: slot, isFirst: isFirst) }
      }
      let link = line.loadRelaxed(HashLine.link)
      if link == 0 { return nil }
      line = pool[link]
      bits = line.loadRelaxed(HashLine.header)
      isFirst = false
    }
  }

  /// Puts an entry into a free slot, by `fill`, and gives the line back.
  @inlinable @inline(__always)
  func insert(_ held: Held, _ fill: (_ line: Memory, _ word: Int) -> Void) {
    for slot in 0..<Layout.slots where !HashLine.holds(held.header, slot) {
      fill(held.line, Layout.word(slot))
      unlock(held, slots: held.header | HashLine.bit(slot))
      return
    }
    let place = further(held.line)
    fill(place.line, place.word)
    show(place, in: held.line)
    unlock(held, slots: held.header)
  }

  /// A free slot in a further line of the chain, which may be a new one, not yet linked.
  @inlinable
  func further(_ first: Memory) -> Place {
    var link = first.loadRelaxed(HashLine.link)
    while link != 0 {
      let line = pool[link]
      let bits = line.loadRelaxed(HashLine.header)
      for slot in 0..<Layout.slots where !HashLine.holds(bits, slot) {
        return Place(line: line, slot: slot, isFirst: false)
      }
      link = line.loadRelaxed(HashLine.link)
    }
    let piece = pool.take(1)
    let line = pool[piece]
    line.storeRelease(HashLine.header, 0)
    line.storeRelease(HashLine.link, first.loadRelaxed(HashLine.link))
    return Place(line: line, slot: 0, isFirst: false, fresh: piece)
  }

  /// Names a filled slot of a further line, and links the line in if it's new.
  @inlinable
  func show(_ place: Place, in first: Memory) {
    let bits = place.line.loadRelaxed(HashLine.header)
    place.line.storeRelease(HashLine.header, bits | HashLine.bit(place.slot))
    if place.fresh != 0 { first.storeRelease(HashLine.link, place.fresh) }
  }

  /// Takes an entry out and gives the line back.
  @inlinable @inline(__always)
  func remove(_ held: Held, _ place: Place) {
    var header = held.header
    if place.isFirst {
      header &= ~HashLine.bit(place.slot)
    } else {
      let bits = place.line.loadRelaxed(HashLine.header)
      place.line.storeRelease(HashLine.header, bits & ~HashLine.bit(place.slot))
    }
    header &+= HashLine.versionOne
    if held.line.loadRelaxed(HashLine.link) != 0 {
      held.line.storeRelease(HashLine.header, header | HashLine.locked)
      header = tidied(held.line, header | HashLine.locked) & ~HashLine.locked
    }
    held.line.storeRelease(HashLine.header, header)
  }
}

extension HashLinesCore: Sendable where Memory: Sendable {}
