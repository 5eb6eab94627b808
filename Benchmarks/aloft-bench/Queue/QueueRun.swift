import Aloft
import Glibc
import Synchronization

/// What is sent: who, to whom, the how-manieth from the one to the other, and when, if it is timed.
struct QueuePayload {
  static let bytes = 64
  static let sender = 0
  static let receiver = 4
  static let sequence = 8
  static let sentAt = 16
}

/// The shape of one run.
struct QueueShape {
  var loops = 2
  var receivers = 100
  var producers = 2
  var messages = 10_000_000
  var capacity = 8_192
  /// Messages sent to one loop and not yet handled, at most: a producer beyond it waits.
  var window = 16_384
  /// Messages that a producer on a loop sends before others have their turn.
  var burst = 1_024
  /// One in so many carries the time.
  var timedOneIn = 1_024
}

func queueClock() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Counters of one loop or producer, on lines of their own.
@safe
struct QueueCounter: ~Copyable {
  let value: UnsafeMutablePointer<Atomic<Int>>

  init() {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 128)
    value = raw.bindMemory(to: Atomic<Int>.self, capacity: 1)
    value.initialize(to: Atomic(0))
  }

  deinit { UnsafeMutableRawPointer(value).deallocate() }
}

/// Receives on one loop, for all its mailboxes: holds every message against what must come next.
final class QueueReceiver: MailboxHandler, @unchecked Sendable {
  // @unchecked: one loop alone calls; read when all is over.
  let producers: Int
  /// The next number from each producer to each receiver.
  let expected: UnsafeMutablePointer<UInt64>
  var handled = 0
  var outOfOrder = 0
  var duplicated = 0
  var foreign = 0
  var latencies: [UInt64] = []
  let published: UnsafeMutablePointer<Atomic<Int>>

  init(receivers: Int, producers: Int, published: UnsafeMutablePointer<Atomic<Int>>) {
    self.producers = producers
    self.published = published
    expected = .allocate(capacity: receivers * producers)
    expected.initialize(repeating: 0, count: receivers * producers)
    latencies.reserveCapacity(1 << 16)
  }

  deinit { expected.deallocate() }

  func received(_ mailbox: Mailbox, _ message: consuming Message) throws {}

  func received(_ batch: inout MailboxBatch) throws {
    let receiver = Int(batch.context)
    let row = expected + receiver * producers
    var count = 0
    while let message = batch.next() {
      count &+= 1
      message.withUnsafeBytes { bytes in
        let sender = Int(bytes.load(fromByteOffset: QueuePayload.sender, as: UInt32.self))
        let target = Int(bytes.load(fromByteOffset: QueuePayload.receiver, as: UInt32.self))
        let sequence = bytes.load(fromByteOffset: QueuePayload.sequence, as: UInt64.self)
        let sentAt = bytes.load(fromByteOffset: QueuePayload.sentAt, as: UInt64.self)
        if sentAt != 0 { latencies.append(queueClock() &- sentAt) }
        if target != receiver || sender >= producers {
          foreign &+= 1
        } else if row[sender] == sequence {
          row[sender] = sequence &+ 1
        } else {
          note(row + sender, sequence)
        }
      }
    }
    handled &+= count
    published.pointee.store(handled, ordering: .releasing)
  }

  @inline(never)
  private func note(_ next: UnsafeMutablePointer<UInt64>, _ sequence: UInt64) {
    if sequence < next.pointee {
      duplicated += 1
    } else {
      outOfOrder += 1
      next.pointee = sequence + 1
    }
  }
}

/// One producer's work: message after message to the receivers in turn.
struct QueueProducer {
  let number: Int
  let mailboxes: [Mailbox]
  /// The loop of each receiver.
  let loopOf: [Int]
  var left: Int
  var next: Int
  var sequences: [UInt64]
  var refused = 0
  var sent = 0

  init(_ number: Int, _ mailboxes: [Mailbox], _ loopOf: [Int], messages: Int) {
    self.number = number
    self.mailboxes = mailboxes
    self.loopOf = loopOf
    left = messages
    next = number % mailboxes.count
    sequences = Array(repeating: 0, count: mailboxes.count)
  }

  /// Sends up to `most`; the number for each loop is added to `counts`.
  @inline(__always)
  mutating func send(_ most: Int, timedOneIn: Int, _ counts: UnsafeMutablePointer<Int>) {
    let most = min(most, left)
    var sent = 0
    let number = UInt32(number)
    let timing = timedOneIn - 1
    mailboxes.withUnsafeBufferPointer { mailboxes in
      loopOf.withUnsafeBufferPointer { loopOf in
        sequences.withUnsafeMutableBufferPointer { sequences in
          while sent < most {
            let to = next
            var payload = (
              UInt64(number) | UInt64(to) << 32, sequences[to], UInt64(0), UInt64(0), UInt64(0),
              UInt64(0), UInt64(0), UInt64(0)
            )
            if (left &- sent) & timing == 0 { payload.2 = queueClock() }
            let result = withUnsafeBytes(of: &payload) { mailboxes[to].send($0.bytes) }
            guard result == .accepted else {
              refused += 1
              break
            }
            sequences[to] &+= 1
            counts[loopOf[to]] &+= 1
            sent &+= 1
            next = to &+ 1 == mailboxes.count ? 0 : to &+ 1
          }
        }
      }
    }
    left -= sent
    self.sent += sent
  }
}

struct QueueOutcome {
  var seconds = 0.0
  var sent = 0
  var handled = 0
  var lost = 0
  var duplicated = 0
  var outOfOrder = 0
  var refused = 0
  var latencies: [UInt64] = []
}

/// Producers on the loops themselves.
final class QueueLoopProducers: @unchecked Sendable {
  // @unchecked: one loop's thread uses it; read when all is over.
  let loop: EventLoop
  var producers: [QueueProducer]
  let shape: QueueShape
  /// Handled, by loop; and sent, by producing loop and target loop.
  let handled: [UnsafeMutablePointer<Atomic<Int>>]
  let sent: [[UnsafeMutablePointer<Atomic<Int>>]]
  let mine: Int
  let counts: UnsafeMutablePointer<Int>
  let done: @Sendable () -> Void
  var turn = 0

  init(
    _ loop: EventLoop, mine: Int, _ producers: [QueueProducer], _ shape: QueueShape,
    handled: [UnsafeMutablePointer<Atomic<Int>>], sent: [[UnsafeMutablePointer<Atomic<Int>>]],
    done: @escaping @Sendable () -> Void
  ) {
    self.loop = loop
    self.mine = mine
    self.producers = producers
    self.shape = shape
    self.handled = handled
    self.sent = sent
    self.done = done
    counts = .allocate(capacity: shape.loops)
    counts.initialize(repeating: 0, count: shape.loops)
  }

  func start() { again() }

  private func again() {
    do {
      try loop.execute { self.step() }
    } catch {
      preconditionFailure("\(error)")
    }
  }

  private var room: Int {
    var room = Int.max
    for target in 0..<shape.loops {
      var out = -handled[target].pointee.load(ordering: .acquiring)
      for source in 0..<shape.loops {
        out +=
          source == mine
          ? counts[target] : sent[source][target].pointee.load(ordering: .relaxed)
      }
      room = min(room, shape.window - out)
    }
    return room
  }

  private func step() {
    // Whoever has a receiver's loop to itself still leaves room for the other producers' bursts.
    let room = min(shape.burst, self.room / shape.loops)
    if room > 0 {
      let share = max(1, room / producers.count)
      var left = room
      for _ in producers.indices where left > 0 {
        turn = turn + 1 == producers.count ? 0 : turn + 1
        let amount = min(share, left)
        producers[turn].send(amount, timedOneIn: shape.timedOneIn, counts)
        left -= amount
      }
      for target in 0..<shape.loops {
        sent[mine][target].pointee.store(counts[target], ordering: .releasing)
      }
    }
    if producers.allSatisfy({ $0.left == 0 }) { done() } else { again() }
  }
}

func runQueueOnLoops(_ shape: QueueShape) async throws -> QueueOutcome {
  let runtime = try Runtime(.init(eventLoops: shape.loops))
  let handledCounters = (0..<shape.loops).map { _ in queueCounter() }
  let sentCounters = (0..<shape.loops).map { _ in (0..<shape.loops).map { _ in queueCounter() } }
  var receivers: [QueueReceiver] = []
  var mailboxes: [Mailbox] = Array(repeating: Mailbox(rawValue: 0), count: shape.receivers)
  let loops = runtime.eventLoops
  let options = MailboxOptions(capacity: shape.capacity)
  for (index, _) in loops.enumerated() {
    receivers.append(
      QueueReceiver(
        receivers: shape.receivers, producers: shape.producers,
        published: handledCounters[index]))
  }
  let loopOf = (0..<shape.receivers).map { $0 % shape.loops }
  for receiver in 0..<shape.receivers {
    mailboxes[receiver] = try await runtime.mailbox(
      options, on: loops[loopOf[receiver]], context: UInt64(receiver),
      handler: receivers[loopOf[receiver]])
  }
  let per = shape.messages / shape.producers
  let finished = Atomic<Int>(0)
  _ = finished
  let all = mailboxes
  var teams: [QueueLoopProducers] = []
  for (index, loop) in loops.enumerated() {
    let mine = (0..<shape.producers).filter { $0 % shape.loops == index }
      .map { QueueProducer($0, all, loopOf, messages: per) }
    guard !mine.isEmpty else { continue }
    teams.append(
      QueueLoopProducers(
        loop, mine: index, mine, shape, handled: handledCounters, sent: sentCounters, done: {}))
  }
  let start = queueClock()
  for team in teams { team.start() }
  let total = per * shape.producers
  while handledCounters.reduce(0, { $0 + $1.pointee.load(ordering: .acquiring) }) < total {
    usleep(200)
    if queueClock() - start > 60_000_000_000 { break }
  }
  let end = queueClock()
  await runtime.shutdown(within: .seconds(1))
  var outcome = QueueOutcome()
  outcome.seconds = Double(end - start) / 1e9
  for team in teams {
    outcome.sent += team.producers.reduce(0) { $0 + $1.sent }
    outcome.refused += team.producers.reduce(0) { $0 + $1.refused }
  }
  for receiver in receivers {
    outcome.handled += receiver.handled
    outcome.duplicated += receiver.duplicated
    outcome.outOfOrder += receiver.outOfOrder
    outcome.latencies += receiver.latencies
  }
  outcome.lost = outcome.sent - outcome.handled
  return outcome
}

func queueCounter() -> UnsafeMutablePointer<Atomic<Int>> {
  let raw = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 128)
  let counter = raw.bindMemory(to: Atomic<Int>.self, capacity: 1)
  counter.initialize(to: Atomic(0))
  return counter
}
