import Aloft
import AloftNode
import AloftSessionClient

/// Keeps notes in a session, which outlives the process:
///
/// ```
/// example-session /tmp/notes                     # prints the session's number
/// example-session /tmp/notes THAT-NUMBER         # goes on with it
/// ```
/// Each line of standard input is a note. Node and client are one process here; in earnest a client
/// is given the addresses of several nodes, and goes on at another one when its own dies.
@main
struct Notes {
  static func main() async throws {
    let words = Array(CommandLine.arguments.dropFirst())
    guard let data = words.first else {
      return print("usage: example-session DATA-DIRECTORY [NUMBER]")
    }
    let key = Array("a key that all nodes have".utf8)
    var options = NodeOptions(name: "a", keys: [key], data: data)
    options.sessionListen = SocketAddress("127.0.0.1", 0)

    let runtime = try Runtime(.init(eventLoops: 1))
    let node = try await runtime.join(options)
    let token = try await node.clientToken(for: "alice")
    let client = try await SessionClient.connect(
      runtime, .init(addresses: [await node.sessionAddress!], token: token))

    // One node alone can't replicate: on its disk is what there is to be had.
    let session =
      words.count > 1
      ? try await client.resume(words[1])
      : try await client.create(options: SessionOptions(durability: .durable))
    print(session.id)
    while let line = readLine() {
      try await session.append(Array((line + "\n").utf8))
      let lines = try await session.read().state.split(separator: UInt8(ascii: "\n"))
      print("\(lines.count) notes, the first is \(String(decoding: lines[0], as: UTF8.self))")
    }
    await client.close()
    await node.shutdown()
    await runtime.shutdown(within: .seconds(5))
  }
}
