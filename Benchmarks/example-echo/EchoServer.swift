import Aloft

/// Answers whatever arrives with itself.
final class Echo: ConnectionHandler {
  func received(_ connection: Connection, _ bytes: RawSpan) {
    connection.write(bytes)
  }
}

@main
struct EchoServer {
  static func main() async throws {
    let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 7777
    let runtime = try Runtime(.init(eventLoops: 2))
    let listener = try await runtime.listen(on: .init("127.0.0.1", port), handler: Echo())
    print("echo on \(listener.address), until standard input ends")
    while readLine() != nil {}
    await runtime.shutdown(within: .seconds(5))
  }
}
