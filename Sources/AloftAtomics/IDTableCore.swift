/// A key of ``IDTable`` or ``WideIDTable``: one word or two.
public protocol HashKey: Sendable, Equatable {
  static var words: Int { get }
  func hash(_ function: HashFunction) -> UInt
  init<Memory: AtomicMemory>(_ line: Memory, _ word: Int)
  func store<Memory: AtomicMemory>(_ line: Memory, _ word: Int)
}

extension UInt64: HashKey {
  @inlinable public static var words: Int { 1 }
  @inlinable @inline(__always)
  public func hash(_ function: HashFunction) -> UInt { function.hash(self) }
  @inlinable @inline(__always)
  public init<Memory: AtomicMemory>(_ line: Memory, _ word: Int) {
    self = UInt64(line.loadAcquire(word))
  }
  @inlinable @inline(__always)
  public func store<Memory: AtomicMemory>(_ line: Memory, _ word: Int) {
    line.storeRelease(word, UInt(self))
  }
}

/// A key of 128 bits.
@frozen
public struct WideID: HashKey, Hashable {
  public var high: UInt64
  public var low: UInt64

  @inlinable
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  @inlinable public static var words: Int { 2 }
  @inlinable @inline(__always)
  public func hash(_ function: HashFunction) -> UInt { function.hash(high, low) }
  @inlinable @inline(__always)
  public init<Memory: AtomicMemory>(_ line: Memory, _ word: Int) {
    high = UInt64(line.loadAcquire(word))
    low = UInt64(line.loadAcquire(word &+ 1))
  }
  @inlinable @inline(__always)
  public func store<Memory: AtomicMemory>(_ line: Memory, _ word: Int) {
    line.storeRelease(word, UInt(high))
    line.storeRelease(word &+ 1, UInt(low))
  }
}

/// Three entries of a key and a value to a line, or two of a wide key.
@frozen
public struct IDLayout<Key: HashKey>: HashLayout {
  @usableFromInline let function: HashFunction

  @inlinable
  init(function: HashFunction) { self.function = function }

  @inlinable public static var slotWords: Int { Key.words &+ 1 }
  @inlinable public static var firstBits: Int { 6 }
  @inlinable
  public func hash<Memory: AtomicMemory>(_ line: Memory, _ word: Int) -> UInt {
    Key(line, word).hash(function)
  }
}

/// What became of a ``IDTable/replace(_:expected:with:)`` or a removal.
@frozen
public enum HashChange: Equatable, Sendable {
  case done
  /// Nothing was changed: the entry's value is another one, this.
  case differs(UInt64)
  /// There is no such entry.
  case absent
}

/// The algorithm of ``IDTable`` and ``WideIDTable`` over ``HashLinesCore``: each operation once,
/// nil where it has to be tried again because another thread holds or has changed the line.
@frozen
public struct IDTableCore<Memory: AtomicMemory, Key: HashKey> {
  public typealias Lines = HashLinesCore<Memory, IDLayout<Key>>
  public let lines: Lines

  public init(root: Memory, seed: UInt64, source: HashMemory) {
    lines = Lines(
      root: root, layout: IDLayout(function: HashFunction(seed: seed)), source: source)
  }

  @inlinable @inline(__always)
  public func hash(_ key: Key) -> UInt { key.hash(lines.layout.function) }

  // MARK: Readers

  /// Any thread; writes nothing. The value, nil when absent.
  @inlinable @inline(__always)
  public func tryFind(_ key: Key, _ hash: UInt) -> UInt?? {
    tryFind(key, hash, lines.home(hash))
  }

  @inlinable @inline(__always)
  public func tryFind(_ key: Key, _ hash: UInt, _ index: Int) -> UInt?? {
    let line = lines.lines[index]
    let header = line.loadAcquire(HashLine.header)
    let matches = Self.matches(key, line, header)
    if matches != 0 {
      let slot = matches.trailingZeroBitCount &- Int(bitPattern: HashLine.slotShift)
      let value = line.loadAcquire(IDLayout<Key>.word(slot) &+ Key.words)
      return Lines.isUnchanged(line, since: header) ? .some(.some(value)) : nil
    }
    let link = line.loadAcquire(HashLine.link)
    if link != 0 || header & HashLine.born == 0 || !Lines.covers(header, index, hash) {
      return tryFindOnward(key, hash, index)
    }
    return Lines.isUnchanged(line, since: header) ? .some(nil) : nil
  }

  /// The slots whose key this is, at most one: no branch depends on which.
  @inlinable @inline(__always)
  static func matches(_ key: Key, _ line: Memory, _ bits: UInt) -> UInt {
    var matches: UInt = 0
    for slot in 0..<IDLayout<Key>.slots {
      let isEqual = Key(line, IDLayout<Key>.word(slot)) == key
      matches |= isEqual ? HashLine.bit(slot) : 0
    }
    return matches & bits
  }

  /// The same where the line isn't the right one, or isn't the whole chain.
  @inlinable @inline(never)
  func tryFindOnward(_ key: Key, _ hash: UInt, _ start: Int) -> UInt?? {
    var index = start
    var first = lines.lines[index]
    var header = first.loadAcquire(HashLine.header)
    while header & HashLine.born == 0 || !Lines.covers(header, index, hash) {
      index = lines.onward(header, index, hash)
      first = lines.lines[index]
      header = first.loadAcquire(HashLine.header)
    }
    var line = first
    var bits = header
    while true {
      let matches = Self.matches(key, line, bits)
      if matches != 0 {
        let slot = matches.trailingZeroBitCount &- Int(bitPattern: HashLine.slotShift)
        let value = line.loadAcquire(IDLayout<Key>.word(slot) &+ Key.words)
        return Lines.isUnchanged(first, since: header) ? .some(.some(value)) : nil
      }
      let link = line.loadAcquire(HashLine.link)
      // Before the link is followed: it may be of another line by now.
      if !Lines.isUnchanged(first, since: header) { return nil }
      if link == 0 { return .some(nil) }
      line = lines.pool[link]
      bits = line.loadAcquire(HashLine.header)
    }
  }

  // MARK: Writers

  /// Any thread. nil inside when inserted, else the value of the entry that is there.
  @inlinable
  public func tryInsert(_ key: Key, _ value: UInt, _ hash: UInt) -> UInt?? {
    guard let held = lines.lock(hash) else { return nil }
    if let place = lines.first(held, { Key($0, $1) == key }) {
      let found = place.line.loadRelaxed(place.word &+ Key.words)
      lines.unlock(held)
      return .some(.some(found))
    }
    lines.insert(held) { line, word in
      key.store(line, word)
      line.storeRelease(word &+ Key.words, value)
    }
    return .some(nil)
  }

  /// Any thread.
  @inlinable
  public func tryReplace(_ key: Key, _ expected: UInt, _ value: UInt, _ hash: UInt) -> HashChange? {
    guard let held = lines.lock(hash) else { return nil }
    defer { lines.unlock(held) }
    guard let place = lines.first(held, { Key($0, $1) == key }) else { return .absent }
    let found = place.line.loadRelaxed(place.word &+ Key.words)
    if found != expected { return .differs(UInt64(found)) }
    place.line.storeRelease(place.word &+ Key.words, value)
    return .done
  }

  /// Any thread. `expected` nil takes the entry out whatever its value.
  @inlinable
  public func tryRemove(_ key: Key, _ expected: UInt?, _ hash: UInt) -> (HashChange, UInt)? {
    guard let held = lines.lock(hash) else { return nil }
    guard let place = lines.first(held, { Key($0, $1) == key }) else {
      lines.unlock(held)
      return (.absent, 0)
    }
    let found = place.line.loadRelaxed(place.word &+ Key.words)
    if let expected, found != expected {
      lines.unlock(held)
      return (.differs(UInt64(found)), found)
    }
    lines.remove(held, place)
    return (.done, found)
  }
}

extension IDTableCore: Sendable where Memory: Sendable {}
