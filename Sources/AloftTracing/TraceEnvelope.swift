/// What travels before a call's own bytes: the fields of a tracing context.
///
/// A count of fields in a byte; for each, its key's length in a byte, its value's in two, and both.
struct TraceEnvelope {
  /// W3C's trace context has two fields, and baggage is one; 8 KiB is what that allows baggage.
  static let fieldsMax = 16
  static let bytesMax = 8 << 10

  /// Fields that are too many or too large are left out: a call is worth more than its trace.
  static func bytes(_ fields: [String: String], _ payload: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = [0]
    for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
      let (key, value) = (Array(key.utf8), Array(value.utf8))
      guard bytes[0] < fieldsMax, key.count <= 255, value.count <= bytesMax,
        bytes.count + 3 + key.count + value.count <= bytesMax
      else { continue }
      bytes[0] += 1
      bytes += [UInt8(key.count), UInt8(value.count >> 8), UInt8(value.count & 0xFF)]
      bytes += key
      bytes += value
    }
    return bytes + payload
  }

  let fields: [String: String]
  let payload: [UInt8]

  /// Nil for bytes that are none.
  init?(_ bytes: [UInt8]) {
    guard let count = bytes.first, count <= Self.fieldsMax else { return nil }
    var rest = bytes.dropFirst()
    func take(_ count: Int) -> ArraySlice<UInt8>? {
      guard rest.count >= count else { return nil }
      defer { rest = rest.dropFirst(count) }
      return rest.prefix(count)
    }
    var fields: [String: String] = [:]
    for _ in 0..<count {
      guard let lengths = take(3).map(Array.init), let key = take(Int(lengths[0])),
        let value = take(Int(lengths[1]) << 8 | Int(lengths[2]))
      else { return nil }
      fields[String(decoding: key, as: UTF8.self)] = String(decoding: value, as: UTF8.self)
    }
    self.fields = fields
    payload = Array(rest)
  }
}
