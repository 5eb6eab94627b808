import Aloft
import AloftNode
import AloftService
import Foundation
import Logging
import Metrics
import MetricsTestKit
import ServiceLifecycle
import ServiceLifecycleTestKit
import Synchronization
import Testing

/// Runtimes and nodes in the ecosystem's terms: how they end, what they log, what is measured.
struct ServiceTests {
  @Test("A graceful shutdown lets connections finish; a cancellation doesn't wait")
  func runtime() async throws {
    for isGraceful in [true, false] {
      let runtime = try Runtime(.init(eventLoops: 1, connectionsMax: 16))
      let told = Told()
      let listener = try await runtime.listen(on: .init("127.0.0.1", 0), handler: Drained(told))
      let connection = try await runtime.connect(to: listener.address, handler: Quiet())
      _ = connection
      try await eventually("it is accepted") { runtime.statistics.accepted == 1 }
      let service = RuntimeService(runtime, drain: .seconds(30))
      try await testGracefulShutdown { trigger in
        try await withThrowingTaskGroup { tasks in
          tasks.addTask { try await service.run() }
          if isGraceful { trigger.triggerGracefulShutdown() } else { tasks.cancelAll() }
          if isGraceful {
            try await tasks.waitForAll()
          } else {
            await #expect(throws: CancellationError.self) { try await tasks.waitForAll() }
          }
        }
      }
      // It closes when it is told that it should: thirty seconds are not needed.
      #expect(told.all.contains("draining") || !isGraceful)
      #expect(runtime.statistics.open == 0)
    }
  }

  @Test("A node hands its slots over before it stops, and takes its share when it is back")
  func drain() async throws {
    let data = try Directories()
    let runtimes = try (0..<2).map { _ in
      try Runtime(.init(eventLoops: 1, connectionsMax: 128))
    }
    let logged = Logged()
    let one = try await NodeService(
      joining: data.options("one"), on: runtimes[0], logger: logged.logger)
    var options = data.options("two")
    options.seeds = [await one.node.address]
    var left: [Int] = []
    for _ in 0..<2 {
      let two = try await NodeService(joining: options, on: runtimes[1], logger: logged.logger)
      try await testGracefulShutdown { trigger in
        try await withThrowingTaskGroup { tasks in
          tasks.addTask { try await two.run() }
          try await eventually("both have a half") { await one.slots == 8_192 }
          trigger.triggerGracefulShutdown()
          try await tasks.waitForAll()
        }
      }
      left.append(await one.slots)
    }
    // At once: nobody had to find out that it is gone.
    #expect(left == [16_384, 16_384])
    #expect(logged.all.filter { $0 == "two: drained" }.count == 2)
    #expect(logged.all.contains("two: joined the cluster"))
    #expect(logged.all.contains("one: a node is up"))
    await one.node.shutdown()
    for runtime in runtimes { await runtime.shutdown(within: .zero) }
  }

  @Test("A node that ends by itself ends its service with the reason")
  func stopped() async throws {
    let data = try Directories()
    try await Runtime.with(.init(eventLoops: 1, connectionsMax: 64)) { runtime in
      let logged = Logged()
      let service = try await NodeService(
        joining: data.options("alone"), on: runtime, logger: logged.logger)
      let group = ServiceGroup(services: [service], logger: logged.logger)
      let running = Task { try await group.run() }
      try await service.node.leave(within: .seconds(10))
      await #expect(throws: NodeStopped.self) { try await running.value }
      #expect(logged.all.contains("alone: the node has stopped"))
    }
  }

  @Test("Statistics become counters and gauges, each under its name and labels")
  func metrics() async throws {
    let data = try Directories()
    let metrics = TestMetrics()
    let runtime = try Runtime(.init(eventLoops: 1, connectionsMax: 64))
    let node = try await runtime.join(data.options("measured"))
    let pool = try Pool(runtime, .init(size: 2), open: { 7 }, close: { _ in })
    try await pool.withLease { _ in }
    try await pool.withLease { _ in }
    var service = MetricsService(runtime, node: node, every: .milliseconds(1), factory: metrics)
    service.add(pool, as: "sevens")
    let reporting = service
    try await testGracefulShutdown { trigger in
      try await withThrowingTaskGroup { tasks in
        tasks.addTask { try await reporting.run() }
        try await eventually("a second reading") {
          ((try? metrics.expectCounter("aloft_loop_turns_total"))?.values.count ?? 0) > 1
        }
        try await pool.withLease { _ in }
        trigger.triggerGracefulShutdown()
        try await tasks.waitForAll()
      }
    }
    let leases = try metrics.expectCounter("aloft_pool_leases_total", [("pool", "sevens")])
    #expect(leases.values.reduce(0, +) == 3)
    let slots = try metrics.expectGauge("aloft_node_slots")
    #expect(slots.lastValue == 16_384)
    let up = try metrics.expectGauge("aloft_cluster_members", [("state", "up")])
    #expect(up.lastValue == 1)
    #expect(try metrics.expectGauge("aloft_node_accepting").lastValue == 1)
    await node.shutdown()
    await runtime.shutdown(within: .zero)
  }
}

extension NodeService {
  fileprivate var slots: Int {
    get async {
      guard let status = await node.status() else { return -1 }
      return status.members.first { $0.node == status.node }?.slots ?? 0
    }
  }
}

private final class Told: Sendable {
  private let list = Mutex<[String]>([])
  func add(_ text: String) { list.withLock { $0.append(text) } }
  var all: [String] { list.withLock { $0 } }
}

/// Closes when it is told that all drains.
private final class Drained: ConnectionHandler {
  private let told: Told
  init(_ told: Told) { self.told = told }
  func received(_ connection: Connection, _ bytes: RawSpan) {}
  func draining(_ connection: Connection) {
    told.add("draining")
    connection.close()
  }
}

private final class Quiet: ConnectionHandler {
  func received(_ connection: Connection, _ bytes: RawSpan) {}
}

/// Keeps what is logged, as "node: message".
private final class Logged: Sendable {
  private let told = Told()
  var all: [String] { told.all }
  var logger: Logger { Logger(label: "aloft") { _ in Keeper(told: self.told) } }

  struct Keeper: LogHandler {
    let told: Told
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
    func log(event: LogEvent) {
      told.add("\(metadata["node"].map { "\($0)" } ?? ""): \(event.message)")
    }
  }
}

/// Directories for the data of nodes, taken away at the end.
private final class Directories: Sendable {
  private let root: URL
  init() throws {
    root = FileManager.default.temporaryDirectory.appending(path: "aloft-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(at: root) }

  func options(_ name: String) -> NodeOptions {
    var options = NodeOptions(
      name: name, keys: [Array("a key for tests alone".utf8)],
      data: root.appending(path: name).path)
    options.timing = .fast
    return options
  }
}

private struct Missing: Error {}

private func eventually(
  _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation,
  _ isSo: () async throws -> Bool
) async throws {
  for _ in 0..<20_000 {
    if try await isSo() { return }
    try await Task.sleep(for: .milliseconds(1))
  }
  Issue.record(what, sourceLocation: sourceLocation)
  throw Missing()
}
