import Foundation

/// Messages and calls between nodes in processes of their own: one sends to three. ZeroMQ and
/// Erlang do the same in the same run, where they are installed.
struct InternodeScenario: Scenario {
  static let id = "8-internode"
  static let title = "Inter-node communication"

  func run(_ context: RunContext) throws -> [Figure] {
    let kinds = NodeKind.allCases.filter { kind in
      let isThere = kind.isInstalled(on: context.machine)
      if !isThere {
        context.progress.note(
          "\(Self.id) \(kind.rawValue): skipped: `script/bootstrap --with-peers` installs it")
      }
      return isThere
    }
    return try measureEach(kinds, name: \.rawValue) { try measure($0, context) }
  }

  private func measure(_ kind: NodeKind, _ context: RunContext) throws -> [Figure] {
    let data = try ScratchDirectory()
    let machine = context.machine
    var nodes: [NodeProcess] = []
    defer { for node in nodes { node.child.stop() } }
    for index in 0..<4 {
      // The sender has a core, the receivers share the other.
      let node = try NodeProcess(
        kind, index: index, machine: machine, data: data.path, seed: nodes.first?.address,
        cpu: index == 0 ? machine.serverCore : machine.loadCore)
      nodes.append(node)
      try node.waitUntilReady()
    }
    let targets = nodes.dropFirst().map { kind == .aloft ? "n\($0.index)" : $0.address }
    _ = try nodes[0].order("link " + targets.joined(separator: " "), "ok")
    var figures: [Figure] = []
    for bytes in [64, 1_024] {
      figures += try flood(kind, nodes, bytes: bytes, context)
    }
    for outstanding in [1, 64, 1_000] {
      figures += try calls(kind, nodes[0], outstanding: outstanding, context)
    }
    if kind == .aloft { figures += try transfer(nodes[0], context) }
    return figures
  }

  /// Small calls, one at a time, while nothing else goes on and while messages of 10 MB go to the
  /// same node, one after the other.
  private func transfer(_ node: NodeProcess, _ context: RunContext) throws -> [Figure] {
    let config = "call outstanding=1 bytes=64 transfer=10MB processes=2"
    context.progress.step("\(Self.id) aloft \(config)")
    let count = context.size(10_000, quick: 1_000)
    func numbers(_ order: String) throws -> [Double] {
      try node.order(order, "did").dropFirst().compactMap { Double($0) }
    }
    // In turn, so that both are of the same minute.
    var (idle, during, transfers, seconds) = ([Double](), [Double](), 0.0, 0.0)
    for _ in 0..<5 {
      idle.append(try numbers("calls \(count) 64 1")[2] / 1e3)
      let words = try numbers("transfer \(count) 64 \(10 << 20)")
      guard words.count == 4 else { throw BenchError("\(node.child.name) did \(words)") }
      during.append(words[2] / 1e3)
      transfers += words[3]
      seconds += words[0] / 1e9
    }
    func figure(_ name: String, _ value: Double, _ unit: String) -> Figure {
      self.figure(context, system: "aloft", config: config, name, value, unit)
    }
    let (before, meanwhile) = (idle.sorted()[2], during.sorted()[2])
    return [
      figure("p99_us", meanwhile, "us"),
      figure("idle_p99_us", before, "us"),
      figure("p99_over_idle", meanwhile / before, "1"),
      figure("transfers_per_s", transfers / seconds, "1/s"),
    ]
  }

  private func flood(
    _ kind: NodeKind, _ nodes: [NodeProcess], bytes: Int, _ context: RunContext
  ) throws -> [Figure] {
    let config = "bytes=\(bytes) senders=1 receivers=3 processes=4 at-most-once"
    context.progress.step("\(Self.id) \(kind.rawValue) \(config)")
    // A few seconds of the slowest.
    let whole = kind == .otp ? 200_000 : bytes == 64 ? 2_000_000 : 500_000
    let count = context.size(whole, quick: whole / 20)
    for node in nodes.dropFirst() { _ = try node.order("expect \(count)", "ok") }
    let sent = try nodes[0].order("flood \(count) \(bytes)", "sent")
    guard let began = UInt64(sent[1]) else { throw BenchError("no time in \(sent)") }
    var (got, disorders, ended) = (0, 0, began)
    for node in nodes.dropFirst() {
      let words = try node.order("counted", "got").dropFirst().compactMap { UInt64($0) }
      guard words.count == 3 else { throw BenchError("\(node.child.name) counts \(words)") }
      got += Int(words[0])
      disorders += Int(words[1])
      ended = max(ended, words[2])
    }
    let seconds = Double(ended - began) / 1e9
    func figure(_ name: String, _ value: Double, _ unit: String) -> Figure {
      self.figure(context, system: kind.rawValue, config: config, name, value, unit)
    }
    return [
      figure("msgs_per_s", Double(got) / seconds, "1/s"),
      figure("lost", Double(3 * count - got), "1"),
      figure("out_of_order", Double(disorders), "1"),
    ]
  }

  private func calls(
    _ kind: NodeKind, _ node: NodeProcess, outstanding: Int, _ context: RunContext
  ) throws -> [Figure] {
    let config = "call outstanding=\(outstanding) bytes=64 processes=2"
    context.progress.step("\(Self.id) \(kind.rawValue) \(config)")
    let whole =
      outstanding == 1 ? 10_000 : kind == .otp ? 50_000 : outstanding == 64 ? 300_000 : 1_000_000
    let count = context.size(whole, quick: whole / 10)
    let words = try node.order("calls \(count) 64 \(outstanding)", "did")
    let numbers = words.dropFirst().compactMap { Double($0) }
    guard numbers.count == 3 else { throw BenchError("\(node.child.name) did \(words)") }
    func figure(_ name: String, _ value: Double, _ unit: String) -> Figure {
      self.figure(context, system: kind.rawValue, config: config, name, value, unit)
    }
    return [
      figure("calls_per_s", Double(count) / (numbers[0] / 1e9), "1/s"),
      figure("p50_us", numbers[1] / 1e3, "us"),
      figure("p99_us", numbers[2] / 1e3, "us"),
    ]
  }
}
