import ArgumentParser

/// An Aloft echo server: prints `ready PORT`, answers the line `stats` with one line of JSON, and
/// leaves when standard input closes.
struct RoleServe: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "role-serve", abstract: "An echo server under test.", shouldDisplay: false)

  /// False until Aloft can serve: the scenarios then say so and leave it out.
  static let isBuilt = false

  @Option(help: "IP:PORT; port 0 lets the kernel choose.")
  var listen = "127.0.0.1:0"
  @Option(help: "Event loops, each a thread.")
  var loops = 1
  @Flag(help: "Each loop has a descriptor table of its own.")
  var privateDescriptors = false
  @Flag(help: "Loops spin instead of sleeping.")
  var busyPoll = false
  @Option(help: "Connections to make room for.")
  var maxConnections = 1024

  func run() throws {
    throw BenchError("role-serve is not built")
  }
}
