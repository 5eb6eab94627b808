import ArgumentParser
import CBenchLoad
import Foundation

/// A process of clients with sessions: obeys `ClientsCommand`s from standard input until it closes.
struct RoleClients: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "role-clients", abstract: "Clients with sessions, for the bench.",
    shouldDisplay: false)

  func run() throws {
    _ = bench_descriptors_raise()
    var clients: OpaquePointer?
    defer { bench_clients_destroy(clients) }
    while let line = readLine() {
      var reply = ClientsReply()
      do {
        let command = try JSONDecoder().decode(ClientsCommand.self, from: Data(line.utf8))
        reply = try obey(command, &clients)
      } catch {
        reply.error = "\(error)"
      }
      let answer = try JSONEncoder().encode(reply) + Data("\n".utf8)
      try FileHandle.standardOutput.write(contentsOf: answer)
    }
  }

  private func obey(
    _ command: ClientsCommand, _ clients: inout OpaquePointer?
  ) throws -> ClientsReply {
    if case .prepare(let shape) = command {
      bench_clients_destroy(clients)
      clients = try Self.make(shape)
      return ClientsReply()
    }
    guard let clients else { throw BenchError("`prepare` comes first") }
    var result = bench_clients_result()
    switch command {
    case .prepare: break
    case .open(let timeout): bench_clients_open(clients, timeout, &result)
    case .run(let duration): bench_clients_run(clients, duration, &result)
    case .verify(let timeout): bench_clients_verify(clients, timeout, &result)
    case .latencies(let from, let to, let isInside):
      return Self.latencies(of: clients, from, to, isInside)
    case .returns(let since):
      var reply = ClientsReply()
      let count = bench_clients_returns(clients, since, nil, 0)
      reply.times = Array(repeating: 0, count: count)
      _ = bench_clients_returns(clients, since, &reply.times, count)
      return reply
    }
    return ClientsReply(result)
  }

  private static func make(_ shape: ClientsShape) throws -> OpaquePointer {
    var options = bench_clients_options()
    guard shape.targets.count <= Int(BENCH_TARGETS_MAX) else { throw BenchError("many targets") }
    options.target_count = UInt32(shape.targets.count)
    withUnsafeMutableBytes(of: &options.targets) { bytes in
      let targets = bytes.bindMemory(to: bench_target.self)
      for (place, target) in shape.targets.enumerated() {
        targets[place] = bench_target(ip: 0x7f00_0001, port: target.port, node: target.node)
      }
    }
    options.source_ip_first = shape.sourceFirst
    options.source_ip_count = shape.sourceCount
    options.clients = shape.clients
    options.connects_in_flight_max = shape.connectsInFlightMax
    options.state_bytes = shape.stateBytes
    options.burst = shape.burst
    options.window = shape.window
    options.updates_percent = shape.updatesPercent
    options.seed = shape.seed
    guard let clients = bench_clients_create(&options) else {
      throw BenchError("can't make the clients: \(String(cString: strerror(errno)))")
    }
    return clients
  }

  private static func latencies(
    of clients: OpaquePointer, _ from: UInt64, _ to: UInt64, _ isInside: Bool
  ) -> ClientsReply {
    var reply = ClientsReply()
    var length = 0
    let counts = bench_clients_histogram(
      clients, from, to, isInside, &length, &reply.latencyMaxNanoseconds)
    guard let counts else { return reply }
    reply.latencies = (0..<length).filter { counts[$0] > 0 }
      .map { [bench_load_histogram_value($0), counts[$0]] }
    return reply
  }
}

extension ClientsReply {
  init(_ result: bench_clients_result) {
    self.init(
      ready: result.ready, created: result.created, reads: result.reads, updates: result.updates,
      refused: result.refused, uncertain: result.uncertain, broken: result.broken,
      errors: result.errors, moved: result.moved, connectsFailed: result.connects_failed,
      resumesFailed: result.resumes_failed, lostAcked: result.lost_acked,
      fromFuture: result.from_future, garbled: result.garbled,
      sessionsGone: result.sessions_gone, unread: result.unread, settledAt: result.settled_at,
      cpuNanoseconds: result.cpu_ns)
  }
}
