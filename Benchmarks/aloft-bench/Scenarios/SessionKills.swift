import Foundation

/// Four processes serve sessions, a fifth one writes to them all the time. One of the four is
/// killed and started again, many times; in the end all four at once. Each write that was
/// acknowledged has to be there.
struct SessionKills {
  private let context: RunContext
  private let data: ScratchDirectory
  private var nodes: [NodeProcess] = []
  private let client: NodeProcess
  private let sessions: Int
  static let writers = 64

  init(_ context: RunContext, sessions: Int) throws {
    self.context = context
    self.sessions = sessions
    data = try ScratchDirectory()
    for index in 0..<4 {
      let node = try NodeProcess(
        .aloft, index: index, machine: context.machine, data: data.path,
        seed: nodes.first?.address, cpu: nil)
      nodes.append(node)
      try node.waitUntilReady()
    }
    client = try NodeProcess(
      .aloft, index: 4, machine: context.machine, data: data.path, seed: nodes[0].address,
      cpu: nil, options: ["--standby", "--weight", "0"])
    try client.waitUntilReady()
    _ = try client.order("ready", "settled")
    _ = try client.order("fill \(sessions) \(SessionsScenario.bytes)", "filled")
    _ = try client.order("load \(Self.writers)", "loading")
  }

  func stop() { for node in nodes + [client] { node.child.stop(grace: .zero) } }

  /// What one kill, or all of a kind, came to: milliseconds from the kill to the first success.
  struct Recovery {
    var p50: [Double] = []
    var p99: [Double] = []
    var max: [Double] = []
    var affected = 0
    var served = 0

    mutating func add(_ swept: [Substring], of marked: Int) {
      let numbers = swept.dropFirst().compactMap { Double($0) }
      served += Int(numbers[0])
      affected += marked
      p50.append(numbers[1] / 1e6)
      p99.append(numbers[2] / 1e6)
      max.append(numbers[3] / 1e6)
    }
  }

  private func findLeader() throws -> Int {
    let end = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < end {
      if let number = Int(try client.order("leader", "leader")[1]), number != 0 { return number }
    }
    throw BenchError("nobody leads")
  }

  /// The leader, or one that isn't, and is back before the next one is killed.
  mutating func kill(leader isLeader: Bool, times: Int) throws -> Recovery {
    var recovery = Recovery()
    for _ in 0..<times {
      let leader = try findLeader()
      let numbers = try nodes.map { Int(try $0.order("number", "number")[1]) ?? 0 }
      guard let at = numbers.indices.last(where: { (numbers[$0] == leader) == isLeader }) else {
        continue
      }
      let marked = Int(try client.order("mark \(numbers[at])", "marked")[1]) ?? 0
      let began = monotonicNow()
      nodes[at].child.signal(SIGKILL)
      recovery.add(try client.order("sweep \(began)", "swept"), of: marked)
      nodes[at].child.stop(grace: .zero)
      try restart([at])
    }
    return recovery
  }

  /// All of them; milliseconds from the last one's start until every session has been read again.
  mutating func killAll() throws -> Recovery {
    var recovery = Recovery()
    let marked = Int(try client.order("mark 0", "marked")[1]) ?? 0
    for node in nodes { node.child.signal(SIGKILL) }
    for node in nodes { node.child.stop(grace: .zero) }
    let began = try start(Array(nodes.indices))
    recovery.add(try client.order("sweep \(began)", "swept"), of: marked)
    for node in nodes { try node.waitUntilReady() }
    return recovery
  }

  /// Answers when the last one was started.
  private mutating func start(_ places: [Int]) throws -> UInt64 {
    let addresses = nodes.map(\.address)
    for at in places {
      nodes[at] = try NodeProcess(
        .aloft, index: nodes[at].index, machine: context.machine, data: data.path,
        seed: client.address, cpu: nil, options: ["--listen", addresses[at]])
    }
    return nodes[places.last!].startedAt
  }

  private mutating func restart(_ places: [Int]) throws {
    _ = try start(places)
    for at in places { try nodes[at].waitUntilReady() }
    _ = try client.order("ready", "settled")
  }

  /// How many there are, can be read, have lost something, and have what nobody wrote.
  func verify() throws -> (acknowledged: Int, sessions: Int, there: Int, lost: Int, strange: Int) {
    let loaded = try client.order("rest", "loaded")
    let numbers = try client.order("verify", "verified").dropFirst().compactMap { Int($0) }
    return (Int(loaded[1]) ?? 0, numbers[0], numbers[1], numbers[2], numbers[3])
  }
}

extension SessionsScenario {
  func kills(_ context: RunContext) throws -> [Figure] {
    let sessions = context.size(100_000, quick: 5_000)
    let times = context.size(20, quick: 2)
    context.progress.step("\(Self.id) sessions=\(sessions), filling")
    var kills = try SessionKills(context, sessions: sessions)
    defer { kills.stop() }
    let shape = "nodes=4 sessions=\(sessions) writers=\(SessionKills.writers) processes=5"
    func rows(_ config: String, _ recovery: SessionKills.Recovery) -> [Figure] {
      let config = "\(shape) \(config)"
      func figure(_ name: String, _ value: Double, _ unit: String) -> Figure {
        self.figure(context, system: "aloft", config: config, name, value, unit)
      }
      return [
        figure("recovery_p50_ms", Statistics.median(recovery.p50), "ms"),
        figure("recovery_p99_ms", recovery.p99.max() ?? 0, "ms"),
        figure("recovery_max_ms", recovery.max.max() ?? 0, "ms"),
        figure(
          "served_pct", Double(recovery.served) / Double(max(1, recovery.affected)) * 100, "%"),
      ]
    }
    var figures: [Figure] = []
    context.progress.step("\(Self.id) \(shape) kill -9 of the leader, \(times) times")
    figures += rows("kill=leader times=\(times)", try kills.kill(leader: true, times: times))
    context.progress.step("\(Self.id) \(shape) kill -9 of a follower, \(times) times")
    figures += rows("kill=follower times=\(times)", try kills.kill(leader: false, times: times))
    context.progress.step("\(Self.id) \(shape) kill -9 of all four")
    let restart = try kills.killAll()
    let end = try kills.verify()
    func figure(_ name: String, _ value: Double, _ unit: String) -> Figure {
      self.figure(context, system: "aloft", config: "\(shape) after all kills", name, value, unit)
    }
    return figures + [
      self.figure(
        context, system: "aloft", config: "\(shape) kill=all", "restart_ms",
        restart.max.max() ?? 0, "ms"),
      figure("acknowledged", Double(end.acknowledged), "1"),
      figure("surviving_pct", Double(end.there) / Double(max(1, end.sessions)) * 100, "%"),
      figure("lost_acked", Double(end.lost), "1"),
      figure("never_written", Double(end.strange), "1"),
    ]
  }
}
