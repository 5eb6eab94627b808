/// SipHash-2-4, 64 and 128 bits of it: what nobody can compute, or find two inputs of one value
/// for, who doesn't know the key.
///
/// Source: Jean-Philippe Aumasson and Daniel J. Bernstein, "SipHash: a fast short-input PRF", 2012;
/// the 128 bits as in their reference code.
struct SipHash {
  private let key: (UInt64, UInt64)

  init(key: (UInt64, UInt64)) { self.key = key }

  private struct State {
    var a: UInt64
    var b: UInt64
    var c: UInt64
    var d: UInt64

    @inline(__always)
    private static func turned(_ word: UInt64, _ bits: UInt64) -> UInt64 {
      word &<< bits | word &>> (64 &- bits)
    }

    @inline(__always)
    mutating func round() {
      a = a &+ b
      b = Self.turned(b, 13) ^ a
      a = Self.turned(a, 32)
      c = c &+ d
      d = Self.turned(d, 16) ^ c
      a = a &+ d
      d = Self.turned(d, 21) ^ a
      c = c &+ b
      b = Self.turned(b, 17) ^ c
      c = Self.turned(c, 32)
    }

    @inline(__always)
    mutating func take(_ word: UInt64) {
      d ^= word
      round()
      round()
      a ^= word
    }

    mutating func finish(_ mark: UInt64) -> UInt64 {
      c ^= mark
      return finishRounds()
    }

    mutating func finishRounds() -> UInt64 {
      for _ in 0..<4 { round() }
      return a ^ b ^ c ^ d
    }
  }

  private func state(isLong: Bool) -> State {
    State(
      a: key.0 ^ 0x736f_6d65_7073_6575,
      b: key.1 ^ 0x646f_7261_6e64_6f6d ^ (isLong ? 0xee : 0),
      c: key.0 ^ 0x6c79_6765_6e65_7261, d: key.1 ^ 0x7465_6462_7974_6573)
  }

  private func absorb(_ bytes: [UInt8], into state: inout State) {
    var word: UInt64 = 0
    for (position, byte) in bytes.enumerated() {
      word |= UInt64(byte) &<< UInt64(8 * (position & 7))
      if position & 7 == 7 {
        state.take(word)
        word = 0
      }
    }
    state.take(word | UInt64(truncatingIfNeeded: bytes.count) &<< 56)
  }

  func short(_ bytes: [UInt8]) -> UInt64 {
    var state = state(isLong: false)
    absorb(bytes, into: &state)
    return state.finish(0xff)
  }

  /// The lower half first.
  func long(_ bytes: [UInt8]) -> (UInt64, UInt64) {
    var state = state(isLong: true)
    absorb(bytes, into: &state)
    let low = state.finish(0xee)
    state.b ^= 0xdd
    return (low, state.finishRounds())
  }
}
