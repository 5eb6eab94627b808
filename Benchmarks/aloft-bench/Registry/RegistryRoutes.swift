import Aloft
import Synchronization

/// Messages by name from both loops to random mailboxes on both: each loop sends its share in
/// bursts, and serves what has arrived in between.
final class RoutedSender: @unchecked Sendable {
  // @unchecked: its loop's alone, but for `sent` and `isDone`.
  static let burst = 512
  /// Messages under way at most: a sender waits for those that receive.
  static let window = 8_192
  static let timedOneIn = 1_024

  private let rig: RegistryRig
  private let loop: EventLoop
  private let isBatched: Bool
  private var left: Int
  private var steps: Steps
  private var sequence: UInt64 = 0
  private(set) var sum: UInt64 = 0
  private(set) var refused = 0
  private var chosen: [Registry.Name] = []
  private var targets: [Int] = []
  let sent: UnsafeMutablePointer<Atomic<Int>>
  let isDone = Atomic<Bool>(false)
  /// All senders, this one included.
  var all: [RoutedSender] = []

  init(_ rig: RegistryRig, _ position: Int, messages: Int, isBatched: Bool) {
    self.rig = rig
    self.isBatched = isBatched
    loop = rig.loops[position]
    left = messages
    steps = Steps(seed: UInt64(position) + 1)
    let raw = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 128)
    sent = raw.bindMemory(to: Atomic<Int>.self, capacity: 1)
    sent.initialize(to: Atomic(0))
  }

  deinit { UnsafeMutableRawPointer(sent).deallocate() }

  /// On the loop.
  func run() {
    let underWay =
      all.reduce(0) { $0 + $1.sent.pointee.load(ordering: .acquiring) }
      - rig.receivers.reduce(0) { $0 + $1.handled.pointee.load(ordering: .acquiring) }
    let count = min(Self.burst, left, Self.window - underWay)
    if count > 0 {
      if isBatched { sendBatches(count) } else { sendSingly(count) }
      left -= count
      sent.pointee.add(count, ordering: .releasing)
    }
    if left == 0 { return isDone.store(true, ordering: .releasing) }
    try? loop.execute { [self] in run() }
  }

  @inline(__always)
  private static func payload(for target: Int, _ sequence: UInt64) -> RoutedPayload {
    RoutedPayload(
      target: UInt64(target), sequence: sequence,
      sentAt: sequence % UInt64(timedOneIn) == 0 ? registryClock() : 0)
  }

  private func sendSingly(_ count: Int) {
    let registry = rig.registry
    var (steps, sequence, sum) = (steps, sequence, sum)
    defer { (self.steps, self.sequence, self.sum) = (steps, sequence, sum) }
    rig.names.withUnsafeBufferPointer { names in
      for _ in 0..<count {
        let target = steps.next(below: names.count)
        sequence &+= 1
        var payload = Self.payload(for: target, sequence)
        let result = withUnsafeBytes(of: &payload) {
          registry.send($0.bytes, to: names[target])
        }
        if result == .accepted { sum &+= sequence } else { refused += 1 }
      }
    }
  }

  private func sendBatches(_ count: Int) {
    var done = 0
    while done < count {
      let some = min(64, count - done)
      chosen.removeAll(keepingCapacity: true)
      targets.removeAll(keepingCapacity: true)
      for _ in 0..<some {
        let target = steps.next(below: rig.names.count)
        chosen.append(rig.names[target])
        targets.append(target)
      }
      let first = sequence
      let counts = rig.registry.send(toEach: chosen.span) { place in
        var payload = Self.payload(for: targets[place], first &+ UInt64(place) &+ 1)
        return withUnsafeBytes(of: &payload) { Message(copying: $0.bytes) }
      }
      for place in 1...UInt64(some) { sum &+= first &+ place }
      sequence = first &+ UInt64(some)
      refused += some - counts.accepted
      done += some
    }
  }
}

/// Requests by name that are answered by the receiver, so many outstanding.
final class RequestSender: MailboxHandler, @unchecked Sendable {
  // @unchecked: its loop's alone, but for the counters.
  private let rig: RegistryRig
  private let outstandingMax: Int
  private var left: Int
  private var steps = Steps(seed: 99)
  private var answers: Mailbox?
  private(set) var sent = 0
  private(set) var refused = 0
  let acknowledged = Atomic<Int>(0)
  private(set) var latencies: [UInt64] = []

  init(_ rig: RegistryRig, requests: Int, outstanding: Int) {
    self.rig = rig
    left = requests
    outstandingMax = outstanding
    latencies.reserveCapacity(1 << 20)
  }

  /// On loop 0.
  func begin() throws {
    answers = try rig.loops[0].openMailbox(handler: self)
    for _ in 0..<outstandingMax { request() }
  }

  private func request() {
    guard left > 0 else { return }
    left -= 1
    // The receivers of the other loop: an answer crosses twice.
    let target = steps.next(below: rig.names.count / 2) * 2 + 1
    var payload = RoutedPayload(
      target: UInt64(target), sequence: 1, sentAt: 0, answerTo: answers!.rawValue)
    payload.sequence = sent % 64 == 0 ? registryClock() : 0
    sent += 1
    let result = withUnsafeBytes(of: &payload) {
      rig.registry.send($0.bytes, to: rig.names[target])
    }
    if result != .accepted { refused += 1 }
  }

  func received(_ mailbox: Mailbox, _ message: consuming Message) throws {}

  func received(_ batch: inout MailboxBatch) throws {
    var count = 0
    while let message = batch.next() {
      count += 1
      message.withUnsafeBytes { bytes in
        let sentAt = bytes.load(as: RoutedPayload.self).sequence
        if sentAt != 0 { latencies.append(registryClock() &- sentAt) }
      }
    }
    for _ in 0..<count { request() }
    acknowledged.add(count, ordering: .releasing)
  }
}
