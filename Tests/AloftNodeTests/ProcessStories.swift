import Foundation
import Testing

/// `aloft-node` as an operator uses it: processes that are asked at their control sockets, and
/// killed for real.
@Suite(.serialized)
struct ProcessStories {
  @Test("Three processes are a cluster; one is killed, found out, and comes back; one leaves")
  func lives() async throws {
    let files = try NodeFiles()
    let a = try NodeProgram("a", files, seeds: [])
    let b = try NodeProgram("b", files, seeds: [a.address])
    var c = try NodeProgram("c", files, seeds: [a.address])
    try await eventually("three are up") { a.up == ["a", "b", "c"] }
    #expect(try a.ask("status").contains("accepting yes"))

    c.kill(SIGKILL)
    try await eventually("the others know") { a.up == ["a", "b"] && b.up == ["a", "b"] }
    c = try NodeProgram("c", files, seeds: [b.address])
    try await eventually("it is back") { b.up == ["a", "b", "c"] }

    #expect(try a.ask("drain", "b") == "done")
    try await eventually("b owns nothing") { (try? a.ask("slots").contains("b 0")) == true }
    #expect(throws: NodeTestError.self) { try a.ask("drain", "nobody") }

    #expect(try c.ask("leave") == "done")
    try await eventually("c is gone") { a.up == ["a", "b"] && !c.isRunning }
  }

  @Test(
    "The cluster's key is changed at running nodes, round by round, and the old one is a stranger's"
  )
  func keys() async throws {
    let files = try NodeFiles()
    let a = try NodeProgram("a", files, seeds: [])
    let b = try NodeProgram("b", files, seeds: [a.address])
    try await eventually("two are up") { a.up == ["a", "b"] }
    let (old, new) = ("a key of enough bytes", "another key of enough bytes")
    for keys in [[old, new], [new, old], [new]] {
      try files.writeKeys(keys)
      for node in [a, b] { #expect(try node.ask("reload") == "done") }
    }
    let c = try NodeProgram("c", files, seeds: [b.address])
    try await eventually("one with the new key is let in") { a.up == ["a", "b", "c"] }
    #expect(c.up == ["a", "b", "c"])
    try files.writeKeys(["short"])
    #expect(throws: NodeTestError.self) { try a.ask("reload") }
    #expect(a.up == ["a", "b", "c"])
  }

  @Test(
    "One whose directory another has, whose key is short, or that names nobody, says what to do")
  func complaints() throws {
    let files = try NodeFiles()
    let a = try NodeProgram("a", files, seeds: [])
    let (status, text) = try NodeProgram.failing("a", files, seeds: [])
    #expect(status != 0 && text.contains(files.data("a")), "\(text)")
    _ = try a.ask("status")

    let (other, complaint) = try NodeProgram.failing("z", try NodeFiles(key: "short"), seeds: [])
    #expect(other != 0 && complaint.contains("16"), "\(complaint)")
  }
}

/// A directory with a key file, for some nodes.
final class NodeFiles: Sendable {
  private let root: DataDirectories
  let keyPath: String

  init(key: String = "a key of enough bytes") throws {
    root = try DataDirectories()
    keyPath = root["key"]
    try writeKeys([key])
  }

  func writeKeys(_ keys: [String]) throws {
    try Data((keys.joined(separator: "\n") + "\n").utf8)
      .write(to: URL(fileURLWithPath: keyPath))
  }

  func data(_ name: String) -> String { root[name] }
  func control(_ name: String) -> String { root["\(name).sock"] }
}

/// A running `aloft-node`; killed when it is released.
final class NodeProgram: @unchecked Sendable {
  // @unchecked: set up before it is used, then only read.
  private let process: Process
  private let files: NodeFiles
  private let name: String
  let address: String

  static var program: URL {
    Bundle.main.executableURL!.deletingLastPathComponent().appendingPathComponent("aloft-node")
  }

  private static func make(_ name: String, _ files: NodeFiles, seeds: [String]) -> (Process, Pipe) {
    let process = Process()
    process.executableURL = program
    process.arguments =
      [
        "run", "--name", name, "--data", files.data(name), "--key-file", files.keyPath, "--listen",
        "127.0.0.1:0", "--control", files.control(name), "--timing", "fast",
      ] + (seeds.isEmpty ? [] : ["--seeds", seeds.joined(separator: ",")])
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    return (process, output)
  }

  init(_ name: String, _ files: NodeFiles, seeds: [String]) throws {
    let (process, output) = Self.make(name, files, seeds: seeds)
    self.process = process
    self.files = files
    self.name = name
    try process.run()
    var text = ""
    var found: String?
    while found == nil {
      let chunk = output.fileHandleForReading.availableData
      if chunk.isEmpty { break }
      text += String(decoding: chunk, as: UTF8.self)
      found = text.split(separator: "\n").first { $0.hasPrefix("member ") }?
        .split(separator: " ").last.map(String.init)
    }
    // What it says later is read and thrown away, so that it never waits for us.
    output.fileHandleForReading.readabilityHandler = { _ = $0.availableData }
    guard let found else {
      process.terminate()
      throw NodeTestError("\(name) said: \(text)")
    }
    address = found
  }

  /// One that should not start: its status, and what it said.
  static func failing(
    _ name: String, _ files: NodeFiles, seeds: [String], _ more: [String] = []
  ) throws -> (Int32, String) {
    let (process, output) = make(name, files, seeds: seeds)
    process.arguments? += more
    try process.run()
    let text = String(
      decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, text)
  }

  deinit {
    if process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }

  var isRunning: Bool { process.isRunning }

  func kill(_ signal: Int32) {
    Foundation.kill(process.processIdentifier, signal)
    process.waitUntilExit()
  }

  /// Asks as an operator does, by the program's own command.
  @discardableResult
  func ask(_ words: String...) throws -> String {
    let process = Process()
    process.executableURL = Self.program
    process.arguments = words + ["--control", files.control(name)]
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text = String(
      decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw NodeTestError(text) }
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Names of the members that are up, as this node knows them.
  var up: Set<String> {
    guard let text = try? ask("members") else { return [] }
    let rows = text.split(separator: "\n").dropFirst().map { $0.split(separator: " ") }
    return Set(rows.filter { $0.count > 2 && $0[2] == "up" }.map { String($0[0]) })
  }
}
