/// Who else is restarted when a child is.
package enum RestartStrategy: UInt8, Hashable, Sendable {
  case oneForOne
  case oneForAll
  /// Those that were started after it.
  case restForOne
}

/// How many restarts are too many: more than `max(minimum, fraction x children)` of them within
/// `window` milliseconds, both ends of it included.
///
/// Erlang's supervisors count up to a fixed number, whatever they supervise. With a hundred
/// thousand children that number is exceeded by any accident that befalls a thousand of them at a
/// time, and one that is high enough for that never notices a single child that fails for ever.
/// So here the number scales, and who fails again and again is slowed down by its own back-off.
package struct RestartIntensity: Hashable, Sendable {
  package var minimum: UInt32
  /// Parts of a million children, so that the sum is exact.
  package var millionths: UInt32
  package var window: UInt32
  /// Most restarts of one child without having run for `Backoff.stableAfter` in between; 0: any.
  package var consecutiveMax: UInt8

  package init(
    minimum: UInt32 = 3, millionths: UInt32 = 250_000, window: UInt32 = 5_000,
    consecutiveMax: UInt8 = 0
  ) {
    self.minimum = minimum
    self.millionths = millionths
    self.window = window
    self.consecutiveMax = consecutiveMax
  }

  package func allowed(children: Int) -> UInt64 {
    max(UInt64(minimum), UInt64(children) * UInt64(millionths) / 1_000_000)
  }
}

/// How long a child that has failed waits before it is started again, in milliseconds: nothing the
/// first time, then `base`, doubled each time up to `most`. Half of it is drawn at random, so that
/// those who failed together don't come back together.
package struct Backoff: Hashable, Sendable {
  package var base: UInt32
  package var most: UInt32
  /// Who ran for so long is taken to be well again: the count starts anew.
  package var stableAfter: UInt32

  package init(base: UInt32 = 10, most: UInt32 = 5_000, stableAfter: UInt32 = 10_000) {
    self.base = base
    self.most = most
    self.stableAfter = stableAfter
  }

  /// - Parameter attempts: restarts before this one.
  func delay(attempts: UInt8, random: UInt64) -> UInt64 {
    guard attempts > 0, base > 0 else { return 0 }
    let full = min(UInt64(base) << UInt64(min(attempts - 1, 31)), UInt64(max(most, base)))
    return full - random % (full / 2 + 1)
  }
}

/// How a supervisor treats its children.
package struct SupervisorOptions: Hashable, Sendable {
  package var strategy = RestartStrategy.oneForOne
  package var intensity = RestartIntensity()
  package var backoff = Backoff()
  /// Children that may be on their way up, or down, at a time. With 1 the order is strict: one has
  /// come up before the next is started.
  package var inFlightMax = 1
  package var childrenMax = 1 << 20

  package init() {}
}
