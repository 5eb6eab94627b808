import Aloft

/// A server of lines: it numbers and returns each that it is sent, and ends a connection at `quit`,
/// after a minute without a word, and when a line has no end. Try it with `nc 127.0.0.1 7777`.
@main
struct Lines {
  static let lineMax = 1_024

  static func main() async throws {
    let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 7_777
    var options = ConnectionOptions()
    options.idleTimeout = .seconds(60)
    let runtime = try Runtime(.init(eventLoops: 2))
    // A task for each connection, on the connection's own loop.
    let listener = try await runtime.listen(on: .init("127.0.0.1", port), options: options) {
      try await serve($0)
    }
    print("lines on \(listener.address), until standard input ends")
    while readLine() != nil {}
    await runtime.shutdown(within: .seconds(5))
  }

  static func serve(_ connection: AsyncConnection) async throws {
    try await connection.write("hello\n")
    var number = 0
    for try await line in LineSequence(connection.messages) {
      if line == "quit" { break }
      number += 1
      // Suspends while the other side is slow to read; meanwhile nothing more is read from it.
      try await connection.write("\(number) \(line)\n")
    }
    try await connection.write("bye\n")
  }
}

/// Lines of what arrives in pieces, without their ends.
struct LineSequence: AsyncSequence, AsyncIteratorProtocol {
  struct TooLong: Error {}

  private var pieces: AsyncConnection.Messages.AsyncIterator
  private var buffer: [UInt8] = []

  init(_ messages: AsyncConnection.Messages) { pieces = messages.makeAsyncIterator() }

  func makeAsyncIterator() -> LineSequence { self }

  mutating func next() async throws -> String? {
    while true {
      if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        var line = buffer[..<end]
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        defer { buffer.removeSubrange(...end) }
        return String(decoding: line, as: UTF8.self)
      }
      guard buffer.count <= Lines.lineMax else { throw TooLong() }
      guard let more = try await pieces.next() else { return nil }
      buffer += more
    }
  }
}
