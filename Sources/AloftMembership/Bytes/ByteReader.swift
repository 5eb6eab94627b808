/// Bytes that aren't what they should be: too few, too many, or a value that nobody writes.
package struct MalformedBytes: Error, Hashable {
  package init() {}
}

/// Reads what a ``ByteWriter`` wrote, and finds out when it didn't: each read is checked against
/// the end, and nothing is taken because a length says so.
struct ByteReader {
  private let bytes: [UInt8]
  private(set) var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var remaining: Int { bytes.count - position }

  mutating func byte() throws(MalformedBytes) -> UInt8 {
    guard position < bytes.count else { throw MalformedBytes() }
    position += 1
    return bytes[position - 1]
  }

  mutating func short() throws(MalformedBytes) -> UInt16 { try little() }

  mutating func word() throws(MalformedBytes) -> UInt32 { try little() }

  mutating func long() throws(MalformedBytes) -> UInt64 { try little() }

  mutating func bool() throws(MalformedBytes) -> Bool {
    switch try byte() {
    case 0: false
    case 1: true
    default: throw MalformedBytes()
    }
  }

  mutating func node() throws(MalformedBytes) -> NodeID { NodeID(rawValue: try byte()) }

  mutating func incarnation() throws(MalformedBytes) -> Incarnation {
    Incarnation(rawValue: try long())
  }

  mutating func epoch() throws(MalformedBytes) -> Epoch { Epoch(rawValue: try long()) }

  mutating func text() throws(MalformedBytes) -> String {
    let block = try take(Int(try byte()))
    guard let text = String(validating: block, as: UTF8.self) else { throw MalformedBytes() }
    return text
  }

  mutating func block() throws(MalformedBytes) -> [UInt8] { Array(try take(Int(try word()))) }

  mutating func value<Value: RawRepresentable>(
    _ type: Value.Type
  ) throws(MalformedBytes) -> Value where Value.RawValue == UInt8 {
    guard let value = Value(rawValue: try byte()) else { throw MalformedBytes() }
    return value
  }

  /// All has been read.
  func end() throws(MalformedBytes) {
    if remaining != 0 { throw MalformedBytes() }
  }

  private mutating func take(_ count: Int) throws(MalformedBytes) -> ArraySlice<UInt8> {
    guard count <= remaining else { throw MalformedBytes() }
    position += count
    return bytes[position - count..<position]
  }

  private mutating func little<Number: FixedWidthInteger>() throws(MalformedBytes) -> Number {
    var value: Number = 0
    for (place, byte) in try take(Number.bitWidth / 8).enumerated() {
      value |= Number(truncatingIfNeeded: byte) << (8 * place)
    }
    return value
  }
}
