import Aloft
import AloftNode
import Foundation
import Synchronization

/// What a node of the bench does when it is told to.
final class NodeWork: Sendable {
  let node = Mutex<Node?>(nil)
  let sessions = Mutex<SessionWork?>(nil)
  let service = Mutex<EndToEndService?>(nil)
  let history = Mutex<SessionHistory?>(nil)
  let churn = Mutex<SessionChurn?>(nil)
  private let runtime: Runtime
  private let name: String
  private let sink = MessageSink()
  private let chaosSink = ChaosSink()
  private let chaosLoad = Mutex<ChaosLoad?>(nil)
  /// Members that are up, as told.
  private let up = Mutex<Set<Node.Peer>>([])

  init(_ runtime: Runtime, _ name: String) throws {
    self.runtime = runtime
    self.name = name
    let (sink, chaosSink, name) = (self.sink, self.chaosSink, name)
    try waitFor {
      let mailbox = try await runtime.mailbox(on: runtime.eventLoops[0], handler: sink)
      try runtime.registry.register("sink-\(name)", mailbox)
      let other = try await runtime.mailbox(on: runtime.eventLoops[0], handler: chaosSink)
      try runtime.registry.register("chaos-\(name)", other)
    }
  }

  func happened(_ event: Node.Event) {
    let now = monotonicNow()
    switch event {
    case .up(let peer):
      RoleOutput.say("up \(up.withLock { $0.insert(peer); return $0.count }) \(now)")
    case .down(let peer), .left(let peer):
      // The others' word for it may come before this node's own finding.
      RoleOutput.say("dead \(peer.node) \(now)")
      RoleOutput.say("up \(up.withLock { $0.remove(peer); return $0.count }) \(now)")
    case .dead(let peer): RoleOutput.say("dead \(peer.node) \(now)")
    case .accepting(let isAccepting): RoleOutput.say("accepting \(isAccepting ? 1 : 0) \(now)")
    case .slotsChanged: Task { await tellSlots() }
    case .stopped(let reason): RoleOutput.say("stopped \(reason)")
    default: break
    }
  }

  func order(_ words: [String]) async throws -> String {
    let numbers = words.dropFirst().compactMap { Int($0) }
    switch (words.first ?? "", numbers.count) {
    case ("link", _): return try await link(Array(words.dropFirst()))
    case ("expect", 1):
      sink.expect(numbers[0])
      return "ok"
    case ("flood", 2): return try await flood(numbers[0], bytes: numbers[1])
    case ("counted", 0):
      try await sink.wait()
      return "got \(sink.count) \(sink.disorders) \(sink.ended)"
    case ("calls", 3):
      return try await calls(numbers[0], bytes: numbers[1], outstanding: numbers[2])
    case ("transfer", 3):
      return try await calls(
        numbers[0], bytes: numbers[1], outstanding: 1, transferBytes: numbers[2])
    case ("pairs", _): return try await pairs(Array(words.dropFirst()))
    case ("heard", 1):
      try await sink.wait(for: numbers[0])
      return "heard \(sink.count)"
    case ("load", 0), ("unload", 0), ("audit", 0): return try await chaosOrder(words[0])
    case ("state", 0): return await state()
    case ("serve", 0): return "serving \(try await service.withLock { $0 }?.start() ?? 0)"
    case ("number", 0): return "number \(await current()?.status()?.node ?? 0)"
    default:
      if let history = history.withLock({ $0 }), let answer = try await history.order(words) {
        return answer
      }
      if let churn = churn.withLock({ $0 }), let answer = try await churn.order(words) {
        return answer
      }
      if let sessions = sessions.withLock({ $0 }), let answer = try await sessions.order(words) {
        return answer
      }
      throw BenchError("a node does not know `\(words.joined(separator: " "))`")
    }
  }

  // MARK: Chaos

  private func state() async -> String {
    guard let status = await current()?.status() else { return "state 0 0 0 0" }
    let up = status.members.count { $0.state == .up }
    return "state \(status.isMember ? 1 : 0) \(status.isAccepting ? 1 : 0) \(up) \(status.epoch)"
  }

  /// Which epoch it is, how many slots each node owns in it, and a digest of who owns which.
  private func tellSlots() async {
    guard let node = current(), var status = await node.status() else { return }
    // Of one epoch, if it was the same before and after. What changes meanwhile is told of anew.
    for _ in 0..<100 {
      let digest = Self.digest(node.owners)
      guard let later = await node.status() else { return }
      if later.epoch == status.epoch {
        let counts =
          status.members.filter { $0.slots > 0 }.sorted { $0.node < $1.node }
          .map { "\($0.node):\($0.slots)" } + ["digest:\(digest)"]
        let list = counts.joined(separator: ",")
        return RoleOutput.say("slots \(status.epoch) \(monotonicNow()) \(list)")
      }
      status = later
    }
  }

  /// FNV-1a (Fowler, Noll and Vo) over all slots' owners.
  private static func digest(_ owners: SlotOwners) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for slot in 0..<SlotOwners.count {
      hash = (hash ^ UInt64(owners[slot])) &* 0x100_0000_01B3
    }
    return String(hash, radix: 16)
  }

  func chaos(_ node: Node) throws -> ChaosLoad {
    let load = ChaosLoad(node, runtime, chaosSink)
    chaosLoad.withLock { $0 = load }
    return load
  }

  private func chaosOrder(_ word: String) async throws -> String {
    guard let load = chaosLoad.withLock({ $0 }) else { throw BenchError("no node") }
    switch word {
    case "load": try await load.start()
    case "unload": try await load.stop()
    default: return try await load.audit()
    }
    return "ok"
  }

  private func current() -> Node? { node.withLock { $0 } }

  /// Names of nodes: where messages and calls go. Answers when all of them are known.
  private let linked = Mutex<[Mailbox]>([])
  private let called = Mutex<Int>(0)

  private func link(_ names: [String]) async throws -> String {
    var found: [Mailbox] = []
    for name in names {
      let end = ContinuousClock.now + .seconds(10)
      while true {
        if case .mailbox(let mailbox)? = runtime.registry.lookUp("sink-\(name)") {
          found.append(mailbox)
          break
        }
        if ContinuousClock.now > end { throw BenchError("sink-\(name) is unknown after 10 s") }
        try await Task.sleep(for: .milliseconds(1))
      }
    }
    let members = await current()?.status()?.members ?? []
    let all = found
    linked.withLock { $0 = all }
    called.withLock { $0 = members.first { $0.name == names.first }?.node ?? 0 }
    return "ok"
  }

  /// One message to each by name, through the registry.
  private func pairs(_ names: [String]) async throws -> String {
    var taken = 0
    for name in names {
      let end = ContinuousClock.now + .seconds(10)
      while runtime.registry.send(Message(copying: [0]), to: "sink-\(name)") != .accepted {
        if ContinuousClock.now > end { throw BenchError("nothing can be sent to sink-\(name)") }
        try await Task.sleep(for: .milliseconds(1))
      }
      taken += 1
    }
    return "sent \(taken)"
  }

  // MARK: Messages

  private func flood(_ count: Int, bytes: Int) async throws -> String {
    let targets = linked.withLock { $0 }
    guard bytes >= 8, !targets.isEmpty else { throw BenchError("flood wants 8 bytes and a link") }
    let loop = runtime.eventLoops[0]
    let began = monotonicNow()
    await withCheckedContinuation { continuation in
      let flood = Flood(targets, count: count, bytes: bytes) { continuation.resume() }
      flood.begin(on: loop)
    }
    return "sent \(began)"
  }

  // MARK: Calls

  /// With `transferBytes`, messages of that size go to the same node meanwhile, one by one.
  private func calls(
    _ count: Int, bytes: Int, outstanding: Int, transferBytes: Int? = nil
  ) async throws -> String {
    guard let node = current() else { throw BenchError("no node") }
    let target = called.withLock { $0 }
    let large = transferBytes.flatMap { bytes in
      linked.withLock { $0.first }.map { Transfers($0, bytes: bytes) }
    }
    let began = monotonicNow()
    let times = try await withCheckedThrowingContinuation { continuation in
      let caller = Caller(node, target, count: count, bytes: bytes, large) {
        continuation.resume(with: $0)
      }
      caller.begin(outstanding: outstanding)
    }
    let taken = monotonicNow() - began
    let sorted = times.sorted()
    let transfers = large.map { " \($0.count)" } ?? ""
    return "did \(taken) \(sorted[count / 2]) \(sorted[min(count - 1, count * 99 / 100)])"
      + transfers
  }
}

/// A large message, sent again as soon as it is taken; on the node's loop.
private final class Transfers: @unchecked Sendable {
  // @unchecked: used on the node's loop until the calls are over.
  private let target: Mailbox
  private let message: Message
  private(set) var count = 0

  init(_ target: Mailbox, bytes: Int) {
    self.target = target
    message = Message(copying: [UInt8](repeating: 0, count: bytes))
  }

  /// Refused while one is on its way.
  func goOn() {
    if target.send(message.share()) == .accepted { count += 1 }
  }
}

/// Counts what comes, and whether it comes in order.
final class MessageSink: MailboxHandler {
  private let received = Atomic<Int>(0)
  private let wrong = Atomic<Int>(0)
  private let expected = Atomic<Int>(.max)
  private let end = Atomic<UInt64>(0)

  var count: Int { received.load(ordering: .acquiring) }
  var disorders: Int { wrong.load(ordering: .acquiring) }
  var ended: UInt64 { end.load(ordering: .acquiring) }

  func expect(_ count: Int) {
    received.store(0, ordering: .relaxed)
    wrong.store(0, ordering: .relaxed)
    expected.store(count, ordering: .releasing)
  }

  func wait() async throws { try await wait(for: expected.load(ordering: .acquiring)) }

  func wait(for wanted: Int) async throws {
    let limit = ContinuousClock.now + .seconds(20)
    while count < wanted, ContinuousClock.now < limit {
      try await Task.sleep(for: .microseconds(200))
    }
  }

  func received(_ mailbox: Mailbox, _ message: consuming Message) {}

  func received(_ batch: inout MailboxBatch) {
    // Written by this loop alone while messages are expected.
    var count = received.load(ordering: .relaxed)
    let last = expected.load(ordering: .relaxed)
    while let message = batch.next() {
      let number: Int = message.withUnsafeBytes {
        $0.count >= 8 ? $0.loadUnaligned(as: Int.self) : count
      }
      if number != count { wrong.add(1, ordering: .relaxed) }
      count += 1
      if count == last { end.store(monotonicNow(), ordering: .releasing) }
    }
    received.store(count, ordering: .releasing)
  }
}

/// Numbered messages to each of some mailboxes in turn, as fast as they are taken; on one loop.
private final class Flood: @unchecked Sendable {
  // @unchecked: used on its loop alone.
  private let targets: [Mailbox]
  private let count: Int
  private var body: [UInt8]
  private var sent = 0
  /// Of the message under way, those that have it.
  private var taken = 0
  private let done: () -> Void
  private static let batch = 2_048

  init(_ targets: [Mailbox], count: Int, bytes: Int, done: @escaping () -> Void) {
    self.targets = targets
    self.count = count
    body = Array(repeating: 0, count: bytes)
    self.done = done
  }

  func begin(on loop: EventLoop) { try? loop.execute { self.go(on: loop) } }

  private func go(on loop: EventLoop) {
    var left = Self.batch
    while sent < count, left > 0 {
      let number = sent
      body.withUnsafeMutableBytes { $0.storeBytes(of: number, as: Int.self) }
      while taken < targets.count {
        guard targets[taken].send(body.span.bytes) == .accepted else {
          left = 0
          break
        }
        taken += 1
      }
      if taken < targets.count { break }
      taken = 0
      sent += 1
      left -= 1
    }
    if sent == count { return done() }
    // The loop's other work has its turn: what was sent goes out.
    try? loop.execute { self.go(on: loop) }
  }
}

/// Calls, some at a time: each answer makes the next one. A call carries its number, so its answer
/// tells when it was made.
private final class Caller: @unchecked Sendable {
  // @unchecked: used on the node's loop alone.
  private let node: Node
  private let target: Int
  private let count: Int
  private let bytes: Int
  private let transfers: Transfers?
  private let times: UnsafeMutablePointer<UInt64>
  private let body: UnsafeMutableRawPointer
  private var begun = 0
  private var ended = 0
  private var answer: ((RawSpan, NodeCallError?) -> Void)?
  private let done: (Result<[UInt64], any Error>) -> Void

  init(
    _ node: Node, _ target: Int, count: Int, bytes: Int, _ transfers: Transfers?,
    done: @escaping (Result<[UInt64], any Error>) -> Void
  ) {
    self.node = node
    self.target = target
    self.count = count
    self.bytes = bytes
    self.transfers = transfers
    self.done = done
    times = .allocate(capacity: count)
    body = .allocate(byteCount: bytes, alignment: 8)
    body.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
  }

  deinit {
    times.deallocate()
    body.deallocate()
  }

  func begin(outstanding: Int) {
    answer = { reply, error in self.answered(reply, error) }
    try? node.eventLoop.execute {
      for _ in 0..<min(outstanding, self.count) { self.next() }
    }
  }

  private func next() {
    guard begun < count, let answer else { return }
    transfers?.goOn()
    times[begun] = monotonicNow()
    body.storeBytes(of: begun, as: Int.self)
    begun += 1
    let span = UnsafeRawBufferPointer(start: body, count: bytes).bytes
    node.call(target, span, within: .seconds(20), answer)
  }

  private func answered(_ reply: RawSpan, _ error: NodeCallError?) {
    if let error { return finish(.failure(error)) }
    let number = reply.unsafeLoadUnaligned(as: Int.self)
    times[number] = monotonicNow() - times[number]
    ended += 1
    if ended < count { return next() }
    finish(.success(Array(UnsafeBufferPointer(start: times, count: count))))
  }

  private func finish(_ result: Result<[UInt64], any Error>) {
    // The first end is the end.
    guard answer != nil else { return }
    answer = nil
    begun = count
    done(result)
  }
}
