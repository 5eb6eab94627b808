import Foundation

/// The servers and load processes of one layout, and the steps they are taken through.
final class ConnectionRig {
  struct Line {
    var name: String
    var value: Double
    var unit: String
  }

  private let context: RunContext
  private let plan: SpreadPlan
  private let servers: [Server]
  private let fleet: LoadFleet
  private let kernelBefore: ProcFS.Kernel
  private let before: ProcFS.Memory
  private var peak = 0
  private var lines: [Line] = []
  private var held = 0

  init(
    _ layout: ConnectionLayout, plan: SpreadPlan, context: RunContext, server: ServerKind
  ) throws {
    self.context = context
    self.plan = plan
    let perServer = layout == .spread ? plan.perProcess.max()! : plan.sockets
    let reopened = 256  // accepted before the end of the one they replace is seen
    let options = ServerOptions(
      loops: layout.loops(plan), privateDescriptors: layout == .oneProcess,
      connectionsMax: perServer + reopened)
    servers = try (0..<layout.servers(plan)).map { _ in
      try Server(server, options: options, machine: context.machine)
    }
    let servers = servers
    fleet = LoadFleet(
      members: try plan.perProcess.enumerated().map { index, sockets in
        let sources = SourceAddresses.plan(
          sockets: plan.sockets, processes: plan.processes, index: index)
        let shape = LoadShape(
          port: servers[index % servers.count].port, sourceFirst: sources.first,
          sourceCount: sources.count, connections: UInt32(sockets))
        return try LoadProcess(shape, machine: context.machine)
      })
    kernelBefore = try ProcFS.kernel()
    before = try ProcFS.memory(of: servers.map(\.child.pid))
  }

  func measure() throws -> [Line] {
    try open()
    try each("messages_answered")
    try churn()
    try each("messages_answered_after_churn")
    try drain()
    return lines
  }

  /// How fast connections open, and what they cost: nothing else.
  func measureOpening() throws -> [Line] {
    try open()
    _ = try fleet.run(.closeAll)
    return lines
  }

  func stop() {
    fleet.stop()
    servers.forEach { $0.child.stop() }
  }

  // MARK: The steps

  /// Timed from the first connect until the servers themselves say that they accepted the last.
  private func open() throws {
    context.progress.detail("opening")
    let running = try cpuNanoseconds()
    let began = ContinuousClock.now
    let reply = try fleet.run(.connect(timeout: Duration.seconds(60).nanoseconds))
    let accepted = try waitForConnections(Int(reply.alive))
    let seconds = began.duration(to: .now).seconds
    let accepting = try cpuNanoseconds() - running
    held = Int(reply.alive)
    line("connections_wanted", plan.sockets, "connections")
    line("connections_held", held, "connections")
    line("connects_failed", Int(reply.failed), "connections")
    line(
      "unaccounted", Int(reply.attempts) - Int(reply.connected) - Int(reply.failed), "connections")
    line("unaccepted", held - accepted, "connections")
    line("accepts_per_s", Double(held) / seconds, "1/s")
    // Which end was the slower one: the load opens all of them from one core.
    line("accept_cpu_us", accepting / 1e3 / Double(held), "us")
    line("connect_cpu_us", Double(reply.cpuNanoseconds) / 1e3 / Double(held), "us")
    guard held > 0 else { throw BenchError("no connection opened, errno \(reply.firstErrno)") }

    let after = try memory(), kernel = try ProcFS.kernel()
    let connections = Double(held)
    func each(_ name: String, _ bytes: Int) { line(name, Double(bytes) / connections, "B") }
    each("rss_bytes_per_connection", after.resident - before.resident)
    each("pss_bytes_per_connection", after.proportional - before.proportional)
    // Both ends of each connection are on this machine: the kernel's share is of a pair.
    each("kernel_slab_bytes_per_connection", kernel.slab - kernelBefore.slab)
    each(
      "kernel_buffer_bytes_per_connection", kernel.socketBuffers - kernelBefore.socketBuffers)
    each("kernel_bytes_per_connection", kernel.total - kernelBefore.total)
  }

  /// One message on each connection, and every byte of its echo.
  private func each(_ name: String) throws {
    context.progress.detail("a message each")
    let command = LoadCommand.each(
      inFlightMax: 256, timeout: Duration.seconds(60).nanoseconds)
    let reply = try fleet.run(command)
    line(name, Double(reply.answered), "messages")
    let suffix = name.hasSuffix("after_churn") ? "_after_churn" : ""
    line("lost" + suffix, Int(reply.lost) + held - Int(reply.sent), "messages")
    line("mismatched" + suffix, Double(reply.mismatched), "messages")
    _ = try memory()
  }

  /// A tenth of the churn comes first: what grows after it is a leak, and no first touch.
  private func churn() throws {
    context.progress.detail("churn")
    let resident = try memory().resident
    let seconds = context.size(30.0, quick: 2)
    let first = try churn(.seconds(seconds / 10))
    let warm = try memory().anonymous
    let reply = try first + churn(.seconds(seconds * 9 / 10))
    let accepted = try waitForConnections(held)
    let after = try memory()
    line("growth_bytes", after.anonymous - warm, "B")
    line("growth_of_first_churn_bytes", after.resident - resident, "B")
    line("churn_cycles", Double(reply.connected), "connections")
    line("churn_per_s", Double(reply.connected) / seconds, "1/s")
    line("churn_failed", Double(reply.failed), "connections")
    line("churn_closed_by_server", Double(reply.closedByPeer), "connections")
    line("churn_lost", Double(reply.lost), "messages")
    line("unaccepted_after_churn", held - accepted, "connections")
    line(
      "unaccounted_after_churn",
      Int(reply.attempts) - Int(reply.connected) - Int(reply.failed), "connections")
  }

  private func churn(_ duration: Duration) throws -> LoadReply {
    let reply = try fleet.run(
      .churn(inFlightMax: 16, duration: duration.nanoseconds, cyclesMax: 1_000_000))
    held = Int(reply.alive)
    _ = try waitForConnections(held)
    return reply
  }

  /// Closes all. The rule for what is still held: read every 100 ms until three readings in a row
  /// lie within 1 % of the growth, 10 s at most; the last one counts.
  private func drain() throws {
    context.progress.detail("draining")
    _ = try fleet.run(.closeAll)
    let left = try waitForConnections(0)
    line("connections_after_drain", left, "connections")
    let growth = Double(peak - before.resident)
    var readings: [Int] = []
    let end = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < end {
      readings.append(try memory().resident)
      let last = readings.suffix(3)
      if last.count == 3 && Double(last.max()! - last.min()!) <= growth / 100 { break }
      usleep(100_000)
    }
    let kept = Double(readings.last! - before.resident)
    line("rss_after_drain_pct", growth > 0 ? max(0, kept / growth * 100) : 0, "%")
  }

  // MARK: Readings

  /// Asks, without sleeping, until the servers hold `wanted` together, 20 s at most; what they
  /// hold then. A server that is not accepting is seen here.
  private func waitForConnections(_ wanted: Int) throws -> Int {
    let end = ContinuousClock.now + .seconds(20)
    while true {
      let open = try servers.map { try $0.stats().connections }.reduce(0, +)
      if open == wanted || ContinuousClock.now > end { return open }
    }
  }

  private func cpuNanoseconds() throws -> Double {
    try servers.map { try $0.scheduling().running }.reduce(0, +)
  }

  private func memory() throws -> ProcFS.Memory {
    let now = try ProcFS.memory(of: servers.map(\.child.pid))
    peak = max(peak, now.resident)
    return now
  }

  private func line(_ name: String, _ value: Double, _ unit: String) {
    lines.append(Line(name: name, value: value, unit: unit))
  }

  private func line(_ name: String, _ value: Int, _ unit: String) {
    line(name, Double(value), unit)
  }
}
