/// A vector clock for up to four threads: how many events of each one happened before.
///
/// Four lanes of 16 bits in one word, because the checker joins clocks at every step and runs
/// unoptimised: an array would make it ten times slower. The top bit of each lane stays 0.
struct Clock: Equatable {
  static let threadsMax = 4
  static let eventsMax = 0x7fff

  private var lanes: UInt64 = 0

  init() {}

  subscript(thread: Int) -> Int {
    Int(truncatingIfNeeded: lanes >> UInt64(16 * thread)) & 0x7fff
  }

  mutating func set(_ thread: Int, to count: Int) {
    let shift = UInt64(16 * thread)
    lanes = (lanes & ~(0xffff << shift)) | (UInt64(count) << shift)
  }

  /// The lane-wise maximum.
  mutating func join(_ other: Clock) {
    let top: UInt64 = 0x8000_8000_8000_8000
    // Each lane's top bit of the difference survives where this lane is not the smaller one.
    let notLess = (((lanes | top) &- other.lanes) & top) >> 15
    let keep = notLess &* 0xffff
    lanes = (lanes & keep) | (other.lanes & ~keep)
  }

  /// Whether every event known to `other` is known here.
  func covers(_ other: Clock) -> Bool {
    var joined = self
    joined.join(other)
    return joined == self
  }
}
