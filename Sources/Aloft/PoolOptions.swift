internal import AloftAtomics
internal import AloftPool

/// How a pool behaves: sizes, limits and times. A time of nil means never.
public struct PoolOptions: Sendable {
  /// Resources that are opened as they are needed, and stay open.
  public var size = 10
  /// Resources that are kept open though nobody asks for them.
  public var sizeMin = 0
  /// Resources beyond `size` that are opened while somebody waits, and closed when nobody does.
  public var overflow = 0
  /// As large as `size` and `overflow` together may become by `resize`; nil for as large as they
  /// are, 4,096 at most. A slot costs 128 bytes and what the resource takes.
  public var sizeLimit: Int?
  /// As many may wait for a lease; the next one is refused.
  public var waitersMax = 65_536
  /// For so long at most one waits, where the call doesn't say otherwise.
  public var waitMax: Duration? = .seconds(5)
  /// A resource above `sizeMin` that nobody has used for so long is closed.
  public var idleMax: Duration?
  /// A resource that has been open for so long is closed as soon as it is idle.
  public var lifetimeMax: Duration?
  /// Each resource's own lifetime is shorter by up to this part of it, drawn at random, so that
  /// resources that were opened together don't close together.
  public var lifetimeJitter = 0.2
  /// A resource that is lent for so long is taken from its borrower: it is closed, and the lease
  /// is stale. Found out by looking four times in that time, so it may take a quarter longer.
  public var leaseMax: Duration?
  /// An idle resource is checked so often.
  public var checkEvery: Duration?
  /// A resource is checked each time that it is returned. Every return then takes the slow way.
  public var checksReturns = false
  /// Upstreams that resources are opened to; the one with the fewest open gets the next.
  public var upstreams = 1
  /// Failures to open in a row after which an upstream is left alone. 0: never.
  public var failuresMax = 5
  /// For how long it is left alone at first. Then one attempt is made; if that fails too, the
  /// pause is doubled.
  public var pause = Duration.seconds(1)
  public var pauseMax = Duration.seconds(30)
  /// Idle resources that each event loop keeps for itself, which makes its leases cheapest; nil
  /// for as many as leave half of `size` to all.
  public var keptPerLoop: Int?

  public init() {}

  public init(size: Int, overflow: Int = 0) {
    self.size = size
    self.overflow = overflow
  }

  func share(loops: Int) -> Int { keptPerLoop ?? max(1, size / (2 * loops)) }

  var slots: Int { max(sizeLimit ?? 0, size + overflow) }

  func limits() throws(PoolError) -> PoolLimits {
    try Self.check(sizeMin: sizeMin, size: size, overflow: overflow, limit: LeaseHandle.slotsMax)
    guard slots <= LeaseHandle.slotsMax else {
      throw PoolError(
        .invalidOption, "sizeLimit is \(slots); \(LeaseHandle.slotsMax) is the most possible")
    }
    guard (1...(1 << 20)).contains(waitersMax), (1...255).contains(upstreams),
      (0...1).contains(lifetimeJitter), failuresMax >= 0, keptPerLoop ?? 0 >= 0,
      keptPerLoop ?? 0 <= slots
    else {
      throw PoolError(
        .invalidOption,
        """
        waitersMax \(waitersMax), upstreams \(upstreams), lifetimeJitter \(lifetimeJitter), \
        failuresMax \(failuresMax), keptPerLoop \(keptPerLoop ?? 0): from 1 to 1048576, from 1 \
        to 255, from 0 to 1, from 0, and from 0 to \(slots) are possible
        """)
    }
    var limits = PoolLimits()
    limits.sizeMin = sizeMin
    limits.sizeMax = size
    limits.overflowMax = overflow
    limits.waitersMax = waitersMax
    limits.idleMax = try idleMax.poolNanoseconds("idleMax")
    limits.lifetimeMax = try lifetimeMax.poolNanoseconds("lifetimeMax")
    limits.lifetimeJitter = UInt64(lifetimeJitter * 1_000)
    limits.leaseMax = try leaseMax.poolNanoseconds("leaseMax")
    limits.checkEvery = try checkEvery.poolNanoseconds("checkEvery")
    limits.checksReturns = checksReturns
    limits.upstreams = upstreams
    limits.breaker.failuresMax = failuresMax
    limits.breaker.pause = try Optional(pause).poolNanoseconds("pause")
    limits.breaker.pauseMax = try Optional(pauseMax).poolNanoseconds("pauseMax")
    _ = try waitMax.poolNanoseconds("waitMax")
    return limits
  }

  static func check(sizeMin: Int, size: Int, overflow: Int, limit: Int) throws(PoolError) {
    guard size >= 1, overflow >= 0, size <= limit, overflow <= limit - size, sizeMin >= 0,
      sizeMin <= size
    else {
      throw PoolError(
        .invalidOption,
        """
        size \(size), overflow \(overflow), sizeMin \(sizeMin): size is 1 at least, size and \
        overflow together are \(limit) at most, and sizeMin is at most size
        """)
    }
  }
}

extension Duration? {
  /// 0 for none.
  func poolNanoseconds(_ name: String) throws(PoolError) -> UInt64 {
    guard let self else { return 0 }
    let (seconds, attoseconds) = self.components
    guard self > .zero, seconds < 1 << 32 else {
      throw PoolError(
        .invalidOption, "\(name) is \(self); more than 0, up to 136 years, is possible")
    }
    return UInt64(seconds) * 1_000_000_000 + UInt64((attoseconds + 999_999_999) / 1_000_000_000)
  }
}
