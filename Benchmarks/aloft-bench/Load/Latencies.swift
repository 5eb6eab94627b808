import Histogram

/// Latencies of one or more runs, on a scale exact to three digits; the generator's own buckets
/// are within 0.4 %. The greatest one is exact.
struct Latencies {
  private var histogram = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
  private(set) var maxNanoseconds: UInt64 = 0

  mutating func add(_ reply: LoadReply) {
    for pair in reply.latencies where pair.count == 2 {
      _ = histogram.record(pair[0], count: pair[1])
    }
    maxNanoseconds = max(maxNanoseconds, reply.latencyMaxNanoseconds)
  }

  mutating func add(nanoseconds: UInt64) {
    _ = histogram.record(nanoseconds)
    maxNanoseconds = max(maxNanoseconds, nanoseconds)
  }

  var count: UInt64 { histogram.totalCount }

  func microseconds(_ percentile: Double) -> Double {
    // A bucket's end may lie beyond the greatest value.
    Double(min(histogram.valueAtPercentile(percentile), maxNanoseconds)) / 1e3
  }

  /// The five that every latency is reported by.
  var figures: [(name: String, microseconds: Double)] {
    [
      ("p50_us", microseconds(50)), ("p95_us", microseconds(95)), ("p99_us", microseconds(99)),
      ("p99_9_us", microseconds(99.9)), ("max_us", Double(maxNanoseconds) / 1e3),
    ]
  }
}
