/// A concurrent hash table of 64-bit values under 64-bit or 128-bit keys, for any threads at once.
///
///     let table = IDTable(seed: random, memory: system)
///     if let other = table.insert(7, value) { ... taken already, by `other` ... }
///     table.find(7)
///     table.replace(7, expected: value, with: next)   // .done, .differs(now) or .absent
///     table.remove(7, expected: next)
///
/// **Threads**: any, for all calls. Readers write nothing, take no lock and wait for nobody; they
/// need not be announced to ``Epochs`` either, since the table's memory stays memory until the
/// table is gone. Writers hold one line of three entries for some ten nanoseconds, and wait only
/// for a writer of the same line. Each operation is linearizable.
///
/// **Cost**: O(1) expected; a look-up reads one cache line, and another one for a key in thirty.
/// Grows while in use: 64 lines are split by one writer in some 80 insertions, which takes it a
/// few microseconds. It doesn't shrink: the room of removed entries is used for new ones, and all
/// memory goes back with the table. About 55 bytes an entry.
///
/// Values and keys are any words, 0 too. Whatever a value refers to is the user's: what was stored
/// with an insertion is seen by who finds it.
///
/// The algorithm and its sources stand in ``HashLinesCore``.
@safe
@frozen
public struct IDTableOf<Key: HashKey>: ~Copyable, Sendable {
  @usableFromInline let block: WordBlock
  @usableFromInline let core: IDTableCore<HardwareMemory, Key>
  @usableFromInline let counts: HashCounts

  /// An empty table.
  ///
  /// - Parameters:
  ///   - seed: random where keys may come from outside: who doesn't know it can't make them meet.
  ///   - capacity: so many entries go in before it grows; a guess, 0 for the smallest (4 KiB).
  ///   - memory: where it gets its memory; ``HashMemory/plain`` is for small tables, the engine's
  ///     `HashMemory.smallPages` for all others.
  public init(seed: UInt64, capacity: Int = 0, memory: HashMemory = .plain) {
    typealias Lines = IDTableCore<HardwareMemory, Key>.Lines
    let block = WordBlock(words: Lines.words + HashCounts.words)
    core = IDTableCore(root: block.memory, seed: seed, source: memory)
    counts = HashCounts(memory: block.memory.advanced(by: Lines.words))
    self.block = block
    core.lines.begin()
    core.lines.grow(enough: Self.linesEnough(capacity) - 1)
  }

  deinit {
    core.lines.release()
  }

  /// Lines for so many entries: two fifths of the slots in use. A look-up that needs a further line
  /// costs more than its miss, for the processor had bet on the other way and starts anew: with
  /// half of the slots in use, look-ups among a million are slower by a ninth.
  @inlinable @inline(__always)
  static func linesEnough(_ entries: Int) -> Int { entries &* 5 / (IDLayout<Key>.slots &* 2) }

  // MARK: Looking up

  /// The value under `key`, nil when there is none.
  @inlinable @inline(__always)
  public func find(_ key: Key) -> UInt64? {
    let hash = core.hash(key)
    while true {
      if let found = core.tryFind(key, hash) { return found.map { UInt64($0) } }
    }
  }

  /// Looks up many keys at once: `body` is called for each in order, with its place and its value.
  /// The lines of sixteen keys are asked for before the first one is looked at. That's worth a
  /// sixth of the time in a table larger than the caches, and costs as much in a small one, since
  /// the processor overlaps single calls by itself. Each look-up is linearizable by itself.
  @inlinable
  public func find(
    _ keys: UnsafeBufferPointer<Key>, _ body: (_ place: Int, _ value: UInt64?) -> Void
  ) {
    // So many loads a core keeps under way, by and large.
    let batch = 16
    unsafe withUnsafeTemporaryAllocation(of: (UInt, Int).self, capacity: batch) { ways in
      var start = 0
      while start < keys.count {
        let count = min(batch, keys.count &- start)
        var touched: UInt = 0
        for place in 0..<count {
          let hash = unsafe core.hash(keys[start &+ place])
          let home = core.lines.home(hash)
          unsafe ways[place] = (hash, home)
          touched |= core.lines.lines[home].loadRelaxed(HashLine.header)
        }
        // Every born line has this bit; it's asked for so that the loads are made.
        assert(touched & HashLine.born != 0)
        for place in 0..<count {
          let key = unsafe keys[start &+ place]
          let (hash, home) = unsafe ways[place]
          let found =
            if let found = core.tryFind(key, hash, home) { found.map { UInt64($0) } } else {
              find(key)
            }
          body(start &+ place, found)
        }
        start &+= count
      }
    }
  }

  // MARK: Changing

  /// Inserts an entry unless there is one under `key`: nil when inserted, else the value of the
  /// entry that is there and stays.
  @inlinable
  public func insert(_ key: Key, _ value: UInt64) -> UInt64? {
    let hash = core.hash(key)
    var patience = HashPatience()
    while true {
      if let found = core.tryInsert(key, UInt(value), hash) {
        if let found { return UInt64(found) }
        if counts.add(1) & (HashCounts.interval &- 1) == 0 { makeRoom() }
        return nil
      }
      patience.wait(core.lines.pool.source)
    }
  }

  /// Exchanges the value under `key` if it's `expected`.
  @inlinable
  public func replace(_ key: Key, expected: UInt64, with value: UInt64) -> HashChange {
    let hash = core.hash(key)
    var patience = HashPatience()
    while true {
      if let change = core.tryReplace(key, UInt(expected), UInt(value), hash) { return change }
      patience.wait(core.lines.pool.source)
    }
  }

  /// Removes the entry under `key` if its value is `expected`.
  @inlinable
  public func remove(_ key: Key, expected: UInt64) -> HashChange {
    remove(key, UInt(expected)).0
  }

  /// Removes the entry under `key`; the answer is its value, nil when there was none.
  @inlinable
  public func remove(_ key: Key) -> UInt64? {
    let (change, value) = remove(key, nil)
    return change == .done ? UInt64(value) : nil
  }

  @inlinable
  func remove(_ key: Key, _ expected: UInt?) -> (HashChange, UInt) {
    let hash = core.hash(key)
    var patience = HashPatience()
    while true {
      if let result = core.tryRemove(key, expected, hash) {
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

  /// How many entries there are: exact when nobody is writing.
  @inlinable
  public var count: Int { counts.sum }

  /// Bytes of memory that have been used: lines, further lines, and the table's own.
  public var memoryBytes: Int { core.lines.bytes + block.bytes }

  /// Calls `body` for the entries, in no order, until it answers false.
  ///
  /// Nobody is stopped meanwhile. An entry that is there from beginning to end is seen exactly
  /// once, whatever else is inserted or removed and however the table grows; one that comes or
  /// goes meanwhile is seen once or not at all. No key is seen twice. A value is one that the entry
  /// had at a time during the walk. `body` may use the table.
  public func forEach(_ body: (_ key: Key, _ value: UInt64) -> Bool) {
    let width = IDLayout<Key>.slotWords
    var words: [UInt] = []
    core.lines.walk { index in
      var header: UInt?
      var patience = HashPatience()
      while header == nil {
        words.removeAll(keepingCapacity: true)
        header = core.lines.tryToRead(index, into: &words)
        if header == nil { patience.wait(core.lines.pool.source) }
      }
      for start in stride(from: 0, to: words.count, by: width) {
        let key = unsafe words.withUnsafeMutableBytes { bytes in
          let line = unsafe HardwareMemory(base: bytes.baseAddress.unsafelyUnwrapped)
          return Key(line, start)
        }
        if !body(key, UInt64(words[start + width - 1])) { return nil }
      }
      return header.map(HashLine.depth)
    }
  }
}

/// Keys of 64 bits.
public typealias IDTable = IDTableOf<UInt64>
/// Keys of 128 bits: two entries to a line, some 80 bytes an entry.
public typealias WideIDTable = IDTableOf<WideID>
