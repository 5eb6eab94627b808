import Foundation

/// A `robust-helper` process, and what it says.
final class Helper {
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private var unread = Data()
  private(set) var port: UInt16 = 0

  struct Failure: Error, CustomStringConvertible { let description: String }

  init(_ arguments: String...) throws {
    signal(SIGPIPE, SIG_IGN)  // Foundation's pipes know no other way.
    process.executableURL = Self.directory.appendingPathComponent("robust-helper")
    process.arguments = arguments
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    let first = try readLine()
    guard first.hasPrefix("port "), let port = UInt16(first.dropFirst(5)) else {
      throw Failure(description: "robust-helper said: \(first)")
    }
    self.port = port
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  /// Where SwiftPM puts executables: beside the test bundle that this code is in.
  private static let directory: URL = {
    let maps = (try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8)) ?? ""
    guard let line = maps.split(separator: "\n").first(where: { $0.hasSuffix(".xctest") }),
      let path = line.firstIndex(of: "/")
    else { preconditionFailure("the test bundle is not among the mapped files") }
    return URL(fileURLWithPath: String(line[path...])).deletingLastPathComponent()
  }()

  var pid: Int32 { process.processIdentifier }
  var isRunning: Bool { process.isRunning }

  func ask(_ line: String) throws -> String {
    try input.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
    return try readLine()
  }

  func stats() throws -> [String: Int] { Self.words(try ask("stats")) }

  /// Has it shut down; answers its last words and how it exited.
  func end() throws -> (words: [String: Int], line: String, status: Int32) {
    try input.fileHandleForWriting.close()
    let line = try readLine()
    process.waitUntilExit()
    return (Self.words(line), line, process.terminationStatus)
  }

  private static func words(_ line: String) -> [String: Int] {
    var words: [String: Int] = [:]
    for word in line.split(separator: " ") {
      let parts = word.split(separator: "=")
      if parts.count == 2 { words[String(parts[0])] = Int(parts[1]) }
    }
    return words
  }

  private func readLine() throws -> String {
    let end = Date(timeIntervalSinceNow: 30)
    while true {
      if let at = unread.firstIndex(of: 10) {
        let line = String(decoding: unread[..<at], as: UTF8.self)
        unread = unread[(at + 1)...]
        return line
      }
      var ready = pollfd(
        fd: output.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
      guard end.timeIntervalSinceNow > 0, poll(&ready, 1, 30_000) > 0 else {
        throw Failure(description: "robust-helper says nothing for 30 s")
      }
      let more = output.fileHandleForReading.availableData
      guard !more.isEmpty else { throw Failure(description: "robust-helper has ended") }
      unread += more
    }
  }
}
