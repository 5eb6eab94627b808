import Aloft
import Glibc

/// What an empty mailbox costs, and how fast mailboxes are opened, on two loops at a time.
struct MailboxMemory {
  static let loops = 2

  static func config(_ mailboxes: Int) -> String { "mailboxes=\(mailboxes) loops=\(loops)" }

  /// Everything included: resident memory beside what the process had before.
  static func measure(_ mailboxes: Int) async throws -> [(String, Double, String)] {
    let runtime = try Runtime(.init(eventLoops: loops))
    let each = mailboxes / loops
    // What starts once is not a mailbox's: the loops have run, and each has had one mailbox.
    for loop in runtime.eventLoops {
      try await loop.run { _ = try loop.openMailbox(handler: Ignoring()) }
    }
    let before = try ProcFS.memory(of: getpid()).resident
    let start = queueClock()
    // Both at a time, each on its own loop.
    let nanoseconds = try await withThrowingTaskGroup(of: UInt64.self) { tasks in
      for loop in runtime.eventLoops {
        tasks.addTask {
          try await loop.run {
            let handler = Ignoring()
            for context in 0..<UInt64(each) {
              _ = try loop.openMailbox(context: context, handler: handler)
            }
            return queueClock()
          }
        }
      }
      var last: UInt64 = 0
      for try await end in tasks { last = max(last, end) }
      return last - start
    }
    let after = try ProcFS.memory(of: getpid()).resident
    await runtime.shutdown(within: .seconds(1))
    return [
      ("bytes_per_mailbox", Double(after - before) / Double(each * loops), "B"),
      ("spawns_per_s", Double(each * loops) / (Double(nanoseconds) / 1e9), "1/s"),
    ]
  }

  private final class Ignoring: MailboxHandler {
    func received(_ mailbox: Mailbox, _ message: consuming Message) {}
  }
}

extension MemoryScenario {
  func mailboxes(_ context: RunContext) throws -> [Figure] {
    let counts = context.quick ? [10_000, 100_000] : [100_000, 1_000_000]
    return try measureEach(counts, name: { MailboxMemory.config($0) }) { count in
      let config = MailboxMemory.config(count)
      context.progress.step("\(Self.id) \(config)")
      return try waitFor { try await MailboxMemory.measure(count) }.map {
        figure(context, system: "aloft", config: config, $0.0, $0.1, $0.2)
      }
    }
  }
}
