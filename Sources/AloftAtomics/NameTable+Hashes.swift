// What a reverse index asks of a table, that keeps 8 bytes of a key and not the key: its hash, or
// the key itself when it has no more. The value, which is the owner, makes up for what the hash
// leaves open.

/// A name as bytes, which are the caller's and outlive it, and its hash in tables of one seed.
@safe
@frozen
public struct NameKey {
  @usableFromInline let words: NameWords
  public let hash: UInt

  @inlinable @inline(__always)
  init(words: NameWords, hash: UInt) {
    self.words = words
    self.hash = hash
  }

  /// 1...255 bytes and what `NameTable.key` once said of them.
  @inlinable @inline(__always)
  public init(_ bytes: UnsafeRawBufferPointer, hash: UInt) {
    self.init(words: unsafe NameWords(bytes), hash: hash)
  }
}

/// A table's look-ups and nothing else: one address, which counts no reference and copies nothing.
/// Good for as long as the table and until `free`.
@frozen
@safe
public struct NameLooker: @unchecked Sendable {
  // @unchecked: what it points to never changes.
  @usableFromInline let core: UnsafeMutablePointer<NameTableCore<HardwareMemory>>

  public init(_ table: borrowing NameTable) {
    unsafe core = .allocate(capacity: 1)
    unsafe core.initialize(to: table.core)
  }

  /// When nobody uses it any more.
  public func free() { unsafe core.deallocate() }

  /// Any thread; writes nothing. 1...255 bytes.
  @inlinable @inline(__always)
  public func key(_ bytes: UnsafeRawBufferPointer) -> NameKey {
    let words = unsafe NameWords(bytes)
    return unsafe NameKey(words: words, hash: core.pointee.hash(words))
  }

  /// Any thread; writes nothing.
  @inlinable @inline(__always)
  public func find(_ name: NameKey) -> UInt64? {
    let home = unsafe core.pointee.lines.home(name.hash)
    return unsafe core.pointee.findHere(name.words, name.hash, home)
      ?? core.pointee.findSlowly(name.words, name.hash)
  }
}

extension NameTableCore where Memory == HardwareMemory {
  /// The value, if it is found in the first line and at the first look: what nearly all look-ups
  /// come to. Else nil says nothing.
  @inlinable @inline(__always)
  func findHere(_ name: NameWords, _ hash: UInt, _ home: Int) -> UInt64? {
    let line = lines.lines[home]
    let header = line.loadAcquire(HashLine.header)
    var matches = Self.matches(NameLayout.mark(hash, name.length), line, header)
    while matches != 0 {
      let slot = matches.trailingZeroBitCount &- Int(bitPattern: HashLine.slotShift)
      let record = lines.pool[NameLayout.piece(line.loadAcquire(NameLayout.word(slot)))]
      if Self.isSame(record, name) {
        let value = record.loadAcquire(NameRecord.value)
        return Lines.isUnchanged(line, since: header) ? UInt64(value) : nil
      }
      matches &= matches &- 1
    }
    return nil
  }

  /// The same for certain. Here and not inlined, for other modules would run it unspecialised.
  @usableFromInline @inline(never)
  func findSlowly(_ name: NameWords, _ hash: UInt) -> UInt64? {
    while true {
      if let found = tryFind(name, hash) { return found.map { UInt64($0) } }
    }
  }
}

extension HashFunction {
  /// Any thread. What a table of this function's seed says of a name of 1...255 bytes.
  public func hash(_ name: UnsafeRawBufferPointer) -> UInt { hash(unsafe NameWords(name)) }
}

extension NameTable {
  /// Any thread. A name with its hash. 1...255 bytes.
  @inlinable @inline(__always)
  public func key(_ bytes: UnsafeRawBufferPointer) -> NameKey {
    let words = unsafe NameWords(bytes)
    return NameKey(words: words, hash: core.hash(words))
  }

  /// Any thread. As `find`, with the hash at hand.
  @inlinable @inline(__always)
  public func find(_ name: NameKey) -> UInt64? {
    core.findHere(name.words, name.hash, core.lines.home(name.hash))
      ?? core.findSlowly(name.words, name.hash)
  }

  /// Any thread. Looks up several names at once, as `find` of many does, with their hashes at
  /// hand: `body` is called for each in order. 16 at most.
  @inlinable
  public func find(
    _ keys: UnsafeBufferPointer<NameKey>, _ body: (_ place: Int, _ value: UInt64?) -> Void
  ) {
    unsafe withUnsafeTemporaryAllocation(of: Int.self, capacity: 16) { homes in
      var touched: UInt = 0
      for place in 0..<keys.count {
        let home = unsafe core.lines.home(keys[place].hash)
        unsafe homes[place] = home
        touched |= core.lines.lines[home].loadRelaxed(HashLine.header)
      }
      for place in 0..<keys.count {
        let key = unsafe keys[place]
        touched |= unsafe core.touch(
          NameLayout.mark(key.hash, key.words.length), homes[place])
      }
      assert(touched & HashLine.born != 0)
      for place in 0..<keys.count {
        let key = unsafe keys[place]
        body(
          place,
          unsafe core.findHere(key.words, key.hash, homes[place])
            ?? core.findSlowly(key.words, key.hash))
      }
    }
  }

  /// Any thread. As `insert`, `replace` and `remove`, with the hash at hand.
  @inlinable
  public func insert(_ name: NameKey, _ value: UInt64) -> UInt64? {
    var patience = HashPatience()
    while true {
      if let found = core.tryInsert(name.words, UInt(value), name.hash) {
        if let found { return UInt64(found) }
        if counts.add(1) & (HashCounts.interval &- 1) == 0 { makeRoom() }
        return nil
      }
      patience.wait(core.lines.pool.source)
    }
  }

  @inlinable
  public func replace(
    _ name: NameKey, expected: UInt64, with value: UInt64
  ) -> HashChange {
    var patience = HashPatience()
    while true {
      if let change = core.tryReplace(name.words, UInt(expected), UInt(value), name.hash) {
        return change
      }
      patience.wait(core.lines.pool.source)
    }
  }

  @inlinable
  public func remove(_ name: NameKey, expected: UInt64) -> HashChange {
    var patience = HashPatience()
    while true {
      if let result = core.tryRemove(name.words, UInt(expected), name.hash) {
        if result.0 == .done { _ = counts.add(-1) }
        return result.0
      }
      patience.wait(core.lines.pool.source)
    }
  }

  /// Any thread. Exchanges the value of a name of this hash; false when there is none.
  public func replace(hash: UInt, expected: UInt64, with value: UInt64) -> Bool {
    var patience = HashPatience()
    while true {
      guard let held = core.lines.lock(hash) else {
        patience.wait(core.lines.pool.source)
        continue
      }
      defer { core.lines.unlock(held) }
      guard let place = place(held, hash, where: { $0 == UInt(expected) }) else { return false }
      record(place.line.loadRelaxed(place.word)).storeRelease(NameRecord.value, UInt(value))
      return true
    }
  }

  /// Any thread. Takes out a name of this hash and value; false when there is none.
  public func remove(hash: UInt, value: UInt64) -> Bool {
    var patience = HashPatience()
    while true {
      guard let held = core.lines.lock(hash) else {
        patience.wait(core.lines.pool.source)
        continue
      }
      guard let place = place(held, hash, where: { $0 == UInt(value) }) else {
        core.lines.unlock(held)
        return false
      }
      let entry = place.line.loadRelaxed(place.word)
      core.lines.remove(held, place)
      core.lines.pool.give(
        NameLayout.piece(entry),
        HashPool<HardwareMemory>.kind(words: NameRecord.words(NameLayout.length(entry))))
      _ = counts.add(-1)
      return true
    }
  }

  /// Any thread. The first value under a name of this hash that `body` says yes to. A writer of the
  /// same line waits meanwhile, so `body` is short.
  public func value(hash: UInt, where body: (UInt64) -> Bool) -> UInt64? {
    var patience = HashPatience()
    while true {
      guard let held = core.lines.lock(hash) else {
        patience.wait(core.lines.pool.source)
        continue
      }
      defer { core.lines.unlock(held) }
      guard let place = place(held, hash, where: { body(UInt64($0)) }) else { return nil }
      return UInt64(record(place.line.loadRelaxed(place.word)).loadRelaxed(NameRecord.value))
    }
  }

  private typealias Lines = NameTableCore<HardwareMemory>.Lines

  private func record(_ entry: UInt) -> HardwareMemory {
    core.lines.pool[NameLayout.piece(entry)]
  }

  private func place(_ held: Lines.Held, _ hash: UInt, where body: (UInt) -> Bool) -> Lines.Place? {
    core.lines.first(held) { line, word in
      let entry = line.loadRelaxed(word)
      // Without the length, which the hash doesn't tell.
      return NameLayout.mark(hash, 0) == NameLayout.mark(entry) & ~0xff
        && body(record(entry).loadRelaxed(NameRecord.value))
    }
  }
}

extension IDTableOf {
  /// Any thread. A key's hash, for what is below.
  @inlinable @inline(__always)
  public func hash(_ key: Key) -> UInt { core.hash(key) }

  /// Any thread. Exchanges the value of an entry of this hash; false when there is none.
  public func replace(hash: UInt, expected: UInt64, with value: UInt64) -> Bool {
    var patience = HashPatience()
    while true {
      guard let held = core.lines.lock(hash) else {
        patience.wait(core.lines.pool.source)
        continue
      }
      defer { core.lines.unlock(held) }
      guard let place = place(held, hash, where: { $0 == UInt(expected) }) else { return false }
      place.line.storeRelease(place.word &+ Key.words, UInt(value))
      return true
    }
  }

  /// Any thread. Takes out an entry of this hash and value; false when there is none.
  public func remove(hash: UInt, value: UInt64) -> Bool {
    var patience = HashPatience()
    while true {
      guard let held = core.lines.lock(hash) else {
        patience.wait(core.lines.pool.source)
        continue
      }
      guard let place = place(held, hash, where: { $0 == UInt(value) }) else {
        core.lines.unlock(held)
        return false
      }
      core.lines.remove(held, place)
      _ = counts.add(-1)
      return true
    }
  }

  /// Any thread. The first value of this hash that `body` says yes to. A writer of the same line
  /// waits meanwhile, so `body` is short.
  public func value(hash: UInt, where body: (UInt64) -> Bool) -> UInt64? {
    var patience = HashPatience()
    while true {
      guard let held = core.lines.lock(hash) else {
        patience.wait(core.lines.pool.source)
        continue
      }
      defer { core.lines.unlock(held) }
      guard let place = place(held, hash, where: { body(UInt64($0)) }) else { return nil }
      return UInt64(place.line.loadRelaxed(place.word &+ Key.words))
    }
  }

  private typealias Lines = IDTableCore<HardwareMemory, Key>.Lines

  private func place(_ held: Lines.Held, _ hash: UInt, where body: (UInt) -> Bool) -> Lines.Place? {
    core.lines.first(held) { line, word in
      Key(line, word).hash(core.lines.layout.function) == hash
        && body(line.loadRelaxed(word &+ Key.words))
    }
  }
}

extension NameKey: CustomStringConvertible {
  /// The name as bytes of their own.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    for index in 0..<words.count {
      unsafe withUnsafeBytes(of: words[index].littleEndian) { unsafe bytes.append(contentsOf: $0) }
    }
    return Array(bytes.prefix(words.length))
  }

  /// The name in quotes; bytes that aren't UTF-8 are shown as such.
  public var description: String { "\"\(String(decoding: bytes, as: UTF8.self))\"" }
}
