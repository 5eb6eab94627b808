import Aloft

/// Answers whatever arrives with itself. Called on the connection's own event loop.
final class Echo: ConnectionHandler {
  func received(_ connection: Connection, _ bytes: RawSpan) {
    connection.write(bytes)
  }
}

@main
struct EchoServer {
  static func main() async throws {
    let given = CommandLine.arguments.dropFirst().compactMap { UInt16($0) }
    let ports = given.count == 2 ? given : [7777, 7778]
    let runtime = try Runtime(.init(eventLoops: 2))
    // Callbacks, for the hot path ...
    let fast = try await runtime.listen(on: .init("127.0.0.1", ports[0]), handler: Echo())
    // ... or a task for each connection, which waits when the peer is slow.
    let easy = try await runtime.listen(on: .init("127.0.0.1", ports[1])) { connection in
      for try await message in connection.messages { try await connection.write(message) }
    }
    print("echo on \(fast.address) and \(easy.address), until standard input ends")
    while readLine() != nil {}
    await runtime.shutdown(within: .seconds(5))
  }
}
