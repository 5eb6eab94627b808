/// Writes the form in which the cluster's entries, snapshots and messages travel: numbers with the
/// least byte first, texts and lists behind their length.
struct ByteWriter {
  private(set) var bytes: [UInt8] = []

  mutating func put(_ value: UInt8) { bytes.append(value) }

  mutating func put(_ value: UInt16) { putLittle(value) }

  mutating func put(_ value: UInt32) { putLittle(value) }

  mutating func put(_ value: UInt64) { putLittle(value) }

  mutating func put(_ value: Bool) { bytes.append(value ? 1 : 0) }

  mutating func put(_ value: NodeID) { bytes.append(value.rawValue) }

  mutating func put(_ value: Incarnation) { putLittle(value.rawValue) }

  mutating func put(_ value: Epoch) { putLittle(value.rawValue) }

  /// Behind its length in a byte; no text of ours is longer.
  mutating func put(_ text: String) {
    let utf8 = text.utf8.prefix(255)
    bytes.append(UInt8(utf8.count))
    bytes.append(contentsOf: utf8)
  }

  /// Behind its length in four bytes.
  mutating func put(_ block: [UInt8]) {
    put(UInt32(block.count))
    bytes.append(contentsOf: block)
  }

  private mutating func putLittle<Number: FixedWidthInteger>(_ value: Number) {
    for byte in 0..<Number.bitWidth / 8 {
      bytes.append(UInt8(truncatingIfNeeded: value >> (8 * byte)))
    }
  }
}
