/// 64 bytes there and back, beside plain C servers and SwiftNIO on the same core with the same
/// load: the servers take turns in short slices, so that a noisy minute hits all of them.
struct EchoScenario: Scenario {
  static let id = "10-echo"
  static let title = "Echo over TCP"

  func run(_ context: RunContext) throws -> [Figure] {
    var shapes: [EchoShape] = []
    for connections in context.size([1, 64, 1_000, 10_000], quick: [1, 64, 1_000]) {
      for pipeline in [1, 16] {
        shapes.append(EchoShape(connections: connections, pipeline: pipeline))
      }
    }
    shapes += [
      EchoShape(connections: 1, pipeline: 1, busyPoll: true),
      EchoShape(connections: 1_000, pipeline: 1, rate: 40_000),
    ]
    return try measureEach(shapes.filter { fits($0, context) }, name: \.config) {
      try measure($0, context)
    }
  }

  /// One server process and one load process each hold every connection.
  private func fits(_ shape: EchoShape, _ context: RunContext) -> Bool {
    let fits = shape.connections + SpreadPlan.reserve <= context.machine.descriptorsMax
    if !fits {
      context.progress.noteOnce("\(Self.id) \(shape.config): more than a process may hold")
    }
    return fits
  }

  private func measure(_ shape: EchoShape, _ context: RunContext) throws -> [Figure] {
    context.progress.step("\(Self.id) \(shape.config)")
    let lanes = try lanes(for: shape, context)
    defer { lanes.forEach { $0.stop() } }
    for lane in lanes { try lane.open(shape) }
    for slice in 1...context.size(5, quick: 2) {
      for lane in lanes {
        context.progress.detail("slice \(slice) \(lane.kind.rawValue)")
        try lane.slice(shape, timing: context.size(.full, quick: .quick))
      }
    }
    let results = lanes.map { $0.result() }
    return results.flatMap { result in
      EchoReport(shape: shape, result: result, neighbours: results).figures.map {
        figure(
          context, system: result.kind.rawValue, config: shape.config, $0.name, $0.value, $0.unit)
      }
    }
  }

  private func lanes(for shape: EchoShape, _ context: RunContext) throws -> [EchoLane] {
    var kinds: [ServerKind] = []
    for kind in [context.server, .floorEpoll, .floorUV, .swiftNIO] where !kinds.contains(kind) {
      if let reason = kind.missing(on: context.machine) {
        context.progress.noteOnce("\(Self.id) \(kind.rawValue): \(reason)")
      } else if kind.canBusyPoll || !shape.busyPoll {
        kinds.append(kind)
      }
    }
    let lanes = try kinds.map { try EchoLane($0, shape: shape, machine: context.machine) }
    // A server that spins would take the core from its neighbours: it runs in its slices alone.
    if shape.busyPoll { lanes.forEach { $0.pause() } }
    return lanes
  }
}

struct EchoShape {
  var connections: Int
  var pipeline: Int
  var busyPoll = false
  /// Requests a second of an open loop, whatever the server does; nil: a closed loop.
  var rate: Double?
  let bytes = 64

  var config: String {
    let loop = rate.map { "open-loop rate=\(Int($0))" } ?? "closed-loop"
    return "conns=\(connections) pipeline=\(pipeline)" + (busyPoll ? " busy-poll" : "")
      + " bytes=\(bytes) \(loop)"
  }

  func command(_ timing: EchoTiming) -> LoadCommand {
    if let rate { return .openLoop(rate: rate, duration: timing.duration.nanoseconds) }
    return .closedLoop(
      warmup: timing.warmup.nanoseconds, duration: timing.duration.nanoseconds, opsMax: 0)
  }
}

/// How long a slice is: warming up is not measured.
struct EchoTiming {
  var warmup: Duration
  var duration: Duration

  static let full = EchoTiming(warmup: .milliseconds(200), duration: .milliseconds(800))
  static let quick = EchoTiming(warmup: .milliseconds(30), duration: .milliseconds(100))
}
