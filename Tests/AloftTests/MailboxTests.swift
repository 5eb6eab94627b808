import Aloft
import Foundation
import Synchronization
import Testing

/// Mailboxes through the public API, on real threads.
struct MailboxTests {
  @Test("What is sent arrives, from outside, from the mailbox's loop and from a sibling")
  func sending() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let log = Log()
      let mailbox = try await runtime.mailbox(on: runtime.eventLoops[0], context: 7, handler: log)
      #expect(mailbox.send([1].span.bytes) == .accepted)
      for loop in runtime.eventLoops {
        try await loop.run {
          #expect(mailbox.send([2].span.bytes) == .accepted)
          #expect(mailbox.context == (loop.index == 0 ? 7 : 0))
        }
      }
      await log.wait(for: 3)
      #expect(log.got.map { $0[0] }.sorted() == [1, 2, 2])
      let statistics = try #require(await mailbox.statistics())
      #expect(statistics.handled == 3 && statistics.depth == 0 && statistics.refused == 0)
      mailbox.close(drain: true)
      await log.waitUntilClosed()
      #expect(log.reasons == [.closed] && !mailbox.isOpen)
      #expect(mailbox.send([3].span.bytes) == .closed)
      #expect(await mailbox.statistics() == nil)
      await #expect(throws: AloftError.self) {
        try await mailbox.send(self.message(1), within: .milliseconds(1))
      }
    }
  }

  @Test("Options out of their range are refused with the numbers")
  func options() async throws {
    try await Runtime.with { runtime in
      var bad: [MailboxOptions] = [.init(capacity: 0), .init(capacity: -1), .init(capacity: .max)]
      var marks = MailboxOptions()
      marks.highWater = 5
      marks.lowWater = 5
      bad.append(marks)
      var turn = MailboxOptions()
      turn.messagesPerTurn = 0
      bad.append(turn)
      for options in bad {
        do {
          _ = try await runtime.mailbox(options, handler: Log())
          Issue.record("\(options)")
        } catch let error as AloftError {
          #expect(error.code == .invalidOption && error.message.contains("possible"))
        }
      }
    }
  }

  @Test("A full mailbox refuses; who waits gets in when there is room, or hears that time is over")
  func waiting() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let inbox: AsyncMailbox = try await runtime.mailbox(.init(capacity: 2))
      #expect(inbox.mailbox.send(self.message(0)) == .accepted)
      #expect(inbox.mailbox.send(self.message(1)) == .accepted)
      var kept: Message? = self.message(9)
      #expect(inbox.mailbox.send(offering: &kept) == .full)
      #expect(kept?.count == 8)
      await #expect(throws: AloftError.self) {
        try await inbox.mailbox.send(self.message(9), within: .milliseconds(5))
      }
      let late = Task { try await inbox.mailbox.send(self.message(2), within: .seconds(20)) }
      var got: [UInt8] = []
      while got.count < 3, let next = await inbox.next() {
        got.append(next.withUnsafeBytes { $0[0] })
      }
      try await late.value
      #expect(got == [0, 1, 2])
      inbox.mailbox.close()
      #expect(await inbox.next() == nil)
    }
  }

  @Test("An async mailbox hands out in order, while tasks send from everywhere")
  func asyncMessages() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let inbox: AsyncMailbox = try await runtime.mailbox(.init(capacity: 16))
      let senders = (0..<3).map { sender in
        Task {
          for number in 0..<200 {
            let bytes = [UInt8(sender), UInt8(number)]
            try await inbox.mailbox.send(Message(copying: bytes), within: .seconds(20))
          }
        }
      }
      var next: [UInt8] = [0, 0, 0]
      var count = 0
      for await bytes in inbox.messages {
        #expect(bytes[1] == next[Int(bytes[0])])
        next[Int(bytes[0])] = bytes[1] &+ 1
        count += 1
        if count == 600 { break }
      }
      for sender in senders { try await sender.value }
      #expect(next == [200, 200, 200])
    }
  }

  @Test("Handlers that throw end their mailbox alone when nobody restarts it")
  func failing() async throws {
    try await Runtime.with { runtime in
      let log = Log(fails: true)
      let mailbox = try await runtime.mailbox(handler: log)
      let other = try await runtime.mailbox(handler: Log())
      mailbox.send([1].span.bytes)
      await log.waitUntilClosed()
      #expect(log.reasons == [.failed] && other.isOpen)
    }
    // And at the runtime's end the rest hears of that.
  }

  @Test("A slow mailbox holds the connections that feed it, and lets them go on")
  func feeding() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      var options = MailboxOptions()
      options.highWater = 8
      options.lowWater = 2
      let slow: AsyncMailbox = try await runtime.mailbox(options, on: runtime.eventLoops[1])
      var framed = ConnectionOptions()
      framed.framing = .lengthPrefixed(max: 64)
      let feeder = Feeder(slow.mailbox)
      let listener = try await runtime.listen(
        on: .init("127.0.0.1", 0), options: framed, handler: feeder)
      let total = 400_000
      let client = Task {
        try await runtime.withConnection(to: listener.address, options: framed) { connection in
          for number in 0..<total {
            let word = withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) }
            try await connection.write(word)
          }
          for try await _ in connection.messages {}
        }
      }
      // Nobody takes anything: the peer comes to a stop long before it has sent all.
      var before = -1
      while feeder.count.load(ordering: .relaxed) != before || before < 8 {
        before = feeder.count.load(ordering: .relaxed)
        try await Task.sleep(for: .milliseconds(100))
      }
      #expect(before < total / 2)
      for number in 0..<total {
        guard let message = await slow.next() else { break }
        let got = message.withUnsafeBytes { UInt64(bigEndian: $0.load(as: UInt64.self)) }
        if got != UInt64(number) { #expect(got == UInt64(number)) }
      }
      client.cancel()
      _ = try? await client.value
    }
  }

  private func message(_ number: UInt64) -> Message {
    Message(copying: withUnsafeBytes(of: number) { Array($0) })
  }
}

/// Passes on what arrives.
private final class Feeder: ConnectionHandler {
  let mailbox: Mailbox
  let count = Atomic<Int>(0)
  init(_ mailbox: Mailbox) { self.mailbox = mailbox }

  func opened(_ connection: Connection) { mailbox.attach(connection) }
  func received(_ connection: Connection, _ bytes: RawSpan) {
    count.add(1, ordering: .relaxed)
    mailbox.send(bytes)
  }
}

/// Writes down what it is told, on one loop; read by the test when it has waited for it.
private final class Log: MailboxHandler, @unchecked Sendable {
  // @unchecked: a lock guards all of it.
  private let lock = NSLock()
  private var messages: [[UInt8]] = []
  private var ends: [MailboxCloseReason] = []
  private let fails: Bool

  init(fails: Bool = false) { self.fails = fails }

  var got: [[UInt8]] { lock.withLock { messages } }
  var reasons: [MailboxCloseReason] { lock.withLock { ends } }

  func received(_ mailbox: Mailbox, _ message: consuming Message) throws {
    let bytes = message.withUnsafeBytes { Array($0) }
    lock.withLock { messages.append(bytes) }
    if fails { throw CancellationError() }
  }

  func closed(_ mailbox: Mailbox, reason: MailboxCloseReason) {
    lock.withLock { ends.append(reason) }
  }

  func wait(for count: Int) async {
    while got.count < count { try? await Task.sleep(for: .milliseconds(1)) }
  }

  func waitUntilClosed() async {
    while reasons.isEmpty { try? await Task.sleep(for: .milliseconds(1)) }
  }
}
