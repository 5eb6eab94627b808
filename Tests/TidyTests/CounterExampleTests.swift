import Foundation
import Testing

/// The example of a distributed actor, as two processes: one has the counter, and is killed.
struct CounterExampleTests {
  @Test("A distributed actor counts for two processes; when its own is killed the other is told")
  func counter() throws {
    let data = FileManager.default.temporaryDirectory
      .appendingPathComponent("aloft-counter-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: data, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: data) }
    let host = try Talker("a", data)
    let address = try #require(host.line().split(separator: " ").last.map(String.init))
    let guest = try Talker("b", data, address)
    #expect(guest.line().hasPrefix("b listens at 127.0.0.1:"))
    #expect(guest.ask("40") == "40")
    #expect(host.ask("1") == "41")
    #expect(guest.ask("1") == "42")
    host.kill()
    let told = guest.ask("1")
    #expect(told.hasPrefix("not counted: ") || told == "nobody counts", "\(told)")
    guest.kill()
  }
}

/// A process that is told a line, and answers a line.
private final class Talker {
  private let process = Process()
  private let (to, from) = (Pipe(), Pipe())
  private var buffer = Data()

  init(_ name: String, _ data: URL, _ words: String...) throws {
    // Lines come out one by one.
    process.executableURL = URL(fileURLWithPath: "/usr/bin/stdbuf")
    process.arguments =
      ["-oL", LinkageTests.products.appendingPathComponent("example-counter").path, name]
      + [data.appendingPathComponent(name).path] + words
    process.standardInput = to
    process.standardOutput = from
    try process.run()
  }

  deinit { kill() }

  func kill() {
    guard process.isRunning else { return }
    Foundation.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// Empty at the end.
  func line() -> String {
    while true {
      if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        defer { buffer = Data(buffer[(end + 1)...]) }
        return String(decoding: buffer[..<end], as: UTF8.self)
      }
      let more = from.fileHandleForReading.availableData
      if more.isEmpty { return "" }
      buffer += more
    }
  }

  func ask(_ line: String) -> String {
    try? to.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
    return self.line()
  }
}
