import Aloft
import ArgumentParser
import Foundation

/// An Aloft echo server: prints `ready PORT`, answers the line `stats` with one line of JSON, and
/// leaves when standard input closes.
struct RoleServe: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "role-serve", abstract: "An echo server under test.", shouldDisplay: false)

  @Option(help: "IP:PORT; port 0 lets the kernel choose.")
  var listen = "127.0.0.1:0"
  @Option(help: "Event loops, each a thread.")
  var loops = 1
  @Flag(help: "Each loop has a descriptor table of its own.")
  var privateDescriptors = false
  @Flag(help: "Loops poll for a while before they sleep.")
  var busyPoll = false
  @Option(help: "Connections to make room for.")
  var maxConnections = 1024

  func run() throws {
    let parts = listen.split(separator: ":")
    guard parts.count == 2, let port = UInt16(parts[1]) else {
      throw BenchError("--listen wants IP:PORT, not `\(listen)`")
    }
    var options = Runtime.Options(eventLoops: loops, connectionsMax: maxConnections)
    options.privateDescriptors = privateDescriptors
    options.busyPoll = busyPoll ? .milliseconds(1) : nil
    let runtime = try Runtime(options)
    let address = SocketAddress(String(parts[0]), port)
    // The bench reads its orders on the main thread, which no loop needs.
    let listener = try waitFor {
      try await runtime.listen(on: address, handler: EchoHandler())
    }
    try FileHandle.standardOutput.write(
      contentsOf: Data("ready \(listener.address.port ?? 0)\n".utf8))
    while let line = readLine() {
      guard line == "stats" else { continue }
      let s = runtime.statistics
      let stats = ServerStats(
        connections: s.open, accepted: Int(s.accepted), closed: Int(s.closed))
      try FileHandle.standardOutput.write(
        contentsOf: try JSONEncoder().encode(stats) + Data("\n".utf8))
    }
    try waitFor { await runtime.shutdown(within: .milliseconds(100)) }
  }
}

private final class EchoHandler: ConnectionHandler {
  func received(_ connection: Connection, _ bytes: RawSpan) {
    connection.write(bytes)
  }
}
