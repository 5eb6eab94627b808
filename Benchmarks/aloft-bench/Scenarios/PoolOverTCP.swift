import Aloft
import Foundation

/// Pools of real connections to an upstream process, an echo server on a core of its own: a cycle
/// is a lease, a request, its answer, and the return. In turn with it, slice by slice, the same
/// connections are used by the same callers without a pool.
enum PoolOverTCP {
  static let config = "pools=128 size=1 callers=128 tcp bytes=64"
  private static let pools = 128

  static func measure(_ context: RunContext) throws -> [PoolScenario.Line] {
    let upstream = try Child(
      path: context.machine.sibling("floor-epoll"), arguments: ["--listen", "127.0.0.1:0"],
      cpu: context.machine.serverCore)
    defer { upstream.stop() }
    let ready = try upstream.readLine(within: .seconds(5))
    guard let port = ready.split(separator: " ").last.flatMap({ UInt16($0) }) else {
      throw BenchError("\(upstream.name) said \(ready)")
    }
    var options = Runtime.Options(eventLoops: 1, connectionsMax: 1_024)
    if let core = context.machine.loadCore { options.processors = [core] }
    let runtime = try Runtime(options)
    defer { try? PoolBench.waiting { await runtime.shutdown(within: .zero) } }
    return try PoolBench.waiting {
      try await compare(runtime, .init("127.0.0.1", port), context)
    }
  }

  private static func compare(
    _ runtime: Runtime, _ address: SocketAddress, _ context: RunContext
  ) async throws -> [PoolScenario.Line] {
    let pools = try (0..<pools).map { _ in
      try Pool(runtime, size: 1) {
        try await EchoClient.open(runtime, address)
      } close: {
        await $0.close()
      }
    }
    // The same connections, known by their pools' one resource each.
    var clients: [EchoClient] = []
    for pool in pools { clients.append(try await pool.withLease { $0 }) }
    let all = clients
    let cycles = context.size(1_500, quick: 150)
    var ratios: [Double] = []
    var rates: [Double] = []
    var latencies = Latencies()
    for round in 0..<context.size(11, quick: 5) {
      var seconds = (pooled: 0.0, plain: 0.0)
      // Who goes first changes, or the second would always find the warmer machine.
      for pooled in round % 2 == 0 ? [true, false] : [false, true] {
        let run = try await slice(runtime, cycles: cycles) { index in
          guard pooled else { return try await all[index].ask() }
          try await pools[index].withLease { try await $0.ask() }
        }
        if pooled {
          seconds.pooled = run.seconds
          for wait in run.latencies { latencies.add(nanoseconds: UInt64(wait)) }
        } else {
          seconds.plain = run.seconds
        }
      }
      ratios.append(seconds.pooled / seconds.plain)
      rates.append(Double(all.count * cycles) / seconds.pooled)
    }
    ratios.sort()
    rates.sort()
    for pool in pools { await pool.drain(within: .seconds(1)) }
    return [
      ("cycles_per_s", rates[rates.count / 2], "1/s"),
      ("lost_to_pool_pct", (ratios[ratios.count / 2] - 1) * 100, "%"),
    ] + latencies.figures.map { ($0.name, $0.microseconds, "us") }
  }

  private static func slice(
    _ runtime: Runtime, cycles: Int, _ ask: @escaping @Sendable (Int) async throws -> Void
  ) async throws -> (seconds: Double, latencies: [UInt32]) {
    let begin = PoolBench.now()
    let results = PoolCallers(pools)
    try await withThrowingTaskGroup { group in
      for caller in 0..<pools {
        group.addTask(executorPreference: runtime.eventLoops[0].executor) {
          var waits: [UInt32] = []
          for _ in 0..<cycles {
            let asked = PoolBench.now()
            try await ask(caller)
            waits.append(UInt32(min(PoolBench.now() - asked, 4e9)))
          }
          results.waits[caller].value = waits
        }
      }
      try await group.waitForAll()
    }
    return ((PoolBench.now() - begin) / 1e9, results.waits.flatMap(\.value))
  }
}

/// A connection that sends 64 bytes and waits for as many. Its state is its loop's.
private final class EchoClient: ConnectionHandler, @unchecked Sendable {
  // Sendable: touched on the connection's loop alone, where all callers run.
  private var connection: Connection?
  private var waiting: UnsafeContinuation<Void, any Error>?
  private var missing = 0
  private let loop: EventLoop
  private static let message = [UInt8](repeating: 7, count: 64)

  private init(_ loop: EventLoop) { self.loop = loop }

  static func open(_ runtime: Runtime, _ address: SocketAddress) async throws -> EchoClient {
    let loop = runtime.eventLoops[0]
    let client = EchoClient(loop)
    _ = try await runtime.connect(to: address, on: loop, handler: client)
    return client
  }

  func ask() async throws {
    try await withUnsafeThrowingContinuation {
      (continuation: UnsafeContinuation<Void, any Error>) in
      guard connection?.write(Self.message) == .accepted else {
        return continuation.resume(throwing: BenchError("the upstream does not listen"))
      }
      missing = Self.message.count
      waiting = continuation
    }
  }

  func close() async { try? await loop.run { self.connection?.close() } }

  func opened(_ connection: Connection) { self.connection = connection }

  func received(_ connection: Connection, _ bytes: RawSpan) {
    missing -= bytes.byteCount
    guard missing == 0 else { return }
    let asker = waiting
    waiting = nil
    asker?.resume()
  }

  func closed(_ connection: Connection, reason: CloseReason) {
    self.connection = nil
    waiting?.resume(throwing: BenchError("the upstream closed: \(reason)"))
    waiting = nil
  }
}
