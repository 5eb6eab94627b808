import ArgumentParser
import CBenchLoad
import Foundation

/// A load process: obeys `LoadCommand`s from standard input until it closes.
struct RoleLoad: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "role-load", abstract: "Drives connections for the bench.", shouldDisplay: false)

  func run() throws {
    _ = bench_descriptors_raise()
    var generator: OpaquePointer?
    defer { bench_load_destroy(generator) }
    while let line = readLine() {
      var reply = LoadReply()
      do {
        let command = try JSONDecoder().decode(LoadCommand.self, from: Data(line.utf8))
        reply = try obey(command, &generator)
      } catch {
        reply.error = "\(error)"
      }
      let answer = try JSONEncoder().encode(reply) + Data("\n".utf8)
      try FileHandle.standardOutput.write(contentsOf: answer)
    }
  }

  private func obey(
    _ command: LoadCommand, _ generator: inout OpaquePointer?
  ) throws -> LoadReply {
    if case .prepare(let shape) = command {
      bench_load_destroy(generator)
      generator = try Self.make(shape)
      return LoadReply()
    }
    guard let generator else { throw BenchError("`prepare` comes first") }
    var result = bench_load_result()
    var timed = true
    switch command {
    case .prepare:
      break
    case .connect(let timeout):
      bench_load_connect(generator, timeout, &result)
      timed = false
    case .closedLoop(let warmup, let duration, let opsMax):
      bench_load_closed_loop(generator, warmup, duration, opsMax, &result)
    case .openLoop(let rate, let duration):
      bench_load_open_loop(generator, rate, duration, &result)
    case .each(let inFlightMax, let timeout):
      bench_load_each(generator, inFlightMax, timeout, &result)
    case .churn(let inFlightMax, let duration, let cyclesMax):
      bench_load_churn(generator, inFlightMax, duration, cyclesMax, &result)
      timed = false
    case .closeAll:
      bench_load_close_all(generator, &result)
      timed = false
    }
    return LoadReply(result, latencies: timed ? Self.latencies(of: generator) : [])
  }

  private static func make(_ shape: LoadShape) throws -> OpaquePointer {
    var options = bench_load_options(
      target_ip: 0x7f00_0001, target_port: shape.port, source_ip_first: shape.sourceFirst,
      source_ip_count: shape.sourceCount, connections: shape.connections,
      connects_in_flight_max: shape.connectsInFlightMax, bytes: shape.bytes, depth: shape.depth,
      busy_poll: shape.busyPoll)
    guard let generator = bench_load_create(&options) else {
      throw BenchError("can't make the generator: \(String(cString: strerror(errno)))")
    }
    return generator
  }

  private static func latencies(of generator: OpaquePointer) -> [[UInt64]] {
    var length = 0
    guard let counts = bench_load_histogram(generator, &length) else { return [] }
    return (0..<length).filter { counts[$0] > 0 }
      .map { [bench_load_histogram_value($0), counts[$0]] }
  }
}

extension LoadReply {
  init(_ result: bench_load_result, latencies: [[UInt64]]) {
    self.init(
      attempts: result.attempts, connected: result.connected, failed: result.failed,
      alive: result.alive, closedByPeer: result.closed_by_peer, sent: result.sent,
      answered: result.answered, lost: result.lost, mismatched: result.mismatched,
      ops: result.ops, windowNanoseconds: result.window_ns, elapsedNanoseconds: result.elapsed_ns,
      cpuNanoseconds: result.cpu_ns, latencyMaxNanoseconds: result.latency_max_ns,
      firstErrno: result.first_errno, latencies: latencies)
  }
}
