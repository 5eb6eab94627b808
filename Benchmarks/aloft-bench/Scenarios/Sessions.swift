import Foundation

/// Sessions of 200 bytes in a cluster of four processes, acknowledged when a majority has them on
/// disk: how many a second are made, changed and read, beside libraft by itself with entries of the
/// same size; then what is left, and how soon it is served again, when processes are killed.
struct SessionsScenario: Scenario {
  static let id = "7-sessions"
  static let title = "Session state persistence"
  static let bytes = 200

  func run(_ context: RunContext) throws -> [Figure] {
    let shapes: [(writers: Int, count: Int)] = [(1, 2_000), (64, 100_000), (1_000, 400_000)]
    let parts = shapes.map { Part.writers($0.writers, count: $0.count) } + [.kills]
    return try measureEach(parts, name: \.name) { part in
      switch part {
      case .kills: return try kills(context)
      case .writers(let writers, let count):
        return try throughput(
          writers: writers, count: context.size(count, quick: count / 20), context)
      }
    }
  }

  private enum Part {
    case writers(Int, count: Int)
    case kills

    var name: String {
      switch self {
      case .writers(let writers, _): "writers=\(writers)"
      case .kills: "kills"
      }
    }
  }

  private func throughput(
    writers: Int, count: Int, _ context: RunContext
  ) throws -> [Figure] {
    let config = "nodes=4 writers=\(writers) bytes=\(Self.bytes) processes=4 replicated closed-loop"
    context.progress.step("\(Self.id) \(config)")
    let cluster = try SessionCluster(context)
    let creates = try cluster.write("creates", count: count, writers: writers)
    let updates = try cluster.write("updates", count: count, writers: writers)
    let words = try cluster.nodes[0].order(
      "reads \(context.size(5_000_000, quick: 200_000))", "read")
    let reads = words.dropFirst().compactMap { Double($0) }
    func figure(_ name: String, _ value: Double, _ unit: String) -> Figure {
      self.figure(context, system: "aloft", config: config, name, value, unit)
    }
    let engine = try EngineAlone.measure(creates, writers: writers, context)
    return [
      figure("creates_per_s", creates.perSecond, "1/s"),
      figure("creates_p50_us", creates.p50, "us"),
      figure("creates_p99_us", creates.p99, "us"),
      figure("updates_per_s", updates.perSecond, "1/s"),
      figure("updates_p50_us", updates.p50, "us"),
      figure("updates_p99_us", updates.p99, "us"),
      figure("reads_per_s", reads[0] / (reads[1] / 1e9), "1/s"),
      figure("operations_per_entry", creates.operationsPerEntry, "1"),
      figure("engine_per_s", engine, "1/s"),
      figure("of_engine_pct", creates.perSecond / engine * 100, "%"),
      figure("refused", Double(creates.failures + updates.failures), "1"),
    ]
  }
}

/// Four processes that are one cluster, with sessions.
final class SessionCluster {
  private let data: ScratchDirectory
  private(set) var nodes: [NodeProcess] = []

  init(_ context: RunContext) throws {
    data = try ScratchDirectory()
    for index in 0..<4 {
      let node = try NodeProcess(
        .aloft, index: index, machine: context.machine, data: data.path,
        seed: nodes.first?.address, cpu: nil)
      nodes.append(node)
      try node.waitUntilReady()
    }
    for node in nodes { _ = try node.order("ready", "settled") }
  }

  deinit { for node in nodes { node.child.stop() } }

  /// What all writers together did.
  struct Written {
    var perSecond: Double
    var p50: Double
    var p99: Double
    var failures: Int
    var operationsPerEntry: Double
  }

  /// Writers spread over all nodes, that all begin and end within the time that is counted.
  func write(_ order: String, count: Int, writers: Int) throws -> Written {
    let busy = nodes.prefix(writers)
    let before = try entries()
    for (at, node) in busy.enumerated() {
      let share = (writers + busy.count - 1 - at) / busy.count
      try node.child.writeLine(
        "\(order) \(count / busy.count) \(share) \(SessionsScenario.bytes)")
    }
    let answers = try busy.map { node in
      try node.order(nil, "did").dropFirst().compactMap { Double($0) }
    }
    let began = answers.map { $0[0] }.min() ?? 0
    let ended = answers.map { $0[1] }.max() ?? 1
    let done = count / busy.count * busy.count
    let made = Double(max(1, try entries() - before))
    return Written(
      perSecond: Double(done) / ((ended - began) / 1e9),
      // The slowest node's.
      p50: (answers.map { $0[2] }.max() ?? 0) / 1e3, p99: (answers.map { $0[3] }.max() ?? 0) / 1e3,
      failures: Int(answers.reduce(0) { $0 + $1[4] }),
      operationsPerEntry: Double(done) / made)
  }

  private func entries() throws -> Int {
    try nodes.reduce(0) { $0 + (Int(try $1.order("entries", "entries")[1]) ?? 0) }
  }
}

/// libraft by itself, three members, with entries as large as ours were.
enum EngineAlone {
  /// Bytes that an operation has beside its state.
  private static let overhead = 48
  /// Of an entry.
  private static let head = 40

  /// Operations a second.
  static func measure(
    _ written: SessionCluster.Written, writers: Int, _ context: RunContext
  ) throws -> Double {
    let operations = max(1, written.operationsPerEntry)
    let bytes = Int(operations * Double(SessionsScenario.bytes + overhead)) + head
    let entries = context.size(writers == 1 ? 1_000 : 3_000, quick: 200)
    let data = try ScratchDirectory()
    let inFlight = writers == 1 ? 4 : 16
    let child = try Child(
      path: context.machine.sibling("floor-raft"),
      arguments: [data.path, "3", "\(inFlight)", "\(entries)", "\(bytes)"], cpu: nil)
    let line = try child.readLine(within: .seconds(60))
    guard let from = line.range(of: "\"per_second\":"),
      let rate = Double(line[from.upperBound...].prefix { $0 != "," })
    else { throw BenchError("floor-raft said `\(line)`") }
    return rate * operations
  }
}
