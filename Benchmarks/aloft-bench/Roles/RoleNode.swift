import Aloft
import AloftNode
import ArgumentParser
import CBenchLoad
import Foundation
import Synchronization

/// A node of a cluster: says `booted NS`, then `ready ADDRESS` when it is a member, then a line for
/// each change of its cluster (`up COUNT NS`, `dead NODE NS`) and an answer to each order. Orders
/// are those of the peers' nodes (`Benchmarks/peers/zmq_node.c`), and `pairs`.
struct RoleNode: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "role-node", abstract: "A node under test.", shouldDisplay: false)

  @Argument var name: String
  @Option(help: "The data directory.")
  var data: String
  @Option(help: "IP:PORT of a node to ask.")
  var seed: String?
  @Option(help: "IP:PORT to listen on.")
  var listen = "127.0.0.1:0"
  @Flag(help: "Plain text to other machines is allowed.")
  var plaintext = false
  @Option(help: "fast, standard or relaxed.")
  var timing = "standard"
  @Option(help: "Its share of the slots.")
  var weight: UInt16 = 100
  @Flag(help: "It never votes.")
  var standby = false
  @Option(help: "Event loops.")
  var loops = 1
  @Option(help: "Connections to make room for.")
  var connections = 1024

  static let key = Array("the bench's own cluster key".utf8)

  func run() throws {
    let runtime = try Runtime(.init(eventLoops: loops, connectionsMax: connections))
    RoleOutput.say("booted \(monotonicNow())")
    let work = try NodeWork(runtime, name)
    var options = NodeOptions(name: name, keys: [Self.key], data: data)
    if let seed {
      options.seeds = try seed.split(separator: ",").map { try Self.address(String($0)) }
    }
    options.listen = try Self.address(listen)
    options.plaintextOffLoopback = plaintext
    guard let timing = NodeOptions.Timing(rawValue: timing) else {
      throw BenchError("--timing wants fast, standard or relaxed")
    }
    options.timing = timing
    options.weight = weight
    if standby { options.role = .standby }
    let all = options
    let node = try waitFor { try await runtime.join(all) { work.happened($0) } }
    work.node.withLock { $0 = node }
    work.sessions.withLock { $0 = SessionWork(node) }
    work.history.withLock { $0 = SessionHistory(node, seed: UInt64.random(in: 1 ... .max)) }
    work.churn.withLock { $0 = SessionChurn(node) }
    let service = EndToEndService(node, runtime)
    work.service.withLock { $0 = service }
    let chaos = try work.chaos(node)
    node.onCall { call, bytes in
      if !chaos.answer(call, bytes) { call.reply(bytes) }
    }
    let address = try waitFor { await node.address }
    RoleOutput.say("ready \(address)")
    while let line = readLine() {
      let words = line.split(separator: " ").map(String.init)
      RoleOutput.say(try waitFor { try await work.order(words) })
    }
    try waitFor {
      await node.shutdown()
      await runtime.shutdown(within: .milliseconds(100))
    }
  }

  private static func address(_ text: String) throws -> SocketAddress {
    guard let address = SocketAddress(text: text) else {
      throw BenchError("an address is IP:PORT, not `\(text)`")
    }
    return address
  }
}

/// Lines from several threads, each whole.
enum RoleOutput {
  private static let lock = NSLock()

  static func say(_ line: String) {
    lock.withLock {
      // Who reads may be gone; then standard input ends, too.
      try? FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8))
    }
  }
}

func monotonicNow() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
