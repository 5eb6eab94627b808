import Aloft
import Glibc
import Synchronization

/// The shape of one run.
struct QueueShape {
  var loops = 2
  var receivers = 100
  var producers = 2
  var messages = 10_000_000
  /// Of each mailbox.
  var capacity = 8_192
  /// Messages sent to one loop and not yet handled, at most: a producer beyond it waits, so that
  /// nothing need be refused.
  var window = 8_192
  /// Messages that a loop's producers send before the loop sees to something else.
  var burst = 512
  /// One in so many carries the time.
  var timedOneIn = 1_024
}

func queueClock() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// A counter on a line of its own.
func queueCounter() -> UnsafeMutablePointer<Atomic<Int>> {
  let raw = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 128)
  let counter = raw.bindMemory(to: Atomic<Int>.self, capacity: 1)
  counter.initialize(to: Atomic(0))
  return counter
}

/// What is sent, 64 bytes: from whom to whom, the how-manieth from the one to the other, and when,
/// if it is timed.
typealias QueuePayload = (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)

/// Receives on one loop, for all its mailboxes: holds every message against what must come next.
final class QueueReceiver: MailboxHandler, @unchecked Sendable {
  // @unchecked: one loop alone calls; read when all is over.
  private let producers: Int
  /// The next number from each producer to each receiver.
  private let expected: UnsafeMutablePointer<UInt64>
  /// Handled of each producer, and by the loop in all.
  let handledFrom: [UnsafeMutablePointer<Atomic<Int>>]
  let published = queueCounter()
  private let fromThreads: Bool
  private(set) var handled = 0
  private(set) var outOfOrder = 0
  private(set) var duplicated = 0
  private(set) var latencies: [UInt64] = []

  init(_ shape: QueueShape, fromThreads: Bool) {
    producers = shape.producers
    self.fromThreads = fromThreads
    handledFrom = (0..<shape.producers).map { _ in queueCounter() }
    expected = .allocate(capacity: shape.receivers * producers)
    expected.initialize(repeating: 0, count: shape.receivers * producers)
    latencies.reserveCapacity(shape.messages / shape.timedOneIn + 1_024)
  }

  deinit {
    expected.deallocate()
    published.deallocate()
    for counter in handledFrom { counter.deallocate() }
  }

  func received(_ mailbox: Mailbox, _ message: consuming Message) throws {}

  func received(_ batch: inout MailboxBatch) throws {
    let receiver = Int(batch.context)
    let row = expected + receiver * producers
    let (producers, fromThreads) = (producers, fromThreads)
    var count = 0
    handledFrom.withUnsafeBufferPointer { handledFrom in
      while let message = batch.next() {
        count &+= 1
        let (route, sequence, sentAt) = message.withUnsafeBytes {
          (
            $0.load(as: UInt64.self), $0.load(fromByteOffset: 8, as: UInt64.self),
            $0.load(fromByteOffset: 16, as: UInt64.self)
          )
        }
        let sender = Int(truncatingIfNeeded: route & 0xFFFF_FFFF)
        if sentAt != 0 { latencies.append(queueClock() &- sentAt) }
        if Int(truncatingIfNeeded: route &>> 32) != receiver || sender >= producers {
          outOfOrder &+= 1
        } else if row[sender] == sequence {
          row[sender] = sequence &+ 1
        } else {
          note(row + sender, sequence)
        }
        // A loop's producers are held back by the loop's count, threads each by their own.
        if fromThreads, sender < producers {
          let counter = handledFrom[sender]
          counter.pointee.store(
            counter.pointee.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
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
  private let mailboxes: [Mailbox]
  /// The loop of each receiver.
  private let loopOf: [Int]
  private(set) var left: Int
  private var next: Int
  private var sequences: [UInt64]
  private(set) var refused = 0
  private(set) var sent = 0

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
  mutating func send(
    _ most: Int, timedOneIn: Int, _ counts: UnsafeMutablePointer<Int>,
    _ send: (Mailbox, RawSpan) -> SendResult
  ) {
    let most = min(most, left)
    var sent = 0
    var to = next
    let (timing, left, route) = (timedOneIn - 1, left, UInt64(number))
    mailboxes.withUnsafeBufferPointer { mailboxes in
      loopOf.withUnsafeBufferPointer { loopOf in
        sequences.withUnsafeMutableBufferPointer { sequences in
          while sent < most {
            var payload: QueuePayload = (
              route | UInt64(to) &<< 32, sequences[to], 0, 0, 0, 0, 0, 0
            )
            if (left &- sent) & timing == 0 { payload.2 = queueClock() }
            let result = withUnsafeBytes(of: &payload) { send(mailboxes[to], $0.bytes) }
            guard result == .accepted else {
              refused += 1
              break
            }
            sequences[to] &+= 1
            counts[loopOf[to]] &+= 1
            sent &+= 1
            to = to &+ 1 == mailboxes.count ? 0 : to &+ 1
          }
        }
      }
    }
    next = to
    self.left -= sent
    self.sent += sent
  }
}

struct QueueOutcome {
  var seconds = 0.0
  var sent = 0
  var lost = 0
  var duplicated = 0
  var outOfOrder = 0
  var refused = 0
  var latencies: [UInt64] = []
}

/// A runtime with the receivers' mailboxes, dealt out over its loops.
final class QueueRig: Sendable {
  let shape: QueueShape
  let runtime: Runtime
  let mailboxes: [Mailbox]
  let loopOf: [Int]
  let receivers: [QueueReceiver]

  init(_ shape: QueueShape, fromThreads: Bool = true) async throws {
    self.shape = shape
    var options = Runtime.Options(eventLoops: shape.loops)
    // Room for all that may be under way to a loop, so that its inbox need refuse nothing either.
    options.inboxCapacity = shape.window
    runtime = try Runtime(options)
    let loops = runtime.eventLoops
    receivers = loops.map { _ in QueueReceiver(shape, fromThreads: fromThreads) }
    loopOf = (0..<shape.receivers).map { $0 % shape.loops }
    var opened: [Mailbox] = []
    for receiver in 0..<shape.receivers {
      opened.append(
        try await runtime.mailbox(
          MailboxOptions(capacity: shape.capacity), on: loops[loopOf[receiver]],
          context: UInt64(receiver), handler: receivers[loopOf[receiver]]))
    }
    mailboxes = opened
  }

  func handled(from producer: Int) -> Int {
    receivers.reduce(0) { $0 + $1.handledFrom[producer].pointee.load(ordering: .relaxed) }
  }

  /// Looks on, from a thread that is neither a loop's nor a producer's. Gives up after a minute in
  /// which the loss shows.
  func waitUntilHandled(_ total: Int, since start: UInt64) {
    while receivers.reduce(0, { $0 + $1.published.pointee.load(ordering: .acquiring) }) < total {
      usleep(500)
      if queueClock() - start > 60_000_000_000 { return }
    }
  }

  func outcome(_ producers: [QueueProducer], nanoseconds: UInt64) async -> QueueOutcome {
    await runtime.shutdown(within: .seconds(1))
    var outcome = QueueOutcome(seconds: Double(nanoseconds) / 1e9)
    outcome.sent = producers.reduce(0) { $0 + $1.sent }
    outcome.refused = producers.reduce(0) { $0 + $1.refused }
    let handled = receivers.reduce(0) { $0 + $1.handled }
    outcome.duplicated = receivers.reduce(0) { $0 + $1.duplicated }
    outcome.outOfOrder = receivers.reduce(0) { $0 + $1.outOfOrder }
    outcome.latencies = receivers.flatMap(\.latencies)
    outcome.lost = outcome.sent - handled + outcome.duplicated
    return outcome
  }
}
