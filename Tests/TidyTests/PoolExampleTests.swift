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

extension PoolExampleTests {
  @Test("The C example asks redis a thousand commands over four connections, each once")
  func c() throws {
    let server = try RedisServer()
    defer { server.stop() }
    try ExampleTests.withProgram("Benchmarks/example-redis-c/redis_pool.c") { program in
      let commands = String(repeating: "INCR n\n", count: 1_000) + "SET a b\nNONSENSE\n"
      let process = Process()
      let (to, from) = (Pipe(), Pipe())
      process.executableURL = program
      process.arguments = ["127.0.0.1:\(server.port)"]
      process.standardInput = to
      process.standardOutput = from
      try process.run()
      try to.fileHandleForWriting.write(contentsOf: Data(commands.utf8))
      try to.fileHandleForWriting.close()
      let text = String(
        decoding: from.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      #expect(process.terminationStatus == 0)
      let answers = text.split(whereSeparator: \.isNewline)
      #expect(answers.count == 1_002)
      let counts = Set(answers.compactMap { $0.first == ":" ? Int($0.dropFirst()) : nil })
      #expect(counts == Set(1...1_000))
      #expect(answers.contains("+OK") && answers.contains { $0.hasPrefix("-ERR unknown") })
    }
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
