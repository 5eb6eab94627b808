// What the bench and its load processes say to each other: one JSON object a line, one answer to
// each command, in order. Every time is in nanoseconds.

enum LoadCommand: Codable, Equatable {
  /// Makes the generator; nothing is connected yet.
  case prepare(LoadShape)
  case connect(timeout: UInt64)
  case closedLoop(warmup: UInt64, duration: UInt64, opsMax: UInt64)
  case openLoop(rate: Double, duration: UInt64)
  case each(inFlightMax: UInt32, timeout: UInt64)
  case churn(inFlightMax: UInt32, duration: UInt64, cyclesMax: UInt64)
  case closeAll

  /// How long the answer may take: the command's own bound, and some for a busy machine.
  var limit: Duration {
    let own: UInt64 =
      switch self {
      case .prepare, .closeAll: 10_000_000_000
      case .connect(let timeout), .each(_, let timeout): timeout
      case .closedLoop(let warmup, let duration, _): warmup + duration
      case .openLoop(_, let duration), .churn(_, let duration, _): duration
      }
    return .nanoseconds(own) + .seconds(15)
  }
}

struct LoadShape: Codable, Equatable {
  var port: UInt16
  /// IPv4 in host byte order.
  var sourceFirst: UInt32
  var sourceCount: UInt32
  var connections: UInt32
  var connectsInFlightMax: UInt32 = 64
  var bytes: UInt32 = 64
  var depth: UInt32 = 1
  var busyPoll = false
}

/// The counts of one command; see `bench_load_result` for each.
struct LoadReply: Codable, Equatable {
  var error: String?
  var attempts: UInt64 = 0
  var connected: UInt64 = 0
  var failed: UInt64 = 0
  var alive: UInt64 = 0
  var closedByPeer: UInt64 = 0
  var sent: UInt64 = 0
  var answered: UInt64 = 0
  var lost: UInt64 = 0
  var mismatched: UInt64 = 0
  var ops: UInt64 = 0
  var windowNanoseconds: UInt64 = 0
  var elapsedNanoseconds: UInt64 = 0
  var cpuNanoseconds: UInt64 = 0
  var latencyMaxNanoseconds: UInt64 = 0
  var firstErrno: Int32 = 0
  /// Pairs of a latency and how often it was: the buckets that are not empty.
  var latencies: [[UInt64]] = []

  var opsPerSecond: Double { Double(ops) / (Double(windowNanoseconds) / 1e9) }

  /// Counts added up, of load processes that did the same at the same time.
  static func + (a: LoadReply, b: LoadReply) -> LoadReply {
    var sum = a
    sum.attempts += b.attempts
    sum.connected += b.connected
    sum.failed += b.failed
    sum.alive += b.alive
    sum.closedByPeer += b.closedByPeer
    sum.sent += b.sent
    sum.answered += b.answered
    sum.lost += b.lost
    sum.mismatched += b.mismatched
    sum.ops += b.ops
    sum.windowNanoseconds = max(a.windowNanoseconds, b.windowNanoseconds)
    sum.elapsedNanoseconds = max(a.elapsedNanoseconds, b.elapsedNanoseconds)
    sum.cpuNanoseconds += b.cpuNanoseconds
    sum.latencyMaxNanoseconds = max(a.latencyMaxNanoseconds, b.latencyMaxNanoseconds)
    sum.firstErrno = a.firstErrno != 0 ? a.firstErrno : b.firstErrno
    sum.latencies += b.latencies
    return sum
  }
}
