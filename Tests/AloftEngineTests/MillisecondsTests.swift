import AloftEngine
import Testing

/// Time limits in milliseconds: never shorter than what was asked for, and never out of range.
struct MillisecondsTests {
  @Test(
    "A limit is rounded up to whole milliseconds",
    arguments: [
      (Duration.zero, 0, 1), (.nanoseconds(1), 1, 1), (.microseconds(999), 1, 1),
      (.milliseconds(1), 1, 1), (.nanoseconds(1_000_001), 2, 2), (.milliseconds(500), 500, 500),
      (.milliseconds(1_999), 1_999, 1_999), (.seconds(2) + .nanoseconds(1), 2_001, 2_001),
      (.nanoseconds(-1), 0, 1), (.microseconds(-1_500), -1, 1), (.milliseconds(-1_500), -1_500, 1),
      (.seconds(4_000_000), 4_000_000_000, 4_000_000_000),
      (.seconds(50 * 86_400), 4_320_000_000, 4_000_000_000),
    ] as [(Duration, Int64, UInt32)])
  func rounded(limit: Duration, milliseconds: Int64, within: UInt32) {
    #expect(limit.milliseconds == milliseconds)
    #expect(limit.limitMilliseconds == within)
  }

  @Test("What has no number of milliseconds is the largest or smallest")
  func extremes() {
    #expect(Duration.seconds(Int64.max).milliseconds == .max)
    #expect(Duration.seconds(Int64.min).milliseconds == .min)
    #expect((Duration.seconds(Int64.max / 1_000) + .milliseconds(900)).milliseconds == .max)
    #expect(Duration.seconds(Int64.max).limitMilliseconds == 4_000_000_000)
    #expect(Duration.seconds(Int64.min).limitMilliseconds == 1)
  }
}
