internal import AloftMembership

/// What a cluster's secret makes of sessions' numbers and of names: texts with a tag, and numbers
/// that nobody outside can foretell.
///
/// The tag has 48 bits: it spares the cluster the look-up of what was made up. That a session can't
/// be guessed is owed to its 128 random bits.
package struct SessionKeys: Sendable {
  package static let secretBytes = 16
  /// A text's length: 16 bytes of number, 2 of place, 6 of tag, in base64url.
  package static let textLength = 32

  private let key: (UInt64, UInt64)

  /// - Parameter secret: 16 bytes, the same on all nodes.
  package init(secret: [UInt8]) {
    precondition(secret.count == Self.secretBytes, "a secret of 16 bytes")
    func word(_ range: Range<Int>) -> UInt64 {
      secret[range].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    key = (word(0..<8), word(8..<16))
  }

  /// A hash function for one purpose.
  private func sip(_ purpose: UInt64) -> SipHash { SipHash(key: (key.0 ^ purpose, key.1)) }

  // MARK: Texts

  package func text(_ id: SessionID) -> String {
    let bytes = Self.bytes(id) + tag(id)
    var text = ""
    text.reserveCapacity(Self.textLength)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let triple = bytes[start..<start + 3].reduce(0) { $0 << 8 | Int($1) }
      for shift in [18, 12, 6, 0] {
        text.unicodeScalars.append(UnicodeScalar(Self.alphabet[triple >> shift & 63]))
      }
    }
    return text
  }

  /// Nil when it isn't as this cluster writes one: damaged, forged, or another cluster's.
  package func id(text: some StringProtocol) -> SessionID? {
    let characters = Array(text.utf8)
    guard characters.count == Self.textLength else { return nil }
    var bytes: [UInt8] = []
    for start in stride(from: 0, to: characters.count, by: 4) {
      var quadruple = 0
      for character in characters[start..<start + 4] {
        guard let value = Self.value(of: character) else { return nil }
        quadruple = quadruple << 6 | value
      }
      for shift in [16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: quadruple >> shift)) }
    }
    let high = bytes[0..<8].reduce(0) { $0 << 8 | UInt64($1) }
    let low = bytes[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
    let place = UInt16(bytes[16]) << 8 | UInt16(bytes[17])
    guard let id = SessionID(high: high, low: low, place: place) else { return nil }
    // All six are compared, whichever differs: the time says nothing.
    let difference = zip(tag(id), bytes[18...]).reduce(0) { $0 | ($1.0 ^ $1.1) }
    return difference == 0 ? id : nil
  }

  private static func bytes(_ id: SessionID) -> [UInt8] {
    var bytes: [UInt8] = []
    for word in [id.high, id.low] {
      for shift in stride(from: 56, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
      }
    }
    return bytes + [UInt8(id.place >> 8), UInt8(truncatingIfNeeded: id.place)]
  }

  private func tag(_ id: SessionID) -> [UInt8] {
    let hash = sip(0x7461_6773).short(Self.bytes(id))
    return (0..<6).map { UInt8(truncatingIfNeeded: hash >> UInt64(8 * $0)) }
  }

  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  private static func value(of character: UInt8) -> Int? {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): Int(character) - 65
    case UInt8(ascii: "a")...UInt8(ascii: "z"): Int(character) - 97 + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(character) - 48 + 52
    case UInt8(ascii: "-"): 62
    case UInt8(ascii: "_"): 63
    default: nil
    }
  }

  // MARK: Names

  /// The session that a caller calls so: its number, and with it its slot, follow from the name.
  package func id(named name: [UInt8]) -> SessionID {
    let (low, high) = sip(0x6e61_6d65).long(name)
    let slot = sip(0x736c_6f74).short(name) % UInt64(Slot.count)
    return SessionID(high: high, low: low, slot: Slot(rawValue: UInt16(slot)))
  }

  /// Who is called so by whoever knows him: a user's name, say, or a token's subject.
  package func principal(named name: [UInt8]) -> Principal {
    let (low, high) = sip(0x7072_696e).long(name)
    return Principal(high: high, low: low)
  }
}
