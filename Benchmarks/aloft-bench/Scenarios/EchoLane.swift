import Foundation

/// One server and its load, through all slices of one shape.
final class EchoLane {
  let kind: ServerKind
  private let server: Server
  private let load: LoadProcess
  private let pauses: Bool
  private var slices: [EchoSlice] = []
  private var latencies = Latencies()
  private var total = LoadReply()

  init(_ kind: ServerKind, shape: EchoShape, machine: Machine) throws {
    self.kind = kind
    pauses = shape.busyPoll
    let options = ServerOptions(
      busyPoll: shape.busyPoll, connectionsMax: shape.connections + 64)
    server = try Server(kind, options: options, machine: machine)
    let sources = SourceAddresses.plan(sockets: shape.connections, processes: 1, index: 0)
    load = try LoadProcess(
      LoadShape(
        port: server.port, sourceFirst: sources.first, sourceCount: sources.count,
        connections: UInt32(shape.connections), bytes: UInt32(shape.bytes),
        depth: UInt32(shape.pipeline), busyPoll: shape.busyPoll),
      machine: machine)
  }

  func open(_ shape: EchoShape) throws {
    resume()
    defer { if pauses { pause() } }
    let reply = try load.run(.connect(timeout: Duration.seconds(20).nanoseconds))
    guard reply.alive == UInt64(shape.connections) else {
      throw BenchError(
        "\(kind.rawValue): \(reply.alive) of \(shape.connections) connections opened, "
          + "\(reply.failed) failed, first errno \(reply.firstErrno)")
    }
  }

  func slice(_ shape: EchoShape, timing: EchoTiming) throws {
    resume()
    defer { if pauses { pause() } }
    let serverBefore = try server.scheduling(), loadBefore = try load.scheduling()
    let reply = try load.run(shape.command(timing))
    let serverAfter = try server.scheduling(), loadAfter = try load.scheduling()
    guard reply.ops > 0 else { throw BenchError("\(kind.rawValue) answered nothing in a slice") }
    latencies.add(reply)
    let answered = Double(reply.answered), elapsed = Double(reply.elapsedNanoseconds)
    let running = serverAfter.running - serverBefore.running
    let stolen =
      serverAfter.waiting - serverBefore.waiting + loadAfter.waiting - loadBefore.waiting
    slices.append(
      EchoSlice(
        opsPerSecond: reply.opsPerSecond, serverCPU: running / 1e3 / answered,
        loadCPU: Double(reply.cpuNanoseconds) / 1e3 / answered,
        serverBusy: running / elapsed * 100,
        loadBusy: Double(reply.cpuNanoseconds) / elapsed * 100, stolen: stolen / elapsed * 100))
    var counts = reply
    counts.latencies = []
    total = total + counts
  }

  func result() -> EchoResult {
    EchoResult(kind: kind, slices: slices, latencies: latencies, total: total)
  }

  func pause() { server.child.signal(SIGSTOP) }
  func resume() { if pauses { server.child.signal(SIGCONT) } }

  func stop() {
    server.child.signal(SIGCONT)
    load.stop()
    server.child.stop()
  }
}

struct EchoSlice {
  var opsPerSecond: Double
  /// Microseconds of processor time an operation, the warming up included.
  var serverCPU: Double
  var loadCPU: Double
  /// Percent of the slice on a core: the end that is near 100 is the one that limits.
  var serverBusy: Double
  var loadBusy: Double
  /// Percent of the slice that server and load together waited for a core that others had.
  var stolen: Double
}

struct EchoResult {
  var kind: ServerKind
  var slices: [EchoSlice]
  var latencies: Latencies
  var total: LoadReply
}

/// The figures of one server at one shape, and its ratios to those beside it.
struct EchoReport {
  var shape: EchoShape
  var result: EchoResult
  var neighbours: [EchoResult]

  struct Line {
    var name: String
    var value: Double
    var unit: String
  }

  var figures: [Line] {
    var lines = [Line(name: "ops_per_s", value: median(\.opsPerSecond), unit: "1/s")]
    lines += result.latencies.figures.map {
      Line(name: $0.name, value: $0.microseconds, unit: "us")
    }
    lines += [
      Line(name: "server_cpu_us_per_op", value: median(\.serverCPU), unit: "us"),
      Line(name: "load_cpu_us_per_op", value: median(\.loadCPU), unit: "us"),
      Line(name: "server_busy_pct", value: median(\.serverBusy), unit: "%"),
      Line(name: "load_busy_pct", value: median(\.loadBusy), unit: "%"),
      Line(name: "stolen_pct", value: median(\.stolen), unit: "%"),
      Line(name: "failed", value: Double(result.total.failed), unit: "messages"),
      Line(name: "lost", value: Double(result.total.lost), unit: "messages"),
      Line(name: "mismatched", value: Double(result.total.mismatched), unit: "messages"),
      Line(
        name: "unaccounted",
        value: Double(result.total.sent) - Double(result.total.answered + result.total.lost),
        unit: "messages"),
    ]
    // At a fixed rate all are as fast; only latency and processor time tell them apart.
    return shape.rate == nil ? lines + ratios : lines
  }

  /// Slice by slice against the neighbour in the same turn, then the median: what slows the whole
  /// machine for a while cancels out.
  private var ratios: [Line] {
    neighbours.filter { $0.kind != result.kind && $0.kind != .aloft }.flatMap { neighbour in
      let pairs = Array(zip(result.slices, neighbour.slices))
      let name = neighbour.kind.figureName
      return [
        Line(
          name: "ratio_to_\(name)",
          value: Statistics.median(pairs.map { $0.opsPerSecond / $1.opsPerSecond }), unit: "x"),
        // The load costs as much an operation as the plainest server, and so hides what a server
        // may do beyond that. This ratio does not: above 1, ours takes less processor time.
        Line(
          name: "cpu_ratio_to_\(name)",
          value: Statistics.median(pairs.map { $1.serverCPU / $0.serverCPU }), unit: "x"),
      ]
    }
  }

  private func median(_ value: KeyPath<EchoSlice, Double>) -> Double {
    Statistics.median(result.slices.map { $0[keyPath: value] })
  }
}

extension ServerKind {
  /// In the names of figures, where no dash stands.
  var figureName: String {
    switch self {
    case .aloft: "aloft"
    case .floorEpoll: "floor_epoll"
    case .floorUV: "floor_uv"
    case .swiftNIO: "swiftnio"
    }
  }
}
