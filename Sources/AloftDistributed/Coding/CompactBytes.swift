/// What a coded value looks like: a byte that says which kind it is, then, by kind, nothing, a
/// number of 7 bits a byte, little-endian bits, or a length and as many bytes. Arrays and maps say
/// their length in bytes, so that a reader can pass over what it doesn't want.
enum CompactKind: UInt8 {
  case null = 0
  case no = 1
  case yes = 2
  /// A number of 0 and up.
  case positive = 3
  /// The number n stands for -n - 1.
  case negative = 4
  case float = 5
  case double = 6
  case text = 7
  case bytes = 8
  /// Values.
  case array = 9
  /// Keys, each with its value.
  case map = 10
}

enum Compact {
  /// How deep values may lie in each other: beyond that a reader would run out of stack.
  static let depthMax = 128
}

extension [UInt8] {
  mutating func appendNumber(_ number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(rest))
  }

  mutating func appendText(_ text: String) {
    appendNumber(UInt64(text.utf8.count))
    append(contentsOf: text.utf8)
  }

  mutating func appendBits<Bits: FixedWidthInteger>(_ bits: Bits) {
    for byte in 0..<Bits.bitWidth / 8 { append(UInt8(truncatingIfNeeded: bits >> (byte * 8))) }
  }
}

/// Bytes that are not what they should be.
struct CompactDamage: Error {}

/// Reads coded values from bytes that may be anything.
struct CompactReader {
  let bytes: [UInt8]
  var at: Int
  var end: Int

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    at = 0
    end = bytes.count
  }

  var isAtEnd: Bool { at >= end }

  mutating func byte() throws(CompactDamage) -> UInt8 {
    guard at < end else { throw CompactDamage() }
    defer { at += 1 }
    return bytes[at]
  }

  mutating func number() throws(CompactDamage) -> UInt64 {
    var number: UInt64 = 0
    for shift in stride(from: UInt64(0), through: 63, by: 7) {
      let byte = try byte()
      // The tenth byte has room for one bit.
      if shift == 63, byte > 1 { throw CompactDamage() }
      number |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return number }
    }
    throw CompactDamage()
  }

  /// The place of as many bytes as a number says.
  mutating func run() throws(CompactDamage) -> Range<Int> {
    let count = try number()
    guard count <= UInt64(end - at) else { throw CompactDamage() }
    defer { at += Int(count) }
    return at..<at + Int(count)
  }

  mutating func text() throws(CompactDamage) -> String {
    guard let text = String(validating: bytes[try run()], as: UTF8.self) else {
      throw CompactDamage()
    }
    return text
  }

  mutating func bits<Bits: FixedWidthInteger & UnsignedInteger>(
    _ type: Bits.Type
  ) throws(CompactDamage) -> Bits {
    guard end - at >= Bits.bitWidth / 8 else { throw CompactDamage() }
    defer { at += Bits.bitWidth / 8 }
    return (0..<Bits.bitWidth / 8).reduce(0) { $0 | Bits(bytes[at + $1]) << ($1 * 8) }
  }

  mutating func kind() throws(CompactDamage) -> CompactKind {
    guard let kind = CompactKind(rawValue: try byte()) else { throw CompactDamage() }
    return kind
  }

  /// Passes over a value.
  mutating func skip() throws(CompactDamage) {
    switch try kind() {
    case .null, .no, .yes: return
    case .positive, .negative: _ = try number()
    case .float: _ = try bits(UInt32.self)
    case .double: _ = try bits(UInt64.self)
    case .text, .bytes, .array, .map: _ = try run()
    }
  }
}
