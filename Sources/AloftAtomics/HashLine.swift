/// One cache line of a hash table: a header, six words of slots, a link to a further line.
///
/// The header's bits: 0 a writer holds the chain; 1 the line is in use ("born"); 2...7 its depth;
/// 8...13 which slots hold an entry; from 16 on the version, one up with each change. A further
/// line's first word has the bits of its slots and nothing else.
@usableFromInline
enum HashLine {
  @inlinable static var header: Int { 0 }
  @inlinable static var slots: Int { 1 }
  @inlinable static var link: Int { 7 }
  @inlinable static var words: Int { 8 }
  @inlinable static var slotWords: Int { 6 }

  @inlinable static var locked: UInt { 1 }
  @inlinable static var born: UInt { 2 }
  @inlinable static var depthShift: UInt { 2 }
  @inlinable static var depthOne: UInt { 1 &<< 2 }
  @inlinable static var slotShift: UInt { 8 }
  @inlinable static var slotMask: UInt { 0x3f &<< 8 }
  @inlinable static var versionOne: UInt { 1 &<< 16 }

  @inlinable @inline(__always)
  static func depth(_ header: UInt) -> UInt { (header &>> depthShift) & 0x3f }

  @inlinable @inline(__always)
  static func bit(_ slot: Int) -> UInt { 1 &<< (slotShift &+ UInt(bitPattern: slot)) }

  @inlinable @inline(__always)
  static func holds(_ header: UInt, _ slot: Int) -> Bool { header & bit(slot) != 0 }
}

/// What stands in a slot, as far as the lines have to know.
public protocol HashLayout: Sendable {
  /// Words of a slot: 1, 2 or 3.
  static var slotWords: Int { get }
  /// Binary digits of the number of lines that a table begins with.
  static var firstBits: Int { get }
  /// The hash of the entry at `word` of `line`: its digits from `firstBits` to the 31st at least.
  func hash<Memory: AtomicMemory>(_ line: Memory, _ word: Int) -> UInt
}

extension HashLayout {
  @inlinable static var slots: Int { HashLine.slotWords / slotWords }
  @inlinable @inline(__always)
  static func word(_ slot: Int) -> Int { HashLine.slots &+ slot &* slotWords }
}
