/// A set of state fingerprints: open addressing over raw words, because a `Set` is slow where
/// nothing is optimised and this is asked at every step. Two states out of ten million share a
/// fingerprint with a chance of one in 400,000.
final class VisitedStates {
  private var table: UnsafeMutablePointer<UInt64>
  private var mask: Int
  private(set) var count = 0

  init() {
    mask = (1 << 16) - 1
    table = .allocate(capacity: mask + 1)
    table.initialize(repeating: 0, count: mask + 1)
  }

  deinit { table.deallocate() }

  func contains(_ fingerprint: UInt64) -> Bool {
    let key = fingerprint == 0 ? 1 : fingerprint
    var at = Int(truncatingIfNeeded: key) & mask
    while table[at] != 0 {
      if table[at] == key { return true }
      at = (at &+ 1) & mask
    }
    return false
  }

  /// `false` when it was there already.
  func insert(_ fingerprint: UInt64) -> Bool {
    if count * 2 > mask { grow() }
    let key = fingerprint == 0 ? 1 : fingerprint
    var at = Int(truncatingIfNeeded: key) & mask
    while table[at] != 0 {
      if table[at] == key { return false }
      at = (at &+ 1) & mask
    }
    table[at] = key
    count &+= 1
    return true
  }

  private func grow() {
    let old = table
    let oldCount = mask + 1
    mask = oldCount * 4 - 1
    table = .allocate(capacity: mask + 1)
    table.initialize(repeating: 0, count: mask + 1)
    for i in 0..<oldCount where old[i] != 0 {
      var at = Int(truncatingIfNeeded: old[i]) & mask
      while table[at] != 0 { at = (at &+ 1) & mask }
      table[at] = old[i]
    }
    old.deallocate()
  }
}

/// Stirs `value` into `state` (splitmix64's finaliser).
func stirred(_ state: UInt64, _ value: UInt64) -> UInt64 {
  var z = (state ^ value) &+ 0x9e37_79b9_7f4a_7c15
  z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
  z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
  return z ^ (z >> 31)
}
