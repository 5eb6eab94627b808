public import Aloft
public import AloftNode
internal import AloftOperations
public import Metrics
public import ServiceLifecycle

/// Hands a runtime's, its pools' and its node's statistics to swift-metrics, every so often.
///
/// Names follow Prometheus' practice: `aloft_` before, the unit and `_total` behind. Counters are
/// read from the runtime's own, so nothing is added to the path of a message.
///
/// ```swift
/// var metrics = MetricsService(runtime, node: cluster.node)
/// metrics.add(redis, as: "redis")
/// ```
public struct MetricsService: Service {
  private let interval: Duration
  private let factory: any MetricsFactory
  private var instruments: Instruments

  /// - Parameters:
  ///   - interval: between two readings; at most what the collector's scrapes are apart.
  ///   - factory: what makes the metrics; the process's own unless another is given.
  public init(
    _ runtime: Runtime, node: Node? = nil, every interval: Duration = .seconds(5),
    factory: any MetricsFactory = MetricsSystem.factory
  ) {
    precondition(interval > .zero, "MetricsService: an interval of \(interval)")
    self.interval = interval
    self.factory = factory
    instruments = Instruments(runtime, node: node)
  }

  /// Has a pool read as well, its metrics labelled `pool`.
  public mutating func add<Resource>(_ pool: Pool<Resource>, as name: String) {
    instruments.add(pool, as: name)
  }

  public func run() async throws {
    var recorder = Recorder(factory: factory)
    var isOver = false
    while !isOver {
      await record(&recorder)
      do {
        try await cancelWhenGracefulShutdown { try await Task.sleep(for: interval) }
      } catch {
        isOver = true
      }
    }
    // What the last moments were.
    await record(&recorder)
    try Task.checkCancellation()
  }

  private func record(_ recorder: inout Recorder) async {
    for reading in await instruments.read() { recorder.record(reading) }
  }
}
