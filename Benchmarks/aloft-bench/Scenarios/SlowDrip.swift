import Foundation

/// 10,000 clients that send 8 bytes (the least that the generator can check) every 10 s, beside
/// 100 that exchange 64 bytes at a fixed rate: what the slow ones cost the others' latency. Slices
/// with and without the drip take turns, over the same connections, so that only the bytes differ
/// and a noisy minute hits both.
struct SlowDripScenario: Scenario {
  static let id = "robust-slow-drip"
  static let title = "Slow-drip clients"

  func run(_ context: RunContext) throws -> [Figure] {
    let drips = context.size(10_000, quick: 1_000)
    let shape = DripShape(
      drips: drips, dripRate: Double(drips) / 10, clients: 100, rate: 10_000,
      slices: context.size(5, quick: 2),
      duration: context.size(.seconds(2), quick: .milliseconds(300)))
    context.progress.step("\(Self.id) \(shape.config)")
    let rig = try DripRig(shape, context)
    defer { rig.stop() }
    try rig.open()
    for slice in 1...shape.slices {
      context.progress.detail("slice \(slice)")
      // Each goes first as often as the other.
      for withDrip in slice % 2 == 0 ? [false, true] : [true, false] {
        try rig.slice(withDrip: withDrip)
      }
    }
    return try rig.lines().map {
      figure(context, system: context.server.rawValue, config: shape.config, $0.0, $0.1, $0.2)
    }
  }
}

struct DripShape {
  var drips: Int
  /// Messages a second, of all of them.
  var dripRate: Double
  var clients: Int
  /// Messages a second, of all of them.
  var rate: Double
  var slices: Int
  var duration: Duration

  var config: String {
    "drips=\(drips) drip-rate=\(Int(dripRate)) bytes=8 beside clients=\(clients) "
      + "rate=\(Int(rate)) bytes=64 open-loop"
  }
}

let slowDripRows: [Expectation] = [
  .init(scenario: SlowDripScenario.id, figure: "p99_us_quiet"),
  .init(scenario: SlowDripScenario.id, figure: "p99_us_drip"),
  .init(scenario: SlowDripScenario.id, figure: "p99_ratio", bar: .atMost(1.2)),
  .init(scenario: SlowDripScenario.id, figure: "lost", bar: .exactly(0)),
  .init(scenario: SlowDripScenario.id, figure: "connections_lost", bar: .exactly(0)),
]

/// The server, the slow clients and the brisk ones, each a process.
private final class DripRig {
  private let shape: DripShape
  private let server: Server
  private let drips: LoadProcess
  private let clients: LoadProcess
  private var quiet: [Latencies] = []
  private var dripped: [Latencies] = []
  private var total = LoadReply()
  private var dripTotal = LoadReply()

  init(_ shape: DripShape, _ context: RunContext) throws {
    self.shape = shape
    let options = ServerOptions(connectionsMax: shape.drips + shape.clients + 64)
    server = try Server(context.server, options: options, machine: context.machine)
    let port = server.port
    func load(_ connections: Int, bytes: UInt32, index: Int) throws -> LoadProcess {
      let sources = SourceAddresses.plan(sockets: connections, processes: 2, index: index)
      return try LoadProcess(
        LoadShape(
          port: port, sourceFirst: sources.first, sourceCount: sources.count,
          connections: UInt32(connections), bytes: bytes),
        machine: context.machine)
    }
    drips = try load(shape.drips, bytes: 8, index: 0)
    clients = try load(shape.clients, bytes: 64, index: 1)
  }

  func open() throws {
    for load in [drips, clients] {
      let reply = try load.run(.connect(timeout: Duration.seconds(20).nanoseconds))
      guard reply.failed == 0 else {
        throw BenchError("\(reply.failed) connections failed, first errno \(reply.firstErrno)")
      }
    }
  }

  func slice(withDrip: Bool) throws {
    let around = Duration.milliseconds(200).nanoseconds
    // The drip begins before the measurement and ends after it.
    let drip = LoadCommand.openLoop(
      rate: shape.dripRate, duration: shape.duration.nanoseconds + 2 * around)
    let measured = LoadCommand.openLoop(rate: shape.rate, duration: shape.duration.nanoseconds)
    if withDrip {
      try drips.begin(drip)
      Thread.sleep(forTimeInterval: Double(around) / 1e9)
    }
    let reply = try clients.run(measured)
    if withDrip { dripTotal = dripTotal + (try drips.finish(drip)).withoutLatencies }
    guard reply.answered > 0 else { throw BenchError("nobody was answered in a slice") }
    var latencies = Latencies()
    latencies.add(reply)
    if withDrip { dripped.append(latencies) } else { quiet.append(latencies) }
    total = total + reply.withoutLatencies
  }

  func lines() throws -> [(String, Double, String)] {
    let stats = try server.stats()
    let p99 = (quiet.map { $0.microseconds(99) }, dripped.map { $0.microseconds(99) })
    // Slice by slice against its neighbour, then the median: what slows the whole machine cancels.
    let ratios = zip(p99.1, p99.0).map { $0 / $1 }
    return [
      ("p99_us_quiet", Statistics.median(p99.0), "us"),
      ("p99_us_drip", Statistics.median(p99.1), "us"),
      ("p99_ratio", Statistics.median(ratios), "x"),
      ("p50_us_quiet", Statistics.median(quiet.map { $0.microseconds(50) }), "us"),
      ("p50_us_drip", Statistics.median(dripped.map { $0.microseconds(50) }), "us"),
      ("drips_per_s", dripTotal.sent == 0 ? 0 : Double(dripTotal.answered) / dripSeconds, "1/s"),
      ("lost", Double(total.lost + dripTotal.lost), "messages"),
      ("connections_lost", Double(shape.drips + shape.clients - stats.connections), "connections"),
    ]
  }

  private var dripSeconds: Double {
    Double(dripTotal.windowNanoseconds) / 1e9 * Double(dripped.count)
  }

  func stop() {
    drips.stop()
    clients.stop()
    server.child.stop()
  }
}

extension LoadReply {
  fileprivate var withoutLatencies: LoadReply {
    var counts = self
    counts.latencies = []
    return counts
  }
}
