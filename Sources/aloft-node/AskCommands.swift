import ArgumentParser
import Glibc

/// What the questions have in common: the control socket of a node that runs.
struct ControlOption: ParsableArguments {
  @Option(help: "The node's control socket, as given to `run`.") var control: String

  /// Asks, and prints the answer. An error's text becomes this command's.
  func ask(_ line: String) throws { print(try exchange(line)) }

  func exchange(_ line: String) throws -> String {
    let answer = try Self.exchange(control, line + "\n")
    if answer.hasPrefix("error: ") { throw ValidationError(String(answer.dropFirst(7))) }
    return answer
  }

  private static func exchange(_ path: String, _ line: String) throws -> String {
    let file = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    guard file >= 0 else { throw ValidationError("no socket is left") }
    defer { close(file) }
    var limit = timeval(tv_sec: 60, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    unsafe setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let room = MemoryLayout.size(ofValue: address.sun_path)
    guard path.utf8.count < room else { throw ValidationError("\(path) is too long for a socket") }
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
    let length = socklen_t(MemoryLayout<sockaddr_un>.size)
    let status = unsafe withUnsafePointer(to: &address) {
      unsafe connect(file, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self), length)
    }
    guard status == 0 else {
      throw ValidationError(
        "no node listens at \(path): \(unsafe String(cString: strerror(errno)))")
    }
    let bytes = Array(line.utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
    var answer: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4_096)
    while true {
      let count = unsafe chunk.withUnsafeMutableBytes {
        unsafe read(file, $0.baseAddress, $0.count)
      }
      if count <= 0 { break }
      answer += chunk[..<count]
    }
    while answer.last == UInt8(ascii: "\n") { answer.removeLast() }
    guard !answer.isEmpty else { throw ValidationError("the node at \(path) gave no answer") }
    return String(decoding: answer, as: UTF8.self)
  }
}

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "A node's own state, and who leads.")
  @OptionGroup var node: ControlOption
  func run() throws { try node.ask("status") }
}

struct MembersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "members", abstract: "The cluster's members, as the node knows them.")
  @OptionGroup var node: ControlOption
  func run() throws { try node.ask("members") }
}

struct SlotsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "slots", abstract: "How many of the 16,384 slots each member owns.")
  @OptionGroup var node: ControlOption
  func run() throws { try node.ask("slots") }
}

struct MetricsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "metrics", abstract: "The node's figures, in Prometheus' text format.")
  @OptionGroup var node: ControlOption
  func run() throws { try node.ask("metrics") }
}

struct DrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Moves a member's part of the work to the others.")
  @OptionGroup var node: ControlOption
  @Argument(help: "The member's name.") var name: String
  func run() throws { try node.ask("drain \(name)") }
}

struct UndrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "undrain", abstract: "Gives a drained member its part again.")
  @OptionGroup var node: ControlOption
  @Argument(help: "The member's name.") var name: String
  func run() throws { try node.ask("undrain \(name)") }
}

struct ReloadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reload",
    abstract: "Reads the key file and the certificates anew; links that are up stay up.")
  @OptionGroup var node: ControlOption
  func run() throws { try node.ask("reload") }
}

struct LeaveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "leave", abstract: "The node gives its part away, leaves for good, and ends.")
  @OptionGroup var node: ControlOption
  func run() throws { try node.ask("leave") }
}
