// What the bench and its processes of clients with sessions say to each other: one JSON object a
// line, one answer to each command, in order. Every time is in nanoseconds of CLOCK_MONOTONIC.

enum ClientsCommand: Codable, Equatable {
  /// Makes the clients; nothing is connected yet.
  case prepare(ClientsShape)
  case open(timeout: UInt64)
  case run(duration: UInt64)
  case verify(timeout: UInt64)
  /// Of the last run, of requests answered between two times, or outside of them.
  case latencies(from: UInt64, to: UInt64, isInside: Bool)
  /// When each client whose connection broke since then had its session back.
  case returns(since: UInt64)

  /// How long the answer may take: the command's own bound, and some for a busy machine.
  var limit: Duration {
    let own: UInt64 =
      switch self {
      case .prepare, .latencies, .returns: 10_000_000_000
      case .open(let timeout), .verify(let timeout): timeout
      case .run(let duration): duration + 10_000_000_000
      }
    return .nanoseconds(own) + .seconds(15)
  }
}

struct ClientsShape: Codable, Equatable {
  struct Target: Codable, Equatable {
    var port: UInt16
    /// Its number in the cluster.
    var node: UInt16
  }

  var targets: [Target]
  /// IPv4 in host byte order.
  var sourceFirst: UInt32
  var sourceCount: UInt32
  var clients: UInt32
  var connectsInFlightMax: UInt32 = 128
  var stateBytes: UInt32
  /// Requests that a client sends at once.
  var burst: UInt32
  /// Clients that wait for answers at a time.
  var window: UInt32
  var updatesPercent: UInt32
  var seed: UInt64
}

/// The counts since the clients were made; see `bench_clients_result` for each.
struct ClientsReply: Codable, Equatable {
  var error: String?
  var ready: UInt64 = 0
  var created: UInt64 = 0
  var reads: UInt64 = 0
  var updates: UInt64 = 0
  var refused: UInt64 = 0
  var uncertain: UInt64 = 0
  var broken: UInt64 = 0
  var errors: UInt64 = 0
  var moved: UInt64 = 0
  var connectsFailed: UInt64 = 0
  var resumesFailed: UInt64 = 0
  var lostAcked: UInt64 = 0
  var fromFuture: UInt64 = 0
  var garbled: UInt64 = 0
  var sessionsGone: UInt64 = 0
  var unread: UInt64 = 0
  var settledAt: UInt64 = 0
  var cpuNanoseconds: UInt64 = 0
  /// Pairs of a latency and how often it was: the buckets that are not empty.
  var latencies: [[UInt64]] = []
  var latencyMaxNanoseconds: UInt64 = 0
  var times: [UInt64] = []

  static func + (a: ClientsReply, b: ClientsReply) -> ClientsReply {
    var sum = a
    sum.ready += b.ready
    sum.created += b.created
    sum.reads += b.reads
    sum.updates += b.updates
    sum.refused += b.refused
    sum.uncertain += b.uncertain
    sum.broken += b.broken
    sum.errors += b.errors
    sum.moved += b.moved
    sum.connectsFailed += b.connectsFailed
    sum.resumesFailed += b.resumesFailed
    sum.lostAcked += b.lostAcked
    sum.fromFuture += b.fromFuture
    sum.garbled += b.garbled
    sum.sessionsGone += b.sessionsGone
    sum.unread += b.unread
    sum.settledAt = max(a.settledAt, b.settledAt)
    sum.cpuNanoseconds += b.cpuNanoseconds
    sum.latencies += b.latencies
    sum.latencyMaxNanoseconds = max(a.latencyMaxNanoseconds, b.latencyMaxNanoseconds)
    sum.times += b.times
    return sum
  }
}
