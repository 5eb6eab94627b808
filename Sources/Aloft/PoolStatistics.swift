internal import AloftEngine
internal import AloftPool

/// How a pool stands, and what has happened in it since its start.
public struct PoolStatistics: Sendable {
  /// Resources that are lent, idle, and being opened.
  public let inUse: Int
  public let idle: Int
  public let opening: Int
  /// Those who wait for a lease.
  public let waiting: Int
  /// Leases so far, however they were come by.
  public let leases: UInt64
  /// Leases of those who had to wait or to have a resource opened.
  public let waited: UInt64
  public let opened: UInt64
  public let openFailures: UInt64
  public let closed: UInt64
  /// Of those opened, beyond `size`.
  public let overflowed: UInt64
  public let timedOut: UInt64
  public let cancelled: UInt64
  /// Refused because too many waited, the upstream was down, or the pool was closed.
  public let refused: UInt64
  /// Taken from borrowers who held them for too long, or have ended.
  public let reclaimed: UInt64
  public let checksFailed: UInt64
  /// Upstreams that are left alone just now.
  public let upstreamsDown: Int
  let waits: WaitHistogram

  init(_ s: PoolHome.Snapshot) {
    inUse = s.inUse
    idle = s.idle
    opening = s.opening
    waiting = s.waiting
    leases = s.leases
    waited = s.counts.handedOver
    opened = s.counts.opened
    openFailures = s.counts.openFailures
    closed = s.counts.closed
    overflowed = s.counts.overflowed
    timedOut = s.counts.timedOut
    cancelled = s.counts.cancelled
    refused = s.counts.refused
    reclaimed = s.counts.reclaimed
    checksFailed = s.counts.checksFailed
    upstreamsDown = s.upstreamsDown
    waits = s.waits
  }

  /// For how long so many of a hundred who waited have waited at most, up to a quarter more; zero
  /// when nobody has. Those who were refused count, too.
  public func wait(percentile: Double) -> Duration {
    .nanoseconds(Int64(clamping: waits.percentile(percentile)))
  }

  public var waitMax: Duration { .nanoseconds(Int64(clamping: waits.max)) }
}
