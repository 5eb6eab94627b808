import Aloft
import AloftNode
import AloftSessionClient
import Foundation
import Testing

/// Three nodes that listen for clients, and runtimes of clients, in this process.
final class DoorNodes: @unchecked Sendable {
  // @unchecked: set up before it's used; each test runs its steps one after the other.
  private(set) var runtimes: [Runtime] = []
  private(set) var nodes: [Node] = []
  private(set) var doors: [SocketAddress] = []
  private let clientRuntime: Runtime
  private var clients: [SessionClient] = []
  private let root: String

  static let key = Array("a key for the tests of clients".utf8)

  init() throws {
    clientRuntime = try Runtime(.init(eventLoops: 1, connectionsMax: 256))
    var template = Array(("/tmp/aloft-door-" + String(repeating: "X", count: 6)).utf8CString)
    guard mkdtemp(&template) != nil else { throw DoorTestError("no directory: \(errno)") }
    root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  func add(_ name: String, _ change: (inout NodeOptions) -> Void = { _ in }) async throws {
    let runtime = try Runtime(.init(eventLoops: 1, connectionsMax: 1_024))
    var options = NodeOptions(name: name, keys: [Self.key], data: "\(root)/\(name)")
    options.timing = .fast
    options.sessionListen = SocketAddress("127.0.0.1", 0)
    if let first = nodes.first { options.seeds = [await first.address] }
    change(&options)
    do {
      let node = try await runtime.join(options, within: .seconds(20))
      runtimes.append(runtime)
      nodes.append(node)
      doors.append(try #require(await node.sessionAddress))
    } catch {
      await runtime.shutdown(within: .zero)
      throw error
    }
  }

  /// Ends a node without a word.
  func end(_ at: Int) async {
    await nodes[at].shutdown()
    await runtimes[at].shutdown(within: .seconds(1))
  }

  func options(_ principal: String, at doors: [Int]) throws -> SessionClientOptions {
    SessionClientOptions(
      addresses: doors.map { self.doors[$0] },
      token: try Node.clientToken(for: principal, key: Self.key))
  }

  func client(
    _ principal: String, at doors: [Int] = [0, 1, 2],
    _ change: (inout SessionClientOptions) -> Void = { _ in }
  ) async throws -> SessionClient {
    var options = try options(principal, at: doors)
    change(&options)
    return try await client(options)
  }

  func client(_ options: SessionClientOptions) async throws -> SessionClient {
    let client = try await SessionClient.connect(clientRuntime, options, within: .seconds(20))
    clients.append(client)
    return client
  }

  /// Why a client isn't let in; nil for one that was, and is gone again.
  func attempt(_ options: SessionClientOptions) async -> SessionFailure.Code? {
    await failure {
      try await SessionClient.connect(clientRuntime, options, within: .seconds(20)).close()
    }
  }

  /// Why a client isn't let in within a moment.
  func lateFailure(_ options: SessionClientOptions) async -> SessionFailure.Code? {
    await failure {
      _ = try await SessionClient.connect(
        clientRuntime, options, within: .milliseconds(500))
    }
  }

  func endAll() async {
    for client in clients { await client.close() }
    for at in nodes.indices { await end(at) }
    await clientRuntime.shutdown(within: .seconds(1))
  }
}

struct DoorTestError: Error {
  let text: String
  init(_ text: String) { self.text = text }
}

/// Three nodes, each with a vote and a door.
func withDoors(
  _ change: @escaping (inout NodeOptions) -> Void = { _ in },
  _ body: (DoorNodes) async throws -> Void
) async throws {
  let nodes = try DoorNodes()
  do {
    for name in ["a", "b", "c"] { try await nodes.add(name, change) }
    for node in nodes.nodes {
      try await eventually("all vote, as far as \(node.name) knows") {
        await node.status()?.members.filter(\.isVoter).count == 3
      }
    }
    try await body(nodes)
  } catch {
    await nodes.endAll()
    throw error
  }
  await nodes.endAll()
}

/// Waits until something has come to be, for a minute at most.
func eventually(
  _ what: String, sourceLocation: SourceLocation = #_sourceLocation,
  _ isSo: () async -> Bool
) async throws {
  for _ in 0..<60_000 {
    if await isSo() { return }
    try await Task.sleep(for: .milliseconds(1))
  }
  Issue.record("it did not come to be: \(what)", sourceLocation: sourceLocation)
  throw DoorTestError(what)
}

/// What a body throws, if that is a failure of a session.
func failure(_ body: () async throws -> Void) async -> SessionFailure.Code? {
  do {
    try await body()
    return nil
  } catch {
    return (error as? SessionFailure)?.code
  }
}
