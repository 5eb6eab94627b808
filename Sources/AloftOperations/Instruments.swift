public import Aloft
public import AloftNode

/// Whose figures are read: a runtime's, its node's, its pools'.
///
/// ```swift
/// var instruments = Instruments(runtime, node: node)
/// instruments.add(redis, as: "redis")
/// ```
public struct Instruments: Sendable {
  package let runtime: Runtime
  package let node: Node?
  private var sources: [@Sendable () async -> [Reading]] = []

  public init(_ runtime: Runtime, node: Node? = nil) {
    self.runtime = runtime
    self.node = node
    sources.append { Reading.all(of: runtime.statistics) }
    guard let node else { return }
    sources.append { await node.status().map(Reading.all(of:)) ?? [] }
    sources.append {
      guard let statistics = await node.sessions.statistics() else { return [] }
      return Reading.all(of: statistics, count: await node.sessions.count())
    }
  }

  /// Has a pool read as well, its figures labelled `pool`.
  public mutating func add<Resource>(_ pool: Pool<Resource>, as name: String) {
    sources.append {
      guard let statistics = try? await pool.statistics else { return [] }
      return Reading.all(of: statistics, labels: [("pool", name)])
    }
  }

  /// All as of now. Reads counters that are kept anyway, so nothing is added to a message's path.
  package func read() async -> [Reading] {
    var all: [Reading] = []
    for source in sources { all += await source() }
    return all
  }
}
