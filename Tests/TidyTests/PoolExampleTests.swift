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
    // A port that nobody has, most likely; whoever has it costs one more attempt.
    for _ in 0..<10 {
      let port = UInt16.random(in: 20_000..<32_000)
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = [
        "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "",
        "--appendonly", "no", "--daemonize", "no",
      ]
      process.standardInput = FileHandle.nullDevice
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
      // It ends by itself when the port is taken; else it answers as soon as it listens.
      while process.isRunning {
        if Self.answers(port) {
          self.port = port
          self.process = process
          return
        }
        usleep(5_000)
      }
    }
    throw CocoaError(.executableNotLoadable)
  }

  private static func answers(_ port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { _ = close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    return status == 0
  }

  deinit { stop() }

  func stop() {
    guard process.isRunning else { return }
    // A test's threads have their signals blocked, which a child inherits; this one can't be.
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }
}
