import ArgumentParser
import Foundation

/// The servers that take the same load: Aloft, and what it is held against.
enum ServerKind: String, CaseIterable, ExpressibleByArgument {
  case aloft
  case floorEpoll = "floor-epoll"
  case floorUV = "floor-uv"
  case swiftNIO = "swift-nio"

  /// Why it can't be started here, or nil.
  func missing(on machine: Machine) -> String? {
    switch self {
    case .aloft:
      nil
    case .floorEpoll, .floorUV:
      FileManager.default.isExecutableFile(atPath: machine.sibling(rawValue))
        ? nil : "skipped: build it with `swift build -c release`"
    case .swiftNIO:
      FileManager.default.isExecutableFile(atPath: Self.nioPath(on: machine))
        ? nil
        : "skipped: build it with `swift build -c release --package-path \(Self.nioPackage)`, "
          + "or name it in ALOFT_NIO_ECHO"
    }
  }

  func path(on machine: Machine) -> String {
    switch self {
    case .aloft: machine.executable
    case .floorEpoll, .floorUV: machine.sibling(rawValue)
    case .swiftNIO: Self.nioPath(on: machine)
    }
  }

  func arguments(_ options: ServerOptions) -> [String] {
    let listen = ["--listen", "127.0.0.1:0"]
    let busyPoll = options.busyPoll ? ["--busy-poll"] : []
    switch self {
    case .aloft:
      return ["role-serve"] + listen + busyPoll
        + ["--loops", String(options.loops)]
        + ["--max-connections", String(options.connectionsMax)]
        + (options.privateDescriptors ? ["--private-descriptors"] : [])
    case .floorEpoll, .floorUV:
      return listen + busyPoll
    case .swiftNIO:
      return listen
    }
  }

  /// Whether it can spin instead of sleeping: the others are left out where that is measured.
  var canBusyPoll: Bool { self != .swiftNIO }
  /// Whether it answers the line `stats`, which counting connections needs.
  var answersStats: Bool { self != .swiftNIO }
  /// Whether one process of it can hold more connections than the limit of descriptors.
  var hasPrivateDescriptors: Bool { self == .aloft }

  private static let nioPackage = "Benchmarks/peers/nio-echo"

  private static func nioPath(on machine: Machine) -> String {
    if let named = ProcessInfo.processInfo.environment["ALOFT_NIO_ECHO"] { return named }
    return "\(machine.checkout ?? ".")/\(nioPackage)/.build/release/nio-echo"
  }
}

struct ServerOptions {
  var loops = 1
  var privateDescriptors = false
  var busyPoll = false
  var connectionsMax = 1024
}

/// What a server answers to `stats`; it may say more.
struct ServerStats: Codable {
  var connections: Int
  var accepted: Int
  var closed: Int
}

/// A running server, up and listening.
final class Server {
  let kind: ServerKind
  let child: Child
  let port: UInt16

  init(_ kind: ServerKind, options: ServerOptions, machine: Machine) throws {
    self.kind = kind
    child = try Child(
      path: kind.path(on: machine), arguments: kind.arguments(options), cpu: machine.serverCore)
    let line = try child.readLine(within: .seconds(10))
    guard line.hasPrefix("ready "), let port = UInt16(line.dropFirst(6)) else {
      throw BenchError("\(child.name) said `\(line)` instead of `ready PORT`")
    }
    self.port = port
  }

  func stats() throws -> ServerStats {
    try child.writeLine("stats")
    let line = try child.readLine(within: .seconds(10))
    return try JSONDecoder().decode(ServerStats.self, from: Data(line.utf8))
  }

  func scheduling() throws -> ProcFS.Scheduling { try ProcFS.scheduling(of: child.pid) }
}
