/// Durations counted into classes, from 50 us to a second.
package struct Histogram: Sendable {
  /// Upper ends of the classes. A loop's wake-up costs 36-50 us; at a second all is lost anyway.
  package static let bounds: [Duration] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 1_000_000]
    .map { .microseconds($0) }

  package private(set) var counts = [UInt64](repeating: 0, count: bounds.count)
  /// Those above the last bound, too.
  package private(set) var count: UInt64 = 0
  package private(set) var sum = Duration.zero

  package init() {}

  package mutating func add(_ value: Duration) {
    count += 1
    sum += value
    if let index = Self.bounds.firstIndex(where: { value <= $0 }) { counts[index] += 1 }
  }
}
