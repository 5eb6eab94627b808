import Aloft
import AloftSessionClient
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

  @Test("A client with a token of the command goes on when the process that it is at is killed")
  func clients() async throws {
    let files = try NodeFiles()
    let listen = ["--session-listen", "127.0.0.1:0"]
    let a = try NodeProgram("a", files, seeds: [], listen)
    let b = try NodeProgram("b", files, seeds: [a.address], listen)
    let c = try NodeProgram("c", files, seeds: [a.address], listen)
    try await eventually("three vote") { a.voters == ["a", "b", "c"] }
    let token = try NodeProgram.token(for: "alice", files)
    let runtime = try Runtime(.init(eventLoops: 1))
    let addresses = try [c, a, b].map { try #require($0.door.flatMap { SocketAddress(text: $0) }) }
    var options = SessionClientOptions(addresses: [addresses[0]], token: token)
    options.patience = .seconds(60)
    let client = try await SessionClient.connect(runtime, options, within: .seconds(30))
    let session = try await client.create(state: [1])
    options.addresses = addresses
    let other = try await SessionClient.connect(runtime, options, within: .seconds(30))
    let same = other.session(session.id)
    async let written: Void = {
      for number in 2..<60 { try await same.append([UInt8(number)]) }
    }()
    try await eventually("writes are under way") {
      (try? await session.read().state.count > 3) == true
    }
    c.kill(SIGKILL)
    try await written
    #expect(try await same.read().state == Array(1..<60))
    await client.close()
    await other.close()
    await runtime.shutdown(within: .seconds(1))
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
  /// Where it listens for clients of sessions, if it was told to.
  let door: String?

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

  init(_ name: String, _ files: NodeFiles, seeds: [String], _ more: [String] = []) throws {
    let (process, output) = Self.make(name, files, seeds: seeds)
    process.arguments? += more
    self.process = process
    self.files = files
    self.name = name
    try process.run()
    var text = ""
    func line(_ head: String) -> String? {
      // Whole lines alone.
      text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        .first { $0.hasPrefix(head) }?.split(separator: " ").last.map(String.init)
    }
    var (found, door): (String?, String?)
    while found == nil || door == nil && more.contains("--session-listen") {
      let chunk = output.fileHandleForReading.availableData
      if chunk.isEmpty { break }
      text += String(decoding: chunk, as: UTF8.self)
      (found, door) = (line("member "), line("sessions at "))
    }
    // What it says later is read and thrown away, so that it never waits for us.
    output.fileHandleForReading.readabilityHandler = { _ = $0.availableData }
    guard let found else {
      process.terminate()
      throw NodeTestError("\(name) said: \(text)")
    }
    address = found
    self.door = door
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

  /// A client's token, by the program's own command.
  static func token(for principal: String, _ files: NodeFiles) throws -> String {
    let (process, output) = (Process(), Pipe())
    process.executableURL = program
    process.arguments = ["token", "--principal", principal, "--key-file", files.keyPath]
    process.standardOutput = output
    try process.run()
    let text = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: text, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
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
  var up: Set<String> { names(2, "up") }

  /// Names of those that vote.
  var voters: Set<String> { names(3, "yes") }

  /// Names of members in whose row that column has that word.
  private func names(_ column: Int, _ word: String) -> Set<String> {
    guard let text = try? ask("members") else { return [] }
    let rows = text.split(separator: "\n").dropFirst().map { $0.split(separator: " ") }
    return Set(rows.filter { $0.count > column && $0[column] == word }.map { String($0[0]) })
  }
}
