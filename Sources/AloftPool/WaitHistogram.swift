/// How long they waited: four buckets to each power of two of nanoseconds, so that a figure read
/// from it is at most a quarter too large.
package struct WaitHistogram: Sendable, Equatable {
  package private(set) var counts = [UInt64](repeating: 0, count: 256)
  package private(set) var count: UInt64 = 0
  package private(set) var max: UInt64 = 0

  package init() {}

  package mutating func record(_ nanoseconds: UInt64) {
    counts[Self.bucket(nanoseconds)] += 1
    count += 1
    if nanoseconds > max { max = nanoseconds }
  }

  static func bucket(_ value: UInt64) -> Int {
    if value < 4 { return Int(value) }
    let power = 63 - value.leadingZeroBitCount
    return (power - 1) * 4 + Int(value >> UInt64(power - 2) & 3)
  }

  /// The greatest value of a bucket.
  static func end(of bucket: Int) -> UInt64 {
    if bucket < 4 { return UInt64(bucket) }
    let power = UInt64(bucket / 4 + 1)
    let width = UInt64(1) << (power - 2)
    let start = (UInt64(1) << power) + UInt64(bucket % 4) * width
    return start + (width - 1)
  }

  /// The wait that so many of a hundred did not exceed; 0 when nobody waited.
  package func percentile(_ percent: Double) -> UInt64 {
    guard count > 0 else { return 0 }
    let rank = Swift.max(1, UInt64((Double(count) * percent / 100).rounded(.up)))
    var seen: UInt64 = 0
    for bucket in counts.indices {
      seen += counts[bucket]
      if seen >= rank { return min(Self.end(of: bucket), max) }
    }
    return max
  }
}

/// What has happened in a pool so far, and how it stands.
package struct PoolCounts: Sendable, Equatable {
  package var opened: UInt64 = 0
  package var openFailures: UInt64 = 0
  package var closed: UInt64 = 0
  /// Of those opened, beyond `sizeMax`.
  package var overflowed: UInt64 = 0
  /// Leases handed to those who had asked at home.
  package var handedOver: UInt64 = 0
  package var timedOut: UInt64 = 0
  package var cancelled: UInt64 = 0
  /// Refused because too many waited, an upstream was down or the pool was closed.
  package var refused: UInt64 = 0
  package var reclaimed: UInt64 = 0
  package var checksFailed: UInt64 = 0

  package init() {}
}
