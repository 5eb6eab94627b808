/// Which of a proposer's numbers have been seen: the highest, and the 63 below it. What is older
/// counts as seen, so a proposer keeps fewer than 64 under way.
struct ProposalWindow: Hashable {
  static let length: UInt64 = 64

  private(set) var highest: UInt64 = 0
  /// Bit `i` is for `highest - i`.
  private(set) var seen: UInt64 = 0

  init() {}

  /// False when this number was seen before.
  mutating func insert(_ sequence: UInt64) -> Bool {
    if sequence > highest {
      let shift = sequence - highest
      seen = shift < Self.length ? seen << shift | 1 : 1
      highest = sequence
      return true
    }
    let age = highest - sequence
    guard age < Self.length, seen & 1 << age == 0 else { return false }
    seen |= 1 << age
    return true
  }

  func write(_ writer: inout ByteWriter) {
    writer.put(highest)
    writer.put(seen)
  }

  init(_ reader: inout ByteReader) throws(MalformedBytes) {
    highest = try reader.long()
    seen = try reader.long()
  }
}
