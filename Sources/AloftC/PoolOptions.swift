import AloftAtomics
import AloftPool
import CAloft

/// A pool's options, read and checked.
struct PoolOptions {
  var limits = PoolLimits()
  var slots = 10
  /// Idle ones that each loop keeps.
  var share = 0

  init(_ source: UnsafePointer<aloft_pool_options>?, loops: Int) throws(Failure) {
    var given = aloft_pool_options()
    if let source = unsafe source { try unsafe read(source, into: &given, "aloft_pool_options") }
    let size = given.size == 0 ? 10 : Int(given.size)
    try Self.check(
      size: size, sizeMin: Int(given.size_min), overflow: Int(given.overflow),
      limit: LeaseHandle.slotsMax)
    slots = max(Int(given.size_limit), size + Int(given.overflow))
    limits.sizeMax = size
    limits.sizeMin = Int(given.size_min)
    limits.overflowMax = Int(given.overflow)
    limits.waitersMax = try Self.value(
      given.waiters_max, limits.waitersMax, most: 1 << 20, "waiters_max")
    limits.upstreams = try Self.value(given.upstreams, 1, most: 255, "upstreams")
    limits.lifetimeJitter =
      UInt64(
        try Self.value(given.lifetime_jitter_percent, 20, most: 100, "lifetime_jitter_percent"))
      * 10
    guard slots <= LeaseHandle.slotsMax, given.checks_returns <= 1 else {
      throw Failure(
        Code.invalid,
        """
        size_limit \(slots) and checks_returns \(given.checks_returns): up to \
        \(LeaseHandle.slotsMax), and 0 or 1 are possible
        """)
    }
    limits.checksReturns = given.checks_returns != 0
    setTimes(given)
    let kept = given.kept_per_loop
    share = kept == 0 ? max(1, size / (2 * loops)) : kept == .max ? 0 : min(Int(kept), slots)
  }

  private mutating func setTimes(_ given: aloft_pool_options) {
    func nanoseconds(_ milliseconds: UInt32) -> UInt64 {
      milliseconds == .max ? 0 : UInt64(milliseconds) * 1_000_000
    }
    limits.idleMax = nanoseconds(given.idle_ms_max)
    limits.lifetimeMax = nanoseconds(given.lifetime_ms_max)
    limits.leaseMax = nanoseconds(given.lease_ms_max)
    limits.checkEvery = nanoseconds(given.check_ms)
    if given.failures_max != 0 {
      limits.breaker.failuresMax = given.failures_max == .max ? 0 : Int(given.failures_max)
    }
    if given.pause_ms != 0 { limits.breaker.pause = nanoseconds(given.pause_ms) }
    if given.pause_ms_max != 0 { limits.breaker.pauseMax = nanoseconds(given.pause_ms_max) }
  }

  private static func value(
    _ given: UInt32, _ usual: Int, most: Int, _ name: StaticString
  ) throws(Failure) -> Int {
    if given == 0 { return usual }
    guard given <= most else {
      throw Failure(Code.invalid, "\(name) is \(given); up to \(most) is possible")
    }
    return Int(given)
  }

  static func check(size: Int, sizeMin: Int, overflow: Int, limit: Int) throws(Failure) {
    guard size >= 1, sizeMin <= size, size + overflow <= limit else {
      throw Failure(
        Code.invalid,
        """
        size \(size), size_min \(sizeMin), overflow \(overflow): size is 1 at least, size and \
        overflow together are \(limit) at most, and size_min is at most size
        """)
    }
  }
}
