import Foundation
import Testing

/// The example of a pool runs against a real redis server: a process of its own on a free port of
/// the loopback address, started and ended here.
struct PoolExampleTests {
  @Test("A hundred tasks share a pool of redis connections and lose nothing")
  func redis() throws {
    let server = try RedisServer()
    defer { server.stop() }
    let example = LinkageTests.products.appendingPathComponent("example-pool").path
    let text = try Tool.output(example, ["\(server.port)"])
    let words = text.split(whereSeparator: { $0 == " " || $0 == "\n" })
    #expect(words.count == 6 && words[0] == "count" && words[1] == "1000", "\(text)")
    // Never more than the pool's size and overflow.
    #expect(words.count == 6 && (1...10).contains(Int(words[3]) ?? 0), "\(text)")
  }
}

/// A redis server that writes nothing to disk and ends with the test.
private final class RedisServer {
  let port: UInt16
  private let process: Process

  init() throws {
    // A port that was free a moment ago; whoever takes it meanwhile costs one more attempt.
    for _ in 0..<10 {
      let port = UInt16.random(in: 20_000..<32_000)
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = [
        "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "",
        "--appendonly", "no", "--daemonize", "no",
      ]
      let output = Pipe()
      process.standardOutput = output
      process.standardError = FileHandle.nullDevice
      try process.run()
      var text = ""
      while process.isRunning, !text.contains("Ready to accept") {
        text += String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
      }
      if text.contains("Ready to accept") {
        self.port = port
        self.process = process
        return
      }
    }
    throw CocoaError(.executableNotLoadable)
  }

  deinit { stop() }

  func stop() {
    guard process.isRunning else { return }
    process.terminate()
    process.waitUntilExit()
  }
}
