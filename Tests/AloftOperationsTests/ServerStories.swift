import Aloft
import AloftNode
import Foundation
import Testing

@testable import AloftOperations

/// The server on a real socket, asked as browsers, scrapers and strangers do.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct ServerStories {
  private static func withServer(
    patience: Duration = .seconds(60),
    _ body: (SocketAddress, Runtime) async throws -> Void
  ) async throws {
    try await Runtime.with(.init(eventLoops: 2, connectionsMax: 256), drain: .seconds(1)) {
      runtime in
      var instruments = Instruments(runtime)
      let pool = try Pool(runtime, .init(size: 2), open: { 7 }, close: { _ in })
      instruments.add(pool, as: "sevens")
      try await pool.withLease { _ in }
      let server = OperationsServer(instruments, journal: Journal(), patience: patience)
      let listener = try await server.listen(on: .init("127.0.0.1", 0))
      try await body(listener.address, runtime)
    }
  }

  @Test("Figures are there for Prometheus, each line in its form")
  func metrics() async throws {
    try await Self.withServer { address, _ in
      // The delay of the loops is measured ten times a second.
      var text = ""
      while !text.contains("aloft_loop_delay_seconds_count{loop=\"1\"}")
        || text.contains("_count{loop=\"1\"} 0")
      { text = try await ask(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n") }
      let parts = text.components(separatedBy: "\r\n\r\n")
      #expect(parts[0].hasPrefix("HTTP/1.1 200 OK\r\n"))
      #expect(parts[0].contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"))
      #expect(parts[0].hasSuffix("Content-Length: \(parts[1].utf8.count)"))
      #expect(parts[1].contains("\naloft_pool_leases_total{pool=\"sevens\"} 1\n"))
      #expect(parts[1].contains("\naloft_connections_open 1\n"))
      for line in parts[1].split(separator: "\n") where !line.hasPrefix("#") {
        let form = /[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-+.e0-9]+/
        #expect(line.wholeMatch(of: form) != nil, "\(line)")
      }
    }
  }

  @Test("The page, and what is no page")
  func pages() async throws {
    try await Self.withServer { address, _ in
      let page = try await ask(address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(page.contains("Content-Security-Policy: default-src 'none'"))
      #expect(page.hasSuffix("</html>\n"))
      #expect(!page.contains("src=\"http") && !page.contains("@import"))
      let head = try await ask(address, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(head.hasPrefix("HTTP/1.1 200") && head.hasSuffix("\r\n\r\n"))
      for (path, status) in [("/health", 200), ("/ready", 200), ("/none", 404)] {
        let text = try await ask(address, "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(text.hasPrefix("HTTP/1.1 \(status) "), "\(path)")
      }
    }
  }

  @Test("Strangers are told what is wrong, and the answer isn't lost when they go on sending")
  func strangers() async throws {
    try await Self.withServer { address, _ in
      let body = String(repeating: "x", count: 300_000)
      for (status, text) in [
        (400, "hello\n\n"), (400, "\u{16}\u{3}"), (405, "PUT / HTTP/1.1\r\nHost: a\r\n\r\n" + body),
        (413, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + body),
        (431, body), (505, "GET / HTTP/3.0\r\n\r\n"),
      ] {
        let answer = try await ask(address, text)
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(text.prefix(20).debugDescription)")
        #expect(status != 405 || answer.contains("\r\nAllow: GET, HEAD\r\n"))
      }
    }
  }

  @Test("One who doesn't come to the point is told so in time")
  func slow() async throws {
    try await Self.withServer(patience: .milliseconds(50)) { address, _ in
      let answer = try await ask(address, "GET / HTTP/1.1\r\nHost:", finishes: false)
      #expect(answer.hasPrefix("HTTP/1.1 408 "))
    }
  }

  @Test("Beyond the limit of connections the next is turned away, and served when one has gone")
  func crowd() async throws {
    try await Self.withServer { address, runtime in
      let silent = try await runtime.connections(OperationsServer.connectionsMax, to: address)
      // They have all arrived; their tasks may have yet to begin, and count them.
      var told = ""
      while !told.hasPrefix("HTTP/1.1 503 ") {
        told = try await ask(address, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
      }
      for connection in silent { try await connection.end() }
      var answer = ""
      while !answer.hasPrefix("HTTP/1.1 200 ") {
        answer = try await ask(address, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
      }
    }
  }

  @Test("The page is fed by events, and they end with the runtime")
  func events() async throws {
    var peer: RawClient?
    try await Self.withServer { address, _ in
      let client = try RawClient(address)
      try client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
      var text = ""
      while text.components(separatedBy: "\n\n").count < 2 { text += try client.receive() }
      #expect(text.contains("Content-Type: text/event-stream\r\n"))
      let event = try #require(text.components(separatedBy: "data: ").dropFirst().first)
      let object = try JSONSerialization.jsonObject(with: Data(event.utf8))
      let state = try #require(object as? [String: Any])
      let figures = try #require(state["figures"] as? [String: Any])
      #expect(figures["aloft_connections_open"] as? Int == 1)
      #expect(state["node"] is NSNull)
      peer = client
    }
    while let more = try? peer?.receive(), !more.isEmpty {}
  }

  @Test("A node is ready while a majority is in reach and it isn't being emptied")
  func readiness() async throws {
    let data = FileManager.default.temporaryDirectory
      .appendingPathComponent("aloft-operations-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: data, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: data) }
    try await Runtime.with(.init(eventLoops: 1, connectionsMax: 64), drain: .zero) { runtime in
      var options = NodeOptions(
        name: "one", keys: [Array("a key of enough bytes".utf8)], data: data.path)
      options.timing = .fast
      let journal = Journal()
      let node = try await runtime.join(options) { journal.note($0) }
      let server = OperationsServer(Instruments(runtime, node: node), journal: journal)
      let address = try await server.listen(on: .init("127.0.0.1", 0)).address
      func status(_ path: String) async throws -> Substring {
        try await ask(address, "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n").dropFirst(9).prefix(3)
      }
      while try await status("/ready") != "200" {}
      #expect(
        try await ask(address, "GET /metrics HTTP/1.0\r\n\r\n").contains(
          "\naloft_node_slots 16384\n"))
      try await node.setDraining("one", true)
      while try await status("/ready") != "503" {}
      #expect(try await status("/health") == "200")
      await node.shutdown()
      #expect(try await status("/ready") == "503")
      #expect(try await status("/health") == "503")
    }
  }
}

/// Sends a text, finishes, and answers all that comes back.
private func ask(
  _ address: SocketAddress, _ text: String, finishes: Bool = true
) async throws -> String {
  // Blocking calls have a thread of their own, or they would hold up the tests' own.
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread {
      continuation.resume(
        with: Result {
          let client = try RawClient(address)
          // A server may have answered, and close, before it has taken all.
          try? client.send(text)
          if finishes { client.finish() }
          var answer = ""
          while true {
            let more = try client.receive()
            if more.isEmpty { return answer }
            answer += more
          }
        })
    }
  }
}

/// A blocking TCP connection.
private final class RawClient: @unchecked Sendable {
  // @unchecked: used by one thread at a time.
  private let descriptor: Int32

  struct Failure: Error { let code: Int32 }

  init(_ address: SocketAddress) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var to = sockaddr_in()
    to.sin_family = sa_family_t(AF_INET)
    to.sin_port = (address.port ?? 0).bigEndian
    to.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let status = withUnsafePointer(to: &to) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else { throw Failure(code: errno) }
  }

  deinit { close(descriptor) }

  func send(_ text: String) throws {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw Failure(code: errno) }
      rest = rest.dropFirst(count)
    }
  }

  func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Empty at the end.
  func receive() throws -> String {
    var chunk = [UInt8](repeating: 0, count: 65_536)
    let count = recv(descriptor, &chunk, chunk.count, 0)
    guard count >= 0 else { throw Failure(code: errno) }
    return String(decoding: chunk.prefix(count), as: UTF8.self)
  }
}

/// A connection that says nothing until it is ended.
private final class Silent: ConnectionHandler {
  func received(_ connection: Connection, _ bytes: RawSpan) {}
}

private struct OpenConnection {
  let connection: Connection
  let loop: EventLoop
  func end() async throws {
    let connection = connection
    try await loop.run { connection.reset() }
  }
}

extension Runtime {
  fileprivate func connections(
    _ count: Int, to address: SocketAddress
  ) async throws -> [OpenConnection] {
    var all: [OpenConnection] = []
    let accepted = statistics.accepted
    for _ in 0..<count {
      let loop = nextEventLoop()
      let connection = try await connect(to: address, on: loop, handler: Silent())
      all.append(OpenConnection(connection: connection, loop: loop))
    }
    while statistics.accepted < accepted + UInt64(count) { await Task.yield() }
    return all
  }
}
