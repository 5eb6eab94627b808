import Aloft
import Synchronization

/// A connection to a redis server that asks one thing at a time, as a pool's borrower does. All of
/// its state belongs to the connection's event loop.
final class Redis: ConnectionHandler, @unchecked Sendable {
  // @unchecked: `waiting`, `received` and `isOpen` are touched on the connection's loop alone.
  private let loop: EventLoop
  private var connection: Connection?
  private var isOpen = true
  private var waiting: CheckedContinuation<String, any Error>?
  private var answer: [UInt8] = []

  struct Lost: Error {}

  private init(_ loop: EventLoop) { self.loop = loop }

  static func open(_ runtime: Runtime, _ address: SocketAddress) async throws -> Redis {
    let loop = EventLoop.current ?? runtime.nextEventLoop()
    let redis = Redis(loop)
    _ = try await runtime.connect(to: address, on: loop, handler: redis)
    return redis
  }

  /// A command and its words; the answer without its mark and its length: one line of text.
  func ask(_ words: String...) async throws -> String {
    var command = "*\(words.count)\r\n"
    for word in words { command += "$\(word.utf8.count)\r\n\(word)\r\n" }
    let text = command
    return try await withCheckedThrowingContinuation { continuation in
      let loop = loop
      let begin = {
        guard self.isOpen, self.connection?.write(text) == .accepted else {
          return continuation.resume(throwing: Lost())
        }
        self.waiting = continuation
      }
      if loop.isCurrent { return begin() }
      do {
        try loop.execute(begin)
      } catch {
        continuation.resume(throwing: error)
      }
    }
  }

  func close() async { try? await loop.run { self.connection?.close() } }

  // MARK: ConnectionHandler

  func opened(_ connection: Connection) { self.connection = connection }

  func received(_ connection: Connection, _ bytes: RawSpan) {
    unsafe bytes.withUnsafeBytes { unsafe answer.append(contentsOf: $0) }
    let lines = String(decoding: answer, as: UTF8.self).split(separator: "\r\n")
    // A string comes with its length on a line before it.
    guard answer.last == 10, let first = lines.first, lines.count == (first.first == "$" ? 2 : 1)
    else { return }
    answer.removeAll(keepingCapacity: true)
    waiting?.resume(returning: String(first.first == "$" ? lines[1] : first.dropFirst()))
    waiting = nil
  }

  func closed(_ connection: Connection, reason: CloseReason) {
    isOpen = false
    waiting?.resume(throwing: Lost())
    waiting = nil
  }
}

@main
struct PoolExample {
  static func main() async throws {
    let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 6379
    let runtime = try Runtime(.init(eventLoops: 2))
    var options = PoolOptions(size: 8, overflow: 2)
    options.checkEvery = .seconds(10)
    options.lifetimeMax = .seconds(600)
    let pool = try Pool(runtime, options) {
      try await Redis.open(runtime, .init("127.0.0.1", port))
    } close: { redis in
      await redis.close()
    } check: { redis in
      (try? await redis.ask("PING")) == "PONG"
    }
    // A hundred tasks share ten connections: each increment is a lease.
    _ = try await pool.withLease { try await $0.ask("SET", "aloft:count", "0") }
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      for _ in 0..<100 {
        tasks.addTask {
          for _ in 0..<10 {
            _ = try await pool.withLease { try await $0.ask("INCR", "aloft:count") }
          }
        }
      }
      try await tasks.waitForAll()
    }
    let count = try await pool.withLease { try await $0.ask("GET", "aloft:count") }
    let statistics = try await pool.statistics
    print("count \(count) connections \(statistics.opened) waited \(statistics.waited)")
    await pool.drain(within: .seconds(5))
    await runtime.shutdown(within: .seconds(5))
  }
}
