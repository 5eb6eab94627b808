internal import AloftOperations
internal import Metrics

/// Puts readings into the metrics of their names, which it makes at first sight.
struct Recorder {
  let factory: any MetricsFactory
  private var counters: [String: (counter: Counter, last: UInt64)] = [:]
  private var gauges: [String: Gauge] = [:]

  init(factory: any MetricsFactory) { self.factory = factory }

  mutating func record(_ reading: Reading) {
    let key = reading.labels.reduce(reading.name) { "\($0),\($1.0)=\($1.1)" }
    switch reading.value {
    case .total(let total):
      var known =
        counters[key]
        ?? (Counter(label: reading.name, dimensions: reading.labels, factory: factory), 0)
      if total > known.last { known.counter.increment(by: total - known.last) }
      known.last = total
      counters[key] = known
    case .totalSeconds(let level), .level(let level):
      let gauge =
        gauges[key]
        ?? Gauge(label: reading.name, dimensions: reading.labels, factory: factory)
      gauges[key] = gauge
      gauge.record(level)
    }
  }
}
