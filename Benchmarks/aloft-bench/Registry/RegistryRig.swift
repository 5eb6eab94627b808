import Aloft
import Glibc
import Synchronization

/// A mailbox for each name, on two event loops in turn, and the names themselves, of 24 bytes.
final class RegistryRig: Sendable {
  let runtime: Runtime
  let registry: Registry
  let loops: [EventLoop]
  let names: [Registry.Name]
  let mailboxes: [Mailbox]
  let receivers: [RoutedReceiver]

  init(names count: Int) throws {
    var options = Runtime.Options(eventLoops: 2)
    // A core each: on one they would measure the scheduler.
    if sysconf(Int32(_SC_NPROCESSORS_ONLN)) >= 2 { options.processors = [0, 1] }
    let runtime = try Runtime(options)
    self.runtime = runtime
    registry = runtime.registry
    loops = runtime.eventLoops
    names = try (0..<count).map { try Registry.Name(Self.name($0)) }
    let receivers = (0..<2).map { _ in RoutedReceiver(mailboxes: count) }
    self.receivers = receivers
    let loops = self.loops
    let opened = try onEach(loops) { position in
      var mailboxes: [Mailbox] = []
      for index in stride(from: position, to: count, by: 2) {
        mailboxes.append(
          try loops[position].openMailbox(context: UInt64(index), handler: receivers[position]))
      }
      return mailboxes
    }
    mailboxes = (0..<count).map { opened[$0 % 2][$0 / 2] }
  }

  /// 24 bytes, no two alike.
  static func name(_ index: Int) -> String {
    let digits = String(index)
    return "session-" + String(repeating: "0", count: 16 - digits.count) + digits
  }

  func stop() {
    let done = DispatchedValue<Void>()
    let runtime = runtime
    Task {
      await runtime.shutdown(within: .zero)
      done.set(.success(()))
    }
    _ = try? done.wait()
  }
}

/// Runs `body` on every loop at once and waits for all: the answers, in the loops' order.
func onEach<Value: Sendable>(
  _ loops: [EventLoop], _ body: @escaping @Sendable (_ position: Int) throws -> Value
) throws -> [Value] {
  let answers = loops.map { _ in DispatchedValue<Value>() }
  for (position, loop) in loops.enumerated() {
    let answer = answers[position]
    try loop.execute { answer.set(Result { try body(position) }) }
  }
  return try answers.map { try $0.wait() }
}

/// A value that another thread sets and this one waits for.
final class DispatchedValue<Value: Sendable>: @unchecked Sendable {
  // @unchecked: written once before the flag, read after it.
  private var value: Result<Value, any Error>?
  private let isSet = Atomic<Bool>(false)

  func set(_ value: Result<Value, any Error>) {
    self.value = value
    isSet.store(true, ordering: .releasing)
  }

  func wait() throws -> Value {
    while !isSet.load(ordering: .acquiring) { usleep(500) }
    return try value!.get()
  }
}

/// The processor's own kind of random: cheap, and each value of a power of two once a round.
struct Steps {
  private var state: UInt64
  init(seed: UInt64) { state = seed &* 2 &+ 1 }
  @inline(__always)
  mutating func next(below bound: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(truncatingIfNeeded: (state >> 33).multipliedFullWidth(by: UInt64(bound) << 33).high)
  }
}

/// What is sent to a name.
struct RoutedPayload {
  static let bytes = 32
  /// Whom it is for, and the how-manieth of its sender.
  var target: UInt64 = 0
  var sequence: UInt64 = 0
  /// When it was sent, if it is timed.
  var sentAt: UInt64 = 0
  /// Whom to answer; 0 for nobody.
  var answerTo: UInt64 = 0
}

/// Receives for all mailboxes of one loop: counts, and holds each message against its mailbox.
final class RoutedReceiver: MailboxHandler, @unchecked Sendable {
  // @unchecked: its loop's alone, but for `handled`.
  let handled: UnsafeMutablePointer<Atomic<Int>>
  var misrouted = 0
  var sum: UInt64 = 0
  var latencies: [UInt64] = []

  init(mailboxes: Int) {
    // A line of its own.
    let raw = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 128)
    handled = raw.bindMemory(to: Atomic<Int>.self, capacity: 1)
    handled.initialize(to: Atomic(0))
    latencies.reserveCapacity(1 << 16)
  }

  deinit { UnsafeMutableRawPointer(handled).deallocate() }

  func reset() {
    handled.pointee.store(0, ordering: .releasing)
    (misrouted, sum) = (0, 0)
    latencies.removeAll(keepingCapacity: true)
  }

  func received(_ mailbox: Mailbox, _ message: consuming Message) throws {}

  func received(_ batch: inout MailboxBatch) throws {
    let context = batch.context
    var (count, misrouted, sum) = (0, 0, UInt64(0))
    while let message = batch.next() {
      count &+= 1
      let answerTo = message.withUnsafeBytes { bytes -> UInt64 in
        let payload = bytes.load(as: RoutedPayload.self)
        if payload.target != context { misrouted &+= 1 }
        sum &+= payload.sequence
        if payload.sentAt != 0 { latencies.append(registryClock() &- payload.sentAt) }
        return payload.answerTo
      }
      // The message goes back as it is.
      if answerTo != 0 { Mailbox(rawValue: answerTo).send(message) }
    }
    self.misrouted &+= misrouted
    self.sum &+= sum
    handled.pointee.store(
      handled.pointee.load(ordering: .relaxed) &+ count, ordering: .releasing)
  }
}

func registryClock() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
