import Aloft
import Foundation
import Testing

/// Monitors are told once, whenever they were set; links end the other, or tell it.
@Suite(.timeLimit(.minutes(1))) struct MonitorTests {
  final class Sink: MailboxHandler {
    func received(_ mailbox: Mailbox, _ message: consuming Message) throws {
      if message.word == "crash" { throw Told(word: "crash") }
    }
  }

  final class Trapper: WorkerHandler {
    let journal: Journal<String>
    init(_ journal: Journal<String>) { self.journal = journal }
    func received(_ worker: Worker, _ message: consuming Message) throws {}
    func linkEnded(_ worker: Worker, _ other: Mailbox) -> Bool {
      journal.add("trapped")
      return true
    }
  }

  /// Monitors and links are on their way to the mailboxes' loops, and messages may overtake them:
  /// returns when they are there.
  private func settled(_ mailboxes: Mailbox...) async throws {
    for mailbox in mailboxes { _ = await mailbox.statistics() }
  }

  /// By being closed, by a handler that throws, with the runtime; from loops and other threads.
  @Test func toldOnce() async throws {
    let journal = Journal<String>()
    let runtime = try Runtime(.init(eventLoops: 2))
    let closed = try await runtime.mailbox(handler: Sink())
    let failed = try await runtime.mailbox(handler: Sink())
    let last = try await runtime.mailbox(handler: Sink())
    for (name, mailbox) in [("closed", closed), ("failed", failed), ("last", last)] {
      runtime.monitor(mailbox) { journal.add("\(name) \($0)") }
      runtime.monitor(mailbox) { journal.add("\(name) \($0)") }
    }
    let cancelled = runtime.monitor(closed) { _ in journal.add("cancelled") }
    #expect(cancelled.cancel() && !cancelled.cancel())
    try await settled(closed, failed, last)
    closed.close()
    failed.send("crash".utf8.span.bytes)
    try await until("both ends") { journal.all.count == 4 }
    #expect(
      journal.all.sorted() == ["closed closed", "closed closed", "failed failed", "failed failed"])
    // The dead, the forged and the stale.
    for id in [closed.rawValue, 0, .max, 0x00FF_0000_0100_0001, last.rawValue &+ 2] {
      runtime.monitor(Mailbox(rawValue: id)) { journal.add("dead \($0)") }
    }
    try await until("those, too") { journal.all.count == 9 }
    #expect(journal.all.suffix(5).allSatisfy { $0 == "dead gone" })
    await runtime.shutdown(within: .zero)
    #expect(journal.all.suffix(2) == ["last shutdown", "last shutdown"])
    runtime.monitor(last) { journal.add("too late \($0)") }
    try await until("an answer") { journal.all.last == "too late gone" }
    #expect(journal.all.count == 12)
  }

  /// Connections end, too.
  @Test func connections() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let journal = Journal<String>()
      let listener = try await runtime.listen(on: .init("127.0.0.1", 0)) { connection in
        for try await _ in connection.messages {}
      }
      let gone = try await runtime.withConnection(to: listener.address) { open in
        runtime.monitor(open.connection) { journal.add("\($0)") }
        return open.connection
      }
      try await until("its end") { journal.all.count == 1 }
      #expect(journal.all == ["connection(Aloft.CloseReason.local)"])
      runtime.monitor(gone) { journal.add("\($0)") }
      try await until("the answer") { journal.all.last == "gone" }
    }
  }

  /// A worker's restart is no end for a monitor; its removal is.
  @Test func workers() async throws {
    try await Runtime.with { runtime in
      let journal = Journal<String>()
      let supervisor = try await runtime.supervise {
        try .worker("a") { Actor("a", journal) }
      }
      let a = try #require(try await supervisor.worker("a"))
      let mailbox = try #require(a.mailbox)
      runtime.monitor(mailbox) { journal.add("ended \($0)") }
      try await settled(mailbox)
      a.tell("crash")
      a.tell("well")
      try await until("well") { journal.all.last == "a well 1" }
      #expect(try await supervisor.remove("a"))
      try await until("the end") { journal.all.contains("ended closed") }
      #expect(journal.all == ["a up", "a up", "a well 1", "a down", "ended closed"])
    }
  }

  /// A failure of one fails the other, across loops; whoever traps it is told; a plain mailbox is
  /// closed.
  @Test func links() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let journal = Journal<String>()
      let loops = runtime.eventLoops
      let supervisor = try await runtime.supervise(.init(intensity: .init(minimum: 10))) {
        try .worker("a", on: loops[0]) { Actor("a", journal) }
        try .worker("b", on: loops[1]) { Actor("b", journal) }
        try .worker("c") { Trapper(journal) }
      }
      let workers = try await supervisor.workers()
      let boxes = workers.compactMap(\.mailbox)
      runtime.link(boxes[0], boxes[1])
      try await settled(boxes[0], boxes[1])
      workers[0].tell("crash")
      try await until("both again") { journal.all.count == 4 }
      #expect(journal.all.sorted() == ["a up", "a up", "b up", "b up"])
      // It has fired, and is undone.
      workers[0].tell("crash")
      try await until("a again") { journal.all.count == 5 }
      runtime.link(boxes[0], boxes[2])
      try await settled(boxes[0], boxes[2])
      workers[0].tell("crash")
      try await until("trapped") { journal.all.contains("trapped") }
      let plain = try await runtime.mailbox(handler: Sink())
      runtime.link(plain, boxes[0]).cancel()
      runtime.link(plain, boxes[1])
      try await settled(plain, boxes[1])
      workers[1].tell("crash")
      try await until("closed") { !plain.isOpen }
      // With the dead: at once.
      let other = try await runtime.mailbox(handler: Sink())
      runtime.link(plain, other)
      try await until("closed") { !other.isOpen }
      #expect(try await supervisor.statistics().restarts == 5)
    }
  }

  /// A thousand monitors of one mailbox.
  @Test func many() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let journal = Journal<Int>()
      let mailbox = try await runtime.mailbox(handler: Sink())
      for index in 0..<1_000 { runtime.monitor(mailbox) { _ in journal.add(index) } }
      mailbox.close()
      try await until("all told") { journal.all.count == 1_000 }
      #expect(Set(journal.all).count == 1_000)
    }
  }
}
