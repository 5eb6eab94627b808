import Foundation

/// 100,000 clients with a connection and a session each, over all nodes of a cluster. Their
/// requests go through registry, mailbox, pool and session; in the middle the node that leads is
/// killed, and its clients take up their sessions at others.
struct EndToEndScenario: Scenario {
  static let id = "11-endtoend"
  static let title = "100,000 connections with sessions, end to end"
  static let stateBytes: UInt32 = 200
  static let updatesPercent: UInt32 = 10

  func run(_ context: RunContext) throws -> [Figure] {
    try measureEach(EndToEndShape.allCases, name: \.rawValue) { try measure($0, context) }
  }

  private func measure(_ shape: EndToEndShape, _ context: RunContext) throws -> [Figure] {
    let clients = context.size(100_000, quick: 10_000)
    let seconds = context.size(shape.seconds, quick: 3)
    let plan = try EndToEndPlan(clients: clients, descriptorsMax: context.machine.descriptorsMax)
    let config =
      "connections=\(clients) tcp nodes=\(plan.nodes) voters=3 clients=\(plan.loads) "
      + "reads=\(100 - Self.updatesPercent)% updates=\(Self.updatesPercent)% replicated "
      + "bytes=\(Self.stateBytes) pipeline=\(shape.burst) in-flight=\(shape.inFlight) "
      + "closed-loop seconds=\(seconds) kill=\(shape.rawValue)"
    context.progress.step("\(Self.id) \(config), opening")
    // All on both cores: nodes and clients are many processes, and neither side is the dearer one.
    var shared = context
    shared.machine.pins = false
    let rig = try EndToEndRig(plan, shape, shared)
    defer { rig.stop() }
    let lines = try rig.measure(seconds: seconds) { context.progress.detail($0) }
    return lines.map {
      figure(context, system: "aloft", config: config, $0.name, $0.value, $0.unit)
    }
  }
}

/// Which node is killed: one that merely follows, or the one that leads, so that the others must
/// first agree on another leader.
enum EndToEndShape: String, CaseIterable {
  case follower, leader

  var seconds: Int { self == .follower ? 60 : 20 }
  /// Requests that a client sends at once, and those of all clients that wait for an answer.
  var burst: Int { 4 }
  var inFlight: Int { 960 }
}

/// How many processes it takes.
struct EndToEndPlan {
  let clients: Int
  let nodes: Int
  let loads: Int

  /// When one node is gone the others must still hold all connections.
  init(clients: Int, descriptorsMax: Int) throws {
    let capacity = descriptorsMax - SpreadPlan.reserve
    guard capacity > 0 else { throw BenchError("\(descriptorsMax) descriptors are not enough") }
    self.clients = clients
    nodes = max(4, (clients + capacity - 1) / capacity + 1)
    loads = max(2, (clients + capacity - 1) / capacity)
    guard nodes <= 16 else { throw BenchError("\(descriptorsMax) descriptors are not enough") }
  }
}

/// A cluster whose nodes serve clients, and the processes of clients.
final class EndToEndRig {
  struct Line {
    var name: String
    var value: Double
    var unit: String
  }

  private let plan: EndToEndPlan
  private let shape: EndToEndShape
  private let context: RunContext
  private let data: ScratchDirectory
  private var nodes: [NodeProcess] = []
  private var numbers: [Int] = []
  private let fleet: ClientsFleet
  private var lines: [Line] = []
  private static let timeout = Duration.seconds(120).nanoseconds

  init(_ plan: EndToEndPlan, _ shape: EndToEndShape, _ context: RunContext) throws {
    self.plan = plan
    self.shape = shape
    self.context = context
    data = try ScratchDirectory()
    var nodes: [NodeProcess] = []
    let connections = context.machine.descriptorsMax - SpreadPlan.reserve / 2
    for index in 0..<plan.nodes {
      // Four nodes that may vote, as in the other scenarios; those beyond only hold connections.
      let node = try NodeProcess(
        .aloft, index: index, machine: context.machine, data: data.path,
        seed: nodes.first?.address, cpu: context.machine.serverCore,
        options: ["--connections", "\(connections)"] + (index < 4 ? [] : ["--standby"]))
      nodes.append(node)
      try node.waitUntilReady()
    }
    for node in nodes { _ = try node.order("settled \(plan.nodes)", "settled") }
    var targets: [ClientsShape.Target] = []
    for node in nodes {
      let number = Int(try node.order("number", "number")[1]) ?? 0
      let port = UInt16(try node.order("serve", "serving")[1]) ?? 0
      targets.append(.init(port: port, node: UInt16(number)))
      numbers.append(number)
    }
    self.nodes = nodes
    let shapes = (0..<plan.loads).map { index in
      let sources = SourceAddresses.plan(
        sockets: plan.clients, processes: plan.loads, index: index)
      let share = (plan.clients + plan.loads - 1 - index) / plan.loads
      return ClientsShape(
        targets: targets, sourceFirst: sources.first, sourceCount: sources.count,
        clients: UInt32(share), stateBytes: EndToEndScenario.stateBytes,
        burst: UInt32(shape.burst),
        window: UInt32(max(1, shape.inFlight / shape.burst / plan.loads)),
        updatesPercent: EndToEndScenario.updatesPercent, seed: UInt64(index + 1) &* 0x9E37_79B9)
    }
    fleet = try ClientsFleet(shapes, machine: context.machine)
  }

  func stop() {
    fleet.stop()
    for node in nodes { node.child.stop(grace: .zero) }
  }

  func measure(seconds: Int, step: (String) -> Void) throws -> [Line] {
    let began = monotonicNow()
    let opened = try fleet.run(.open(timeout: Self.timeout))
    line("connections_held", Double(opened.ready), "connections")
    line("open_s", Double(monotonicNow() - began) / 1e9, "s")
    guard opened.ready == plan.clients else {
      throw BenchError("of \(plan.clients) clients \(opened.ready) are ready: \(opened)")
    }
    step("requests")
    let duration = Duration.seconds(seconds).nanoseconds
    let ran = ClientsCommand.run(duration: duration)
    let cpuBefore = try nodes.map { try ProcFS.scheduling(of: $0.child.pid).running }
    try fleet.begin(ran)
    usleep(UInt32(seconds * 500_000))
    let leader = Int(try nodes[0].order("leader", "leader")[1]) ?? 0
    guard let victim = numbers.firstIndex(where: { ($0 == leader) == (shape == .leader) }) else {
      throw BenchError("nobody leads")
    }
    let cpuAfter = try nodes.map { try ProcFS.scheduling(of: $0.child.pid).running }
    let killed = monotonicNow()
    nodes[victim].child.signal(SIGKILL)
    step("requests, after the kill")
    let after = try fleet.finish(ran)
    step("reading every session")
    let checked = try fleet.run(.verify(timeout: Self.timeout))
    let cpu = zip(cpuBefore, cpuAfter).reduce(0) { $0 + $1.1 - $1.0 }
    line("nodes_cpu_pct", cpu / Double(seconds) / 5e6, "%")
    line("clients_cpu_pct", Double(after.cpuNanoseconds) / Double(seconds) / 1e7, "%")
    try figures(opened, after, checked, killed: killed, seconds: seconds)
    return lines
  }

  private func figures(
    _ opened: ClientsReply, _ ran: ClientsReply, _ checked: ClientsReply, killed: UInt64,
    seconds: Int
  ) throws {
    let done = Double(ran.reads + ran.updates - opened.reads - opened.updates)
    line("ops_per_s", done / Double(seconds), "1/s")
    line("updates_per_s", Double(ran.updates) / Double(seconds), "1/s")
    // From the kill until every client is back where its session is served.
    let outside = try fleet.run(
      .latencies(from: killed, to: ran.settledAt, isInside: false))
    let inside = try fleet.run(.latencies(from: killed, to: ran.settledAt, isInside: true))
    for (part, reply) in [("", outside), ("failover_", inside)] {
      var latencies = Latencies()
      latencies.add(reply)
      for (name, value) in latencies.figures { line(part + name, value, "us") }
    }
    line("failover_ms", Double(ran.settledAt - killed) / 1e6, "ms")
    let returns = try fleet.run(.returns(since: killed)).times.sorted()
      .map { Double($0 - killed) / 1e6 }
    func at(_ part: Double) -> Double {
      returns.isEmpty ? 0 : returns[Int(Double(returns.count - 1) * part)]
    }
    line("clients_reconnected", Double(returns.count), "connections")
    line("recovery_p50_ms", at(0.5), "ms")
    line("recovery_p99_ms", at(0.99), "ms")
    line("recovery_max_ms", at(1), "ms")
    line("errors_seen", Double(ran.errors), "1")
    line("refused", Double(ran.refused), "1")
    line("uncertain", Double(ran.uncertain), "1")
    line("sessions_read", Double(checked.reads - ran.reads), "1")
    line("lost_acked", Double(checked.lostAcked + checked.sessionsGone + checked.unread), "1")
    line("never_written", Double(checked.fromFuture), "1")
    line("mismatched", Double(checked.garbled), "1")
  }

  private func line(_ name: String, _ value: Double, _ unit: String) {
    lines.append(Line(name: name, value: value, unit: unit))
  }
}

extension Latencies {
  mutating func add(_ reply: ClientsReply) {
    var load = LoadReply()
    load.latencies = reply.latencies
    load.latencyMaxNanoseconds = reply.latencyMaxNanoseconds
    add(load)
  }
}
