import AloftCluster
import AloftMembership
import Glibc
import Testing

/// Calls: answered once, or told why not, whatever becomes of the link.
@Suite(.serialized)
struct CallStories {
  enum Outcome: Equatable {
    case reply([UInt8])
    case failed(UInt8, [UInt8])
    case timedOut
    case linkDown

    init(_ outcome: CallOutcome) {
      self =
        switch outcome {
        case .reply(let bytes): .reply(Array(bytes))
        case .failed(let code, let bytes): .failed(code, Array(bytes))
        case .timedOut: .timedOut
        case .linkDown: .linkDown
        }
    }
  }

  private let outcomes = Guarded<[Outcome]>([])

  @discardableResult
  private func call(
    _ node: Node, _ bytes: [UInt8], timeout: UInt32 = 10_000, stream: UInt16 = 2
  ) throws -> CallStart {
    let outcomes = outcomes
    return try node.on { node in
      bytes.withUnsafeBytes {
        node.table.call(
          to: NodeID(rawValue: 2), stream: stream, kind: 1, $0, timeout: timeout
        ) { outcome in
          let outcome = Outcome(outcome)
          outcomes.with { $0.append(outcome) }
        }
      }
    }
  }

  @Test("A call is answered with what the peer says", arguments: [0, 1, 1_000, 70_000, 3 << 20])
  func answered(count: Int) throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    let message = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    try call(a, message)
    #expect(eventually { outcomes.now == [.reply(message)] })
    #expect(b.told.now.calls.map(\.timeout) == [10_000])
  }

  @Test("A thousand calls at once get each its own answer, in whatever order they are given")
  func many() throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    let kept = Guarded<[(IncomingCall, [UInt8])]>([])
    try b.on { node in
      node.onCall = { node, _, call, bytes in
        kept.with { $0.append((call, bytes)) }
        guard kept.now.count == 1_000 else { return }
        for (call, bytes) in kept.now.reversed() {
          bytes.withUnsafeBytes { #expect(node.table.reply(to: call, $0) == .accepted) }
        }
      }
    }
    let right = Guarded(0)
    try a.on { node in
      for number in 0..<1_000 {
        withUnsafeBytes(of: number) {
          _ = node.table.call(
            to: NodeID(rawValue: 2), stream: 1, kind: 0, $0, timeout: 10_000
          ) { outcome in
            guard case .reply(let bytes) = outcome, bytes.loadUnaligned(as: Int.self) == number
            else { return }
            right.with { $0 += 1 }
          }
        }
      }
    }
    #expect(eventually { right.now == 1_000 })
  }

  @Test("A failure comes back with its code and words")
  func failure() throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    try b.on { node in
      node.onCall = { node, _, call, _ in
        Array("no".utf8).withUnsafeBytes { _ = node.table.fail(call, code: 44, $0) }
      }
    }
    try call(a, [1])
    #expect(eventually { outcomes.now == [.failed(44, Array("no".utf8))] })
  }

  @Test("Without an answer in time the call is over, not before, and a late answer is dropped")
  func timeout() throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    try b.on { $0.onCall = { _, _, _, _ in } }
    var began = timespec()
    clock_gettime(CLOCK_MONOTONIC, &began)
    try call(a, [1], timeout: 30)
    #expect(eventually { outcomes.now == [.timedOut] })
    var ended = timespec()
    clock_gettime(CLOCK_MONOTONIC, &ended)
    let took = (ended.tv_sec - began.tv_sec) * 1_000_000 + (ended.tv_nsec - began.tv_nsec) / 1_000
    #expect(took >= 30_000)
    #expect(eventually { b.told.now.cancelled == 1 })
    try b.on { node in
      [UInt8(1)].withUnsafeBytes {
        #expect(node.table.reply(to: node.told.now.calls[0], $0) == .accepted)
      }
    }
    #expect(eventually { (try? a.statistics().answersLate) == 1 })
    #expect(outcomes.now == [.timedOut])
  }

  @Test("Calls end in the order of their times, the loop's timer going from one to the next")
  func timeouts() throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    try b.on { $0.onCall = { _, _, _, _ in } }
    let order = Guarded<[UInt32]>([])
    try a.on { node in
      for timeout: UInt32 in [60, 20, 40, 5] {
        [UInt8(1)].withUnsafeBytes {
          _ = node.table.call(
            to: NodeID(rawValue: 2), stream: 1, kind: 0, $0, timeout: timeout
          ) { _ in order.with { $0.append(timeout) } }
        }
      }
    }
    #expect(eventually { order.now == [5, 20, 40, 60] })
  }

  @Test("A cancelled call is told to the peer, and its closure is never called")
  func cancel() throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    try b.on { $0.onCall = { _, _, _, _ in } }
    guard case .started(let id) = try call(a, [1]) else {
      Issue.record("not started")
      return
    }
    #expect(eventually { b.told.now.calls.count == 1 })
    #expect(try a.on { $0.table.cancel(id) })
    #expect(try !a.on { $0.table.cancel(id) })
    #expect(eventually { b.told.now.cancelled == 1 })
    try call(a, [2], timeout: 5)
    #expect(eventually { outcomes.now == [.timedOut] })
  }

  @Test("When the link goes, calls under way are told; without one none starts")
  func down() throws {
    let (a, b) = try makePair()
    defer { a.stop() }
    try b.on { $0.onCall = { _, _, _, _ in } }
    try call(a, [1])
    try call(a, [2])
    #expect(eventually { b.told.now.calls.count == 2 })
    b.kill()
    #expect(eventually { outcomes.now == [.linkDown, .linkDown] })
    #expect(try call(a, [3]) == .noLink)
  }

  @Test("No more calls are under way than are allowed")
  func limit() throws {
    let (a, b) = try makePair { $0.callsMax = 3 }
    defer {
      a.stop()
      b.stop()
    }
    try b.on { $0.onCall = { _, _, _, _ in } }
    for _ in 0..<3 { try call(a, [1], timeout: 60_000) }
    #expect(try call(a, [1]) == .tooMany)
  }

  @Test("An answer given on another link than the call's goes nowhere")
  func otherLink() throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    try b.on { $0.onCall = { _, _, _, _ in } }
    try call(a, [1])
    #expect(eventually { b.told.now.calls.count == 1 })
    try b.on { $0.table.close($0.table.peer(named: "a")!) }
    #expect(eventually { b.told.now.up.count == 2 && a.told.now.up.count == 2 })
    let result = try b.on { node in
      [UInt8(1)].withUnsafeBytes { node.table.reply(to: node.told.now.calls[0], $0) }
    }
    #expect(result == .noLink)
    #expect(outcomes.now == [.linkDown])
  }
}
