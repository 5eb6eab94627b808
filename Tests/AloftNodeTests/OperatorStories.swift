import Foundation
import Testing

/// What an operator sees of an `aloft-node`: its picture on a terminal, its figures, its log.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct OperatorStories {
  @Test("A node is looked at by top, by its metrics over HTTP, and by a log that machines read")
  func looks() async throws {
    let files = try NodeFiles()
    let (output, errors) = (Pipe(), Pipe())
    let process = Process()
    process.executableURL = NodeProgram.program
    process.arguments = [
      "run", "--name", "a\"b", "--data", files.data("a"), "--key-file", files.keyPath,
      "--listen", "127.0.0.1:0", "--control", files.control("a"), "--timing", "fast",
      "--metrics-listen", "unix:" + files.control("http"), "--log", "json",
    ]
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    defer { process.waitUntilExit() }
    defer { kill(process.processIdentifier, SIGKILL) }
    var said = ""
    while !said.contains("\nmember ") {
      let more = output.fileHandleForReading.availableData
      try #require(!more.isEmpty, "it ended: \(said)")
      said += String(decoding: more, as: UTF8.self)
    }
    #expect(said.hasPrefix("metrics at unix:"))

    let picture = try Self.run([
      "top", "--count", "2", "--every", "0.1", "--control", files.control("a"),
    ])
    #expect(picture.contains("accepting yes") && picture.contains("16384"))
    #expect(!picture.contains("\u{1B}"), "no terminal, no escapes")
    #expect(picture.split(separator: "\n").allSatisfy { $0.count <= 80 })
    let figures = try Self.run(["metrics", "--control", files.control("a")])
    #expect(figures.contains("\naloft_cluster_members{state=\"up\"} 1"))

    kill(process.processIdentifier, SIGTERM)
    let lines = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      .split(separator: "\n")
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    #expect(!lines.isEmpty)
    let messages = try lines.map { line in
      let entry = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String]
      #expect(entry?["node"] == "a\"b" && entry?["level"] != nil)
      #expect(try entry?["time"].map { try Date($0, strategy: Self.stamp) } != nil)
      return entry?["message"]
    }
    #expect(messages.contains("accepting: a majority is in reach"))
  }

  private static let stamp = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

  private static func run(_ words: [String]) throws -> String {
    let process = Process()
    let output = Pipe()
    process.executableURL = NodeProgram.program
    process.arguments = words
    process.standardOutput = output
    try process.run()
    let text = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    return String(decoding: text, as: UTF8.self)
  }

  @Test(
    "What can't be is said at the start",
    arguments: [
      (["--metrics-listen", "nowhere"], "IP:PORT or unix:PATH"),
      (["--log", "xml"], "text or json"),
    ])
  func complaints(words: [String], complaint: String) throws {
    let files = try NodeFiles()
    let (status, text) = try NodeProgram.failing("a", files, seeds: [], words)
    #expect(status != 0 && text.contains(complaint), "\(text)")
  }
}
