import COpenSSL
import Glibc

/// What a client of sessions shows to be let in: whose it is, until when it's good, and a secret
/// that only who has the cluster's key can make. The secret itself never travels with a connection:
/// both sides prove that they have it.
package struct ClientToken: Hashable, Sendable, CustomStringConvertible {
  /// 1 to 255 bytes.
  package let principal: String
  /// Seconds since 1970; 0 for ever.
  package let expiry: UInt64
  /// Which of the cluster's keys it was made with.
  let keyTag: UInt32
  let secret: [UInt8]

  package static let principalMax = 255
  static let secretBytes = 32
  static let nonceBytes = 16
  private static let head = "aloft1"

  /// Nil for a principal of no bytes, or too many, or a key that is too short.
  package init?(principal: String, expiry: UInt64, key: [UInt8]) {
    guard (1...Self.principalMax).contains(principal.utf8.count),
      key.count >= ClusterKeys.bytesMin
    else { return nil }
    self.principal = principal
    self.expiry = expiry
    keyTag = Self.tag(of: key)
    secret = Self.secret(principal, expiry, key)
  }

  static func tag(of key: [UInt8]) -> UInt32 {
    ClusterKeys.code(key, Array("aloft client key".utf8)).prefix(4).reduce(0) {
      $0 << 8 | UInt32($1)
    }
  }

  static func secret(_ principal: String, _ expiry: UInt64, _ key: [UInt8]) -> [UInt8] {
    var text = Array("aloft client token".utf8)
    for shift in stride(from: 0, to: 64, by: 8) {
      text.append(UInt8(truncatingIfNeeded: expiry >> UInt64(shift)))
    }
    return ClusterKeys.code(key, text + Array(principal.utf8))
  }

  // MARK: Its text

  package var description: String {
    let parts = [
      Self.hex((0..<4).map { UInt8(truncatingIfNeeded: keyTag >> UInt32(24 - 8 * $0)) }),
      Self.hex((0..<8).map { UInt8(truncatingIfNeeded: expiry >> UInt64(56 - 8 * $0)) }),
      Self.hex(secret), Self.hex(Array(principal.utf8)),
    ]
    return ([Self.head] + parts).joined(separator: "-")
  }

  /// Nil for what is no such text. Whether it's good is for the cluster to say.
  package init?(text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 5, parts[0] == Self.head,
      let tag = Self.bytes(parts[1]), tag.count == 4,
      let expiry = Self.bytes(parts[2]), expiry.count == 8,
      let secret = Self.bytes(parts[3]), secret.count == Self.secretBytes,
      let name = Self.bytes(parts[4]), (1...Self.principalMax).contains(name.count),
      let principal = String(validating: name, as: UTF8.self)
    else { return nil }
    self.principal = principal
    self.expiry = expiry.reduce(0) { $0 << 8 | UInt64($1) }
    keyTag = tag.reduce(0) { $0 << 8 | UInt32($1) }
    self.secret = secret
  }

  private static let digits = Array("0123456789abcdef".utf8)

  private static func hex(_ bytes: [UInt8]) -> String {
    String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  private static func bytes(_ text: Substring) -> [UInt8]? {
    let digits = text.utf8.compactMap { digit in Self.digits.firstIndex(of: digit) }
    guard digits.count % 2 == 0, digits.count == text.utf8.count else { return nil }
    return stride(from: 0, to: digits.count, by: 2).map { at in
      UInt8(digits[at] << 4 | digits[at + 1])
    }
  }

  // MARK: Proofs

  enum Side: String { case node, client }

  /// What a side shows: it has the secret, and speaks on this very connection.
  static func proof(
    of side: Side, _ secret: [UInt8], binding: [UInt8], client: [UInt8], node: [UInt8]
  ) -> [UInt8] {
    ClusterKeys.code(
      secret, Array("aloft door \(side.rawValue)".utf8) + binding + client + node)
  }

  static func isEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    unsafe a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
  }

  static func nonce() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: nonceBytes)
    let status = unsafe RAND_bytes(&bytes, Int32(nonceBytes))
    precondition(status == 1, "the system has no randomness")
    return bytes
  }

  /// Seconds since 1970.
  package static func wallNow() -> UInt64 { UInt64(clamping: time(nil)) }
}
