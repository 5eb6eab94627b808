import Foundation

/// A cluster of four processes: how long it takes to come about, whether each reaches each, and how
/// soon a death is known to all who live.
struct ClusterScenario: Scenario {
  static let id = "1-cluster"
  static let title = "Cluster formation"

  func run(_ context: RunContext) throws -> [Figure] {
    var boots: [Double] = []
    var formations: [Double] = []
    var detections: [Double] = []
    var pairs = 12
    let rounds = context.size(5, quick: 1)
    for round in 0..<rounds {
      context.progress.step("\(Self.id) nodes=4 round \(round + 1) of \(rounds)")
      let cluster = try BenchCluster(context)
      boots += cluster.boots
      formations.append(cluster.formation)
      pairs = min(pairs, try cluster.pairs())
      for _ in 0..<context.size(6, quick: 2) {
        detections.append(try cluster.killAndReplace(by: SIGKILL))
      }
    }
    context.progress.step("\(Self.id) silent node (SIGSTOP)")
    let (silences, convictions) = try silence(context)
    func figure(_ config: String, _ name: String, _ value: Double, _ unit: String) -> Figure {
      self.figure(context, system: "aloft", config: config, name, value, unit)
    }
    let config = "nodes=4"
    return [
      figure(config, "formation_ms", Statistics.median(formations), "ms"),
      figure(config, "boot_ms", Statistics.median(boots), "ms"),
      figure(config, "detect_p50_ms", Statistics.median(detections), "ms"),
      figure(config, "detect_p99_ms", detections.max() ?? 0, "ms"),
      figure(config, "pairs_ok", Double(pairs), "1"),
      figure("nodes=4 SIGSTOP hogs=4", "detect_p99_ms", silences.max() ?? 0, "ms"),
      figure("nodes=4 SIGSTOP hogs=4", "detect_p50_ms", Statistics.median(silences), "ms"),
      figure("nodes=4 SIGSTOP hogs=4", "false_convictions", Double(convictions), "1"),
    ]
  }

  /// Nodes that are stopped, while processes that only burn time take the cores.
  private func silence(_ context: RunContext) throws -> ([Double], Int) {
    let cluster = try BenchCluster(context)
    let hogs = try (0..<4).map { _ in
      try Child(path: "/bin/sh", arguments: ["-c", "while :; do :; done"], cpu: nil)
    }
    defer { for hog in hogs { hog.stop(grace: .zero) } }
    var times: [Double] = []
    for _ in 0..<context.size(10, quick: 2) {
      times.append(try cluster.killAndReplace(by: SIGSTOP))
    }
    let wrong = try cluster.deathsToldWithoutCause(
      watching: context.size(.seconds(5), quick: .milliseconds(500)))
    return (times, wrong)
  }
}

/// Four nodes that have found each other.
private final class BenchCluster {
  private let context: RunContext
  private let data: ScratchDirectory
  private var nodes: [NodeProcess] = []
  private var next = 4
  let formation: Double
  let boots: [Double]

  init(_ context: RunContext) throws {
    self.context = context
    data = try ScratchDirectory()
    var nodes: [NodeProcess] = []
    for index in 0..<4 {
      let node = try NodeProcess(
        .aloft, index: index, machine: context.machine, data: data.path,
        seed: nodes.first?.address, cpu: nil)
      nodes.append(node)
      // The first is asked by the others, so it must listen.
      if index == 0 { try node.waitUntilReady() }
    }
    var complete: UInt64 = 0
    for node in nodes {
      complete = max(complete, try node.time(of: "up", within: .seconds(20)) { $0 == 4 })
    }
    for node in nodes { try node.waitUntilReady() }
    // From when the last process's runtime was there.
    formation = Double(complete - nodes[3].bootedAt) / 1e6
    boots = nodes.map { Double($0.bootedAt - $0.startedAt) / 1e6 }
    self.nodes = nodes
  }

  deinit { for node in nodes { node.child.stop() } }

  /// Messages by name, from each to each other.
  func pairs() throws -> Int {
    for node in nodes { _ = try node.order("expect 1000000000", "ok") }
    for node in nodes {
      let others = nodes.filter { $0 !== node }.map { "n\($0.index)" }
      _ = try node.order("pairs " + others.joined(separator: " "), "sent")
    }
    return try nodes.reduce(0) { sum, node in
      sum + (Int(try node.order("heard 3", "heard")[1]) ?? 0)
    }
  }

  /// Milliseconds until all who live know that one is dead. Another takes its place.
  func killAndReplace(by signal: Int32) throws -> Double {
    let victim = nodes.removeLast()
    let number = Int(try victim.order("number", "number")[1]) ?? 0
    for node in nodes { node.forgetNews() }
    let began = monotonicNow()
    victim.child.signal(signal)
    var known: UInt64 = 0
    for node in nodes {
      known = max(known, try node.time(of: "dead", within: .seconds(10)) { $0 == number })
    }
    victim.child.signal(SIGKILL)
    victim.child.stop(grace: .zero)
    for node in nodes { _ = try node.time(of: "up", within: .seconds(10)) { $0 == 3 } }
    for node in nodes { node.forgetNews() }
    let fresh = try NodeProcess(
      .aloft, index: next, machine: context.machine, data: data.path, seed: nodes[0].address,
      cpu: nil)
    next += 1
    nodes.append(fresh)
    try fresh.waitUntilReady()
    for node in nodes { _ = try node.time(of: "up", within: .seconds(20)) { $0 == 4 } }
    return Double(known - began) / 1e6
  }

  /// Deaths that are told of while all live.
  func deathsToldWithoutCause(watching: Duration) throws -> Int {
    for node in nodes { node.forgetNews() }
    Thread.sleep(forTimeInterval: watching.seconds)
    var count = 0
    for node in nodes {
      _ = try node.order("number", "number")
      count += node.newsCount(of: "dead")
    }
    return count
  }
}
