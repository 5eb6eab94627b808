import Aloft
import AloftNode
import Foundation
import Synchronization
import Testing

/// A node with a runtime and a data directory of its own, in this process.
final class TestNode: Sendable {
  let runtime: Runtime
  let node: Node
  let events: Events

  static let key = Array("a key for the tests of a cluster".utf8)

  init(
    _ name: String, seeds: [SocketAddress], data: String, key: [UInt8] = TestNode.key,
    eventLoops: Int = 1, timing: NodeOptions.Timing = .fast
  ) async throws {
    runtime = try Runtime(.init(eventLoops: eventLoops, connectionsMax: 256))
    events = Events()
    var options = NodeOptions(name: name, keys: [key], data: data)
    options.seeds = seeds
    options.timing = timing
    do {
      node = try await runtime.join(options, within: .seconds(20)) { [events] in events.add($0) }
    } catch {
      await runtime.shutdown(within: .zero)
      throw error
    }
  }

  var number: Int { get async { await node.status()?.node ?? 0 } }

  func end() async {
    await node.shutdown()
    await runtime.shutdown(within: .seconds(1))
  }
}

/// What a node has told of its cluster.
final class Events: Sendable {
  private let list = Mutex<[Node.Event]>([])
  func add(_ event: Node.Event) { list.withLock { $0.append(event) } }
  var all: [Node.Event] { list.withLock { $0 } }
}

/// Directories for the data of nodes, taken away at the end.
final class DataDirectories: Sendable {
  let root: String
  init() throws {
    var template = Array(("/tmp/aloft-node-" + String(repeating: "X", count: 6)).utf8CString)
    guard mkdtemp(&template) != nil else { throw NodeTestError("no directory: \(errno)") }
    root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
  deinit { try? FileManager.default.removeItem(atPath: root) }
  subscript(name: String) -> String { "\(root)/\(name)" }
}

struct NodeTestError: Error {
  let text: String
  init(_ text: String) { self.text = text }
}

/// Waits until something has come to be, for twenty seconds at most.
func eventually(
  _ what: String, sourceLocation: SourceLocation = #_sourceLocation,
  _ isSo: () async -> Bool
) async throws {
  for _ in 0..<20_000 {
    if await isSo() { return }
    try await Task.sleep(for: .milliseconds(1))
  }
  Issue.record("it did not come to be: \(what)", sourceLocation: sourceLocation)
  throw NodeTestError(what)
}

/// Some nodes that are one cluster.
func withCluster(
  _ names: [String], eventLoops: Int = 1, timing: NodeOptions.Timing = .fast,
  _ body: ([TestNode], DataDirectories) async throws -> Void
) async throws {
  let data = try DataDirectories()
  var nodes: [TestNode] = []
  do {
    for name in names {
      var seeds: [SocketAddress] = []
      if let first = nodes.first { seeds = [await first.node.address] }
      nodes.append(
        try await TestNode(
          name, seeds: seeds, data: data[name], eventLoops: eventLoops,
          timing: timing))
    }
    let all = nodes
    for node in all {
      try await eventually("\(node.node.name) knows all") {
        await node.node.status()?.members.filter { $0.state == .up }.count == all.count
      }
    }
    try await body(all, data)
  } catch {
    for node in nodes { await node.end() }
    throw error
  }
  for node in nodes { await node.end() }
}
