import Glibc

// The key sets and the random order of `peers/peer.h`, line by line: every system of the `micro`
// bench meets the same keys in the same order.

/// The finalizer of MurmurHash3 (Appleby 2011): one to one, and 0 stays 0.
@inline(__always)
private func mix(_ word: UInt64) -> UInt64 {
  var word = word
  word ^= word >> 33
  word = word &* 0xff51_afd7_ed55_8ccd
  word ^= word >> 33
  word = word &* 0xc4ce_b9fe_1a85_ec53
  return word ^ word >> 33
}

/// A random order (Knuth's linear congruence) that costs one multiplication and no memory.
struct MicroOrder {
  var state: UInt64

  @inline(__always)
  mutating func next(_ count: UInt64) -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return ((state >> 32) &* count) >> 32
  }
}

/// Key number `index` of the 64-bit keys; its value is index + 1.
@inline(__always)
func microID(_ index: UInt64) -> UInt64 { mix(index &+ 1) }

/// A string of 16 to 36 bytes, in 40 with its length before it. The first 16 tell it from all
/// others.
struct MicroName {
  static let least: UInt64 = 16
  static let most: UInt64 = 36
  static let bytes = 40

  /// Writes name number `index`.
  static func write(_ index: UInt64, to place: UnsafeMutableRawPointer) {
    var word = mix(index &+ 1)
    memset(place, 0, bytes)
    let length = least + word % (most - least + 1)
    place.storeBytes(of: UInt8(length), as: UInt8.self)
    for at in 0..<length {
      if at % 16 == 0 && at > 0 { word = mix(word &+ at) }
      let letter = UInt8(ascii: "a") + UInt8(truncatingIfNeeded: word >> (at % 16 * 4) & 15)
      place.storeBytes(of: letter, toByteOffset: Int(at) + 1, as: UInt8.self)
    }
  }

  @inline(__always)
  static func at(_ place: UnsafeRawPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: place + 1, count: Int(place.load(as: UInt8.self)))
  }
}
