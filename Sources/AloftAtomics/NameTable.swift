/// A concurrent hash table of 64-bit values under names of 1...255 bytes, for any threads at once.
///
///     let table = NameTable(seed: random, memory: system)
///     if let other = table.insert(name, value) { ... taken already, by `other` ... }
///     table.find(name)
///     table.replace(name, expected: value, with: next)   // .done, .differs(now) or .absent
///     table.remove(name, expected: next)
///
/// **Threads**: any, for all calls. Readers write nothing, take no lock and wait for nobody; they
/// need not be announced to ``Epochs`` either, since the table's memory stays memory until the
/// table is gone. Writers hold one line of six entries for some ten nanoseconds, and wait only for
/// a writer of the same line. Each operation is linearizable.
///
/// **Cost**: O(1) expected; a look-up reads two cache lines, the line of the hash and the name's
/// own piece with its value. A name of up to 24 bytes lies in 32 bytes with its value, up to 56 in
/// a cache line, up to 120 in two, longer ones in five; with some 25 bytes for its share of the
/// lines, a name of 24 bytes costs about 33 beside itself. Grows while in use: 64 lines are split
/// by one writer in some 200 insertions, which takes it a few microseconds. It doesn't shrink: the
/// room of removed names is used for new ones, and all memory goes back with the table.
///
/// Names are bytes, compared as such; a name of another length is a mistake of the program. Values
/// are any words. Whatever a value refers to is the user's: what was stored with an insertion is
/// seen by who finds it. All calls read the name's bytes before they return and keep none.
///
/// The algorithm and its sources stand in ``HashLinesCore`` and ``NameTableCore``.
@safe
@frozen
public struct NameTable: ~Copyable, Sendable {
  @usableFromInline let block: WordBlock
  @usableFromInline let core: NameTableCore<HardwareMemory>
  @usableFromInline let counts: HashCounts

  /// The longest name, in bytes.
  @inlinable public static var lengthMax: Int { 255 }

  /// An empty table.
  ///
  /// - Parameters:
  ///   - seed: random where names may come from outside: who doesn't know it can't make them meet.
  ///   - capacity: so many names go in before it grows; a guess, 0 for the smallest (48 KiB).
  ///   - memory: where it gets its memory; ``HashMemory/plain`` is for small tables, the engine's
  ///     `HashMemory.smallPages` for all others.
  public init(seed: UInt64, capacity: Int = 0, memory: HashMemory = .plain) {
    typealias Lines = NameTableCore<HardwareMemory>.Lines
    let block = WordBlock(words: Lines.words + HashCounts.words)
    core = NameTableCore(root: block.memory, seed: seed, source: memory)
    counts = HashCounts(memory: block.memory.advanced(by: Lines.words))
    self.block = block
    core.lines.begin()
    core.lines.grow(enough: Self.linesEnough(capacity) - 1)
  }

  deinit {
    core.lines.release()
  }

  /// Lines for so many names: not quite three of six slots in use. See ``IDTable`` for why not
  /// more.
  @inlinable @inline(__always)
  static func linesEnough(_ names: Int) -> Int { names &* 11 / 32 }

  // MARK: Looking up

  /// The value under `name`, nil when there is none.
  @inlinable @inline(__always)
  public func find(_ name: UnsafeRawBufferPointer) -> UInt64? {
    find(unsafe NameWords(name))
  }

  @inlinable @inline(__always)
  public func find(_ name: NameWords) -> UInt64? {
    let hash = core.hash(name)
    while true {
      if let found = core.tryFind(name, hash) { return found.map { UInt64($0) } }
    }
  }

  /// Looks up many names at once: `body` is called for each in order, with its place and its value.
  /// The lines of sixteen names are asked for before the first one is looked at. That's worth a
  /// sixth of the time in a table larger than the caches, and costs as much in a small one, since
  /// the processor overlaps single calls by itself. Each look-up is linearizable by itself.
  @inlinable
  public func find(
    _ names: UnsafeBufferPointer<UnsafeRawBufferPointer>,
    _ body: (_ place: Int, _ value: UInt64?) -> Void
  ) {
    // So many loads a core keeps under way, by and large.
    let batch = 16
    unsafe withUnsafeTemporaryAllocation(of: (UInt, Int).self, capacity: batch) { ways in
      var start = 0
      while start < names.count {
        let count = min(batch, names.count &- start)
        var touched: UInt = 0
        for place in 0..<count {
          let hash = unsafe core.hash(NameWords(names[start &+ place]))
          let home = core.lines.home(hash)
          unsafe ways[place] = (hash, home)
          touched |= core.lines.lines[home].loadRelaxed(HashLine.header)
        }
        for place in 0..<count {
          let (hash, home) = unsafe ways[place]
          let length = unsafe names[start &+ place].count
          touched |= core.touch(NameLayout.mark(hash, length), home)
        }
        assert(touched & HashLine.born != 0)
        for place in 0..<count {
          let name = unsafe NameWords(names[start &+ place])
          let (hash, home) = unsafe ways[place]
          let found =
            if let found = core.tryFind(name, hash, home) { found.map { UInt64($0) } } else {
              find(name)
            }
          body(start &+ place, found)
        }
        start &+= count
      }
    }
  }

  // MARK: Changing

  /// Inserts a name unless it's there: nil when inserted, else the value of the entry that is there
  /// and stays.
  @inlinable
  public func insert(_ name: UnsafeRawBufferPointer, _ value: UInt64) -> UInt64? {
    let name = unsafe NameWords(name)
    let hash = core.hash(name)
    var patience = HashPatience()
    while true {
      if let found = core.tryInsert(name, UInt(value), hash) {
        if let found { return UInt64(found) }
        if counts.add(1) & (HashCounts.interval &- 1) == 0 { makeRoom() }
        return nil
      }
      patience.wait(core.lines.pool.source)
    }
  }

  /// Exchanges the value under `name` if it's `expected`.
  @inlinable
  public func replace(
    _ name: UnsafeRawBufferPointer, expected: UInt64, with value: UInt64
  ) -> HashChange {
    let name = unsafe NameWords(name)
    let hash = core.hash(name)
    var patience = HashPatience()
    while true {
      if let change = core.tryReplace(name, UInt(expected), UInt(value), hash) { return change }
      patience.wait(core.lines.pool.source)
    }
  }

  /// Removes the entry under `name` if its value is `expected`.
  @inlinable
  public func remove(_ name: UnsafeRawBufferPointer, expected: UInt64) -> HashChange {
    unsafe remove(name, UInt(expected)).0
  }

  /// Removes the entry under `name`; the answer is its value, nil when there was none.
  @inlinable
  public func remove(_ name: UnsafeRawBufferPointer) -> UInt64? {
    let (change, value) = unsafe remove(name, nil)
    return change == .done ? UInt64(value) : nil
  }

  @inlinable
  func remove(_ name: UnsafeRawBufferPointer, _ expected: UInt?) -> (HashChange, UInt) {
    let name = unsafe NameWords(name)
    let hash = core.hash(name)
    var patience = HashPatience()
    while true {
      if let result = core.tryRemove(name, expected, hash) {
        if result.0 == .done { _ = counts.add(-1) }
        return result
      }
      patience.wait(core.lines.pool.source)
    }
  }

  @inlinable @inline(never)
  func makeRoom() {
    core.lines.grow(enough: Self.linesEnough(counts.sum))
  }

  // MARK: The whole

  /// How many names there are: exact when nobody is writing.
  @inlinable
  public var count: Int { counts.sum }

  /// Bytes of memory that have been used: lines, names with their values, and the table's own.
  public var memoryBytes: Int { core.lines.bytes + block.bytes }

  /// Calls `body` for the names and their values, in no order, until it answers false. The bytes
  /// are good until `body` returns.
  ///
  /// Nobody is stopped meanwhile. A name that is there from beginning to end is seen exactly once,
  /// whatever else is inserted or removed and however the table grows; one that comes or goes
  /// meanwhile is seen once or not at all. No name is seen twice. A value is one that the entry had
  /// at a time during the walk. `body` may use the table.
  public func forEach(_ body: (_ name: UnsafeRawBufferPointer, _ value: UInt64) -> Bool) {
    var entries: [UInt] = []
    var words: [UInt] = []
    core.lines.walk { index in
      var header: UInt?
      var patience = HashPatience()
      while header == nil {
        header = core.tryToRead(index, &entries, into: &words)
        if header == nil { patience.wait(core.lines.pool.source) }
      }
      let goesOn = unsafe words.withUnsafeBytes { bytes in
        var word = 0
        for entry in entries {
          let length = NameLayout.length(entry)
          let value = unsafe bytes.load(fromByteOffset: (word + 1) * 8, as: UInt64.self)
          let name = unsafe UnsafeRawBufferPointer(
            rebasing: bytes[((word + 2) * 8)...].prefix(length))
          if unsafe !body(name, value) { return false }
          word += 1 + NameRecord.words(length)
        }
        return true
      }
      return goesOn ? header.map(HashLine.depth) : nil
    }
  }
}
