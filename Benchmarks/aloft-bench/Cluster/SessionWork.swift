import Aloft
import AloftNode
import Synchronization

/// What a node of the bench does with sessions: writers that each ask for the next when the last
/// was answered, on the node's own loop.
final class SessionWork: @unchecked Sendable {
  // @unchecked: what changes is used on the node's loop alone.
  private let node: Node
  /// Sessions that were made here.
  private var made: [SessionID] = []
  private let load = Mutex<SessionLoad?>(nil)

  init(_ node: Node) { self.node = node }

  private func current() throws -> SessionLoad {
    guard let load = load.withLock({ $0 }) else { throw BenchError("no sessions were filled in") }
    return load
  }

  func order(_ words: [String]) async throws -> String? {
    let numbers = words.dropFirst().compactMap { Int($0) }
    switch (words.first ?? "", numbers.count) {
    case ("creates", 3):
      return try await write(count: numbers[0], writers: numbers[1], bytes: numbers[2]) {
        [self] sessions, state, _, answer in
        // Before a node has work there is no number to be had.
        guard let id = sessions.create(state, answer) else { return false }
        made.append(id)
        return true
      }
    case ("updates", 3):
      return try await write(count: numbers[0], writers: numbers[1], bytes: numbers[2]) {
        [self] sessions, state, number, answer in
        sessions.put(state, to: made[number &* 7_919 % made.count], answer)
        return true
      }
    case ("reads", 1): return try await read(count: numbers[0])
    case ("fill", 2):
      let fresh = SessionLoad(node, bytes: numbers[1])
      load.withLock { $0 = fresh }
      return await fresh.fill(numbers[0])
    case ("load", 1): return try await current().begin(writers: numbers[0])
    case ("rest", 0): return try await current().end()
    case ("mark", 1): return try await current().mark(numbers[0])
    case ("sweep", 1): return try await current().sweep(since: UInt64(numbers[0]))
    case ("verify", 0): return try await current().verify()
    case ("leader", 0): return "leader \(await node.status()?.leader ?? 0)"
    case ("entries", 0):
      let statistics = await node.sessions.statistics()
      return "entries \(statistics?.entries ?? 0) \(statistics?.entriesFailed ?? 0)"
        + " \(statistics?.requestsOut ?? 0) \(statistics?.requestsHeld ?? 0)"
    case ("ready", 0): return try await settle(owners: 4)
    case ("settled", 1): return try await settle(owners: numbers[0])
    default: return nil
    }
  }

  /// Waits until so many nodes have work, and three of them vote.
  private func settle(owners: Int) async throws -> String {
    let end = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < end {
      let status = await node.status()
      let members = status?.members.filter { $0.state == .up } ?? []
      let isSettled = members.allSatisfy { $0.slots > 0 || $0.weight == 0 }
      if status?.isAccepting == true, isSettled, members.filter(\.isVoter).count >= 3,
        members.filter({ $0.slots > 0 }).count == owners
      {
        return "settled"
      }
      try await Task.sleep(for: .milliseconds(2))
    }
    throw BenchError("the cluster has not settled within 20 s")
  }

  private func write(
    count: Int, writers: Int, bytes: Int,
    _ body: @escaping @Sendable (Sessions, RawSpan, Int, @escaping Sessions.Written) -> Bool
  ) async throws -> String {
    let writing = SessionWriters(node, count: count, bytes: bytes, body)
    let began = monotonicNow()
    let failures = await withCheckedContinuation { done in
      writing.begin(writers: writers) { done.resume(returning: $0) }
    }
    let sorted = writing.times.sorted()
    func at(_ percent: Int) -> UInt64 {
      sorted[min(sorted.count - 1, sorted.count * percent / 100)]
    }
    guard !sorted.isEmpty else { return "did \(began) \(monotonicNow()) 0 0 \(failures)" }
    return "did \(began) \(writing.ended) \(at(50)) \(at(99)) \(failures)"
  }

  /// Of the sessions that this node serves, one after the other.
  private func read(count: Int) async throws -> String {
    let number = await node.status()?.node ?? 0
    let owners = node.owners
    return await withCheckedContinuation { done in
      try? node.eventLoop.execute { [self] in
        let own = made.filter { $0.slot.map { owners[Int($0.rawValue)] == number } ?? false }
        guard !own.isEmpty else { return done.resume(returning: "read 0 1 0") }
        SessionReads(node, own, count: count) { done.resume(returning: $0) }.begin()
      }
    }
  }
}

/// Reads that are many in a turn of the loop, and few enough that it has others to do: a node that
/// doesn't hear of the others for long may not tell what its sessions are.
private final class SessionReads: @unchecked Sendable {
  // @unchecked: used on the node's loop alone.
  private let node: Node
  private let sessions: Sessions
  private let ids: [SessionID]
  private let count: Int
  private let done: (String) -> Void
  private var index = 0
  private var good = 0
  private var bytes = 0
  private var began: UInt64 = 0
  /// Some ten milliseconds' worth.
  private static let inTurn = 65_536

  init(_ node: Node, _ ids: [SessionID], count: Int, _ done: @escaping (String) -> Void) {
    self.node = node
    sessions = node.sessions
    self.ids = ids
    self.count = count
    self.done = done
  }

  func begin() {
    began = monotonicNow()
    goOn()
  }

  private func goOn() {
    var (good, bytes) = (0, 0)
    let end = min(count, index + Self.inTurn)
    let take = { (state: RawSpan, _: UInt64, failure: SessionFailure?) in
      if failure == nil { good += 1 }
      bytes &+= state.byteCount
    }
    for index in index..<end { sessions.read(ids[index &* 7_919 % ids.count], take) }
    self.good += good
    self.bytes &+= bytes
    index = end
    guard index < count else {
      return done("read \(self.good) \(monotonicNow() - began) \(self.bytes)")
    }
    // Not as a job, which would be done in the same turn.
    _ = try? node.eventLoop.schedule(after: .milliseconds(1)) { self.goOn() }
  }
}

/// Some writers on a node's loop.
private final class SessionWriters: @unchecked Sendable {
  // @unchecked: used on the node's loop, and read when all is over.
  typealias Body = @Sendable (Sessions, RawSpan, Int, @escaping Sessions.Written) -> Bool
  private let node: Node
  private let sessions: Sessions
  private let count: Int
  private let state: [UInt8]
  private let body: Body
  private var begun = 0
  private var finished = 0
  private var failures = 0
  private(set) var times: [UInt64] = []
  private(set) var ended: UInt64 = 0
  private var done: ((Int) -> Void)?

  init(_ node: Node, count: Int, bytes: Int, _ body: @escaping Body) {
    self.node = node
    sessions = node.sessions
    self.count = count
    state = (0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    self.body = body
    times.reserveCapacity(count)
  }

  func begin(writers: Int, _ done: @escaping @Sendable (Int) -> Void) {
    try? node.eventLoop.execute { [self] in
      self.done = done
      for _ in 0..<min(writers, count) { next() }
    }
  }

  private func next() {
    guard begun < count else { return }
    let number = begun
    begun += 1
    let from = monotonicNow()
    let state = state
    let isTaken = body(sessions, state.span.bytes, number) { [self] _, failure in
      if failure == nil { times.append(monotonicNow() - from) } else { failures += 1 }
      finish()
    }
    if !isTaken {
      failures += 1
      finish()
    }
  }

  private func finish() {
    finished += 1
    if finished < count {
      // A refusal comes at once: not from within it.
      if failures > 0 { return later() }
      return next()
    }
    ended = monotonicNow()
    done?(failures)
    done = nil
  }

  private func later() { try? node.eventLoop.execute { self.next() } }
}
