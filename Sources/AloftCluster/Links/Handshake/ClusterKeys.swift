import COpenSSL

/// The secrets that make a node one of the cluster's. Several are accepted, the first is used to
/// prove, so that keys can be changed one node after the other.
struct ClusterKeys: Sendable {
  static let bytesMin = 16
  static let bytesMax = 1_024
  /// Two while keys are being changed, and room for a mistake.
  static let countMax = 8
  static let proofBytes = 32

  let keys: [[UInt8]]

  init(_ keys: [[UInt8]]) throws(LinkError) {
    try Self.check(keys)
    self.keys = keys
  }

  static func check(_ keys: [[UInt8]]) throws(LinkError) {
    guard (1...countMax).contains(keys.count) else {
      throw LinkError("\(keys.count) cluster keys; 1 to \(countMax) are possible")
    }
    guard keys.allSatisfy({ (bytesMin...bytesMax).contains($0.count) }) else {
      throw LinkError("a cluster key has \(bytesMin) to \(bytesMax) bytes")
    }
  }

  /// HMAC-SHA-256 with the first key.
  func prove(_ text: [UInt8]) -> [UInt8] { Self.code(keys[0], text) }

  /// Whether any key made the proof. All are tried, each in the same time, whatever the outcome.
  func accept(_ proof: UnsafeRawBufferPointer, of text: [UInt8]) -> Bool {
    guard proof.count == Self.proofBytes else { return false }
    var isRight = false
    for key in keys {
      let expected = Self.code(key, text)
      let isEqual = unsafe expected.withUnsafeBytes {
        unsafe CRYPTO_memcmp($0.baseAddress, proof.baseAddress, Self.proofBytes) == 0
      }
      isRight = isEqual || isRight
    }
    return isRight
  }

  static func code(_ key: [UInt8], _ text: [UInt8]) -> [UInt8] {
    var code = [UInt8](repeating: 0, count: proofBytes)
    var length = UInt32(proofBytes)
    let made = unsafe HMAC(
      EVP_sha256(), key, Int32(key.count), text, text.count, &code, &length)
    unsafe precondition(made != nil && length == proofBytes, "HMAC-SHA-256 is not to be had")
    return code
  }
}
