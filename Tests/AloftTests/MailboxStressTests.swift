import Aloft
import Foundation
import Synchronization
import Testing

/// More threads than cores send to bounded mailboxes of several loops: nothing may be lost, doubled
/// or out of its sender's order.
struct MailboxStressTests {
  #if DEBUG
    static let operations = 400_000
  #else
    static let operations = 10_000_000
  #endif

  @Test(
    "Every message once, each sender's in order",
    arguments: [
      (loops: 2, threads: 0, capacity: 64), (loops: 3, threads: 4, capacity: 1_000),
      (loops: 1, threads: 6, capacity: 3), (loops: 2, threads: 3, capacity: 0),
    ])
  func stress(loops: Int, threads: Int, capacity: Int) async throws {
    let senders = loops + threads
    let each = Self.operations / 4 / senders
    try await Runtime.with(.init(eventLoops: loops)) { runtime in
      let judges = (0..<loops).map { _ in Judge(senders: senders, mailboxes: 8 * loops) }
      var mailboxes: [Mailbox] = []
      for index in 0..<8 * loops {
        mailboxes.append(
          try await runtime.mailbox(
            MailboxOptions(capacity: capacity > 0 ? capacity : nil),
            on: runtime.eventLoops[index % loops], context: UInt64(index),
            handler: judges[index % loops]))
      }
      let targets = mailboxes
      for (index, loop) in runtime.eventLoops.enumerated() {
        LoopSender(loop, Course(sender: index, targets, each)).start()
      }
      let threads = (loops..<senders).map { sender in
        let course = Course(sender: sender, targets, each)
        // Every other one gathers.
        nonisolated(unsafe) let gathering = sender % 2 == 0 ? runtime.makeSender() : nil
        return Thread {
          while !course.isDone {
            if let gathering {
              course.run(256) { gathering.send($1, to: $0) }
              gathering.flush()
            } else {
              course.run(256) { $0.send($1) }
            }
            sched_yield()
          }
          while gathering?.flush() == false { sched_yield() }
        }
      }
      for thread in threads { thread.start() }
      while judges.reduce(0, { $0 + $1.handled.load(ordering: .acquiring) }) < each * senders {
        try await Task.sleep(for: .milliseconds(1))
      }
      for judge in judges { #expect(judge.faults.load(ordering: .relaxed) == 0) }
      for mailbox in targets {
        let statistics = try #require(await mailbox.statistics())
        #expect(statistics.dropped == 0 && statistics.depth == 0)
      }
    }
  }
}

/// One sender's messages to all mailboxes in turn; what is refused is tried again.
private final class Course: @unchecked Sendable {
  // @unchecked: one thread uses it.
  private let sender: Int
  private let targets: [Mailbox]
  private var left: Int
  private var next: Int
  private var numbers: [UInt64]

  init(sender: Int, _ targets: [Mailbox], _ count: Int) {
    self.sender = sender
    self.targets = targets
    left = count
    next = sender % targets.count
    numbers = Array(repeating: 0, count: targets.count)
  }

  var isDone: Bool { left == 0 }

  func run(_ most: Int, _ send: (Mailbox, RawSpan) -> SendResult) {
    for _ in 0..<most where left > 0 {
      let word = [UInt64(sender), numbers[next]]
      guard send(targets[next], word.span.bytes) == .accepted else {
        next = (next + 1) % targets.count
        return
      }
      numbers[next] += 1
      next = (next + 1) % targets.count
      left -= 1
    }
  }
}

private struct LoopSender: Sendable {
  let loop: EventLoop
  let course: Course
  init(_ loop: EventLoop, _ course: Course) { (self.loop, self.course) = (loop, course) }

  func start() {
    while (try? loop.execute { step() }) == nil { sched_yield() }
  }

  private func step() {
    course.run(200) { $0.send($1) }
    if !course.isDone { start() }
  }
}

private final class Judge: MailboxHandler, @unchecked Sendable {
  // @unchecked: one loop calls; what the test reads is atomic.
  let handled = Atomic<Int>(0)
  let faults = Atomic<Int>(0)
  private var next: [UInt64]
  private let senders: Int

  init(senders: Int, mailboxes: Int) {
    self.senders = senders
    next = Array(repeating: 0, count: senders * mailboxes)
  }

  func received(_ mailbox: Mailbox, _ message: consuming Message) throws {}

  func received(_ batch: inout MailboxBatch) throws {
    let row = Int(batch.context) * senders
    while let message = batch.next() {
      let (sender, number) = message.withUnsafeBytes {
        (Int($0.load(as: UInt64.self)), $0.load(fromByteOffset: 8, as: UInt64.self))
      }
      if next[row + sender] != number { faults.add(1, ordering: .relaxed) }
      next[row + sender] = number + 1
      handled.add(1, ordering: .releasing)
    }
  }
}
