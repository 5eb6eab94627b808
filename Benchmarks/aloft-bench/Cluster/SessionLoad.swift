import Aloft
import AloftNode

/// Writes that go on while nodes are killed, each remembered, so that what was acknowledged can be
/// held against what is there in the end. On the loop of a node that serves none of the sessions.
final class SessionLoad: @unchecked Sendable {
  // @unchecked: used on the node's loop alone.
  private let node: Node
  private let sessions: Sessions
  private let bytes: Int
  private var ids: [SessionID] = []
  /// By session: the last number that was acknowledged, and the last one that was sent.
  private var acked: [UInt64] = []
  private var sent: [UInt64] = []
  private var isLoading = false
  private var underWay = 0
  private var answered = 0
  private var failed = 0
  private var whenDone: (() -> Void)?
  private var marked: [Int] = []

  init(_ node: Node, bytes: Int) {
    self.node = node
    sessions = node.sessions
    self.bytes = bytes
  }

  /// On the node's loop, when `body` has called what it was given.
  private func onLoop<Value: Sendable>(
    _ body: @escaping @Sendable (@escaping @Sendable (Value) -> Void) -> Void
  ) async -> Value {
    await withCheckedContinuation { done in
      try? node.eventLoop.execute { body { done.resume(returning: $0) } }
    }
  }

  private func bytes(of number: UInt64) -> [UInt8] {
    var state = Array(repeating: UInt8(truncatingIfNeeded: number), count: bytes)
    for place in 0..<8 { state[place] = UInt8(truncatingIfNeeded: number >> UInt64(8 * place)) }
    return state
  }

  // MARK: Orders

  func fill(_ count: Int) async -> String {
    await onLoop { [self] done in
      let state = bytes(of: 0)
      each(count, atATime: 1_000) {
        self.create(state, $1)
      } then: {
        done("filled \(self.ids.count) \(self.failed)")
      }
    }
  }

  private func create(_ state: [UInt8], _ next: @escaping () -> Void) {
    let id = sessions.create(state.span.bytes) { [self] _, failure in
      if failure != nil { failed += 1 }
      next()
    }
    guard let id else {
      failed += 1
      return next()
    }
    ids.append(id)
    acked.append(0)
    sent.append(0)
  }

  /// Writers begin, and don't end by themselves.
  func begin(writers: Int) async -> String {
    await onLoop { [self] done in
      isLoading = true
      for writer in 0..<min(writers, ids.count) {
        underWay += 1
        write(writer, step: writers)
      }
      done("loading")
    }
  }

  private func write(_ index: Int, step: Int) {
    guard isLoading else {
      underWay -= 1
      if underWay == 0 {
        whenDone?()
        whenDone = nil
      }
      return
    }
    sent[index] += 1
    let number = sent[index]
    let state = bytes(of: number)
    sessions.put(state.span.bytes, to: ids[index]) { [self] _, failure in
      if failure == nil {
        acked[index] = number
        answered += 1
      } else {
        failed += 1
      }
      let next = index + step < ids.count ? index + step : index % step
      // An answer may come from within the call.
      try? node.eventLoop.execute { self.write(next, step: step) }
    }
  }

  func end() async -> String {
    await onLoop { [self] done in
      isLoading = false
      let tell: @Sendable () -> Void = { done("loaded \(self.answered) \(self.failed)") }
      if underWay == 0 { tell() } else { whenDone = tell }
    }
  }

  /// Which sessions a node serves, or all.
  func mark(_ number: Int) async -> String {
    await onLoop { [self] done in
      let owners = node.owners
      marked = ids.indices.filter { index in
        number == 0 || ids[index].slot.map { owners[Int($0.rawValue)] == number } ?? false
      }
      done("marked \(marked.count)")
    }
  }

  /// Reads each marked one until it's there: how long that took since a time.
  func sweep(since began: UInt64) async -> String {
    await onLoop { [self] done in
      var times: [UInt64] = []
      let marked = self.marked
      each(marked.count, atATime: 4_000) { [self] at, next in
        let end = monotonicNow() + 20_000_000_000
        Attempt(self, marked[at], until: end) { isThere in
          if isThere { times.append(monotonicNow() - began) }
          next()
        }.go()
      } then: {
        times.sort()
        let last = max(0, times.count - 1)
        func at(_ percent: Int) -> UInt64 { times.isEmpty ? 0 : times[last * percent / 100] }
        done("swept \(times.count) \(at(50)) \(at(99)) \(at(100))")
      }
    }
  }

  /// Reads a session until it's there.
  private final class Attempt: @unchecked Sendable {
    // @unchecked: used on the node's loop alone.
    private let load: SessionLoad
    private let index: Int
    private let end: UInt64
    private let done: (Bool) -> Void

    init(_ load: SessionLoad, _ index: Int, until end: UInt64, _ done: @escaping (Bool) -> Void) {
      self.load = load
      self.index = index
      self.end = end
      self.done = done
    }

    func go() {
      load.sessions.read(load.ids[index]) { [self] _, _, failure in
        if failure == nil { return done(true) }
        guard monotonicNow() < end else { return done(false) }
        try? load.node.eventLoop.execute { self.go() }
      }
    }
  }

  /// Holds all sessions against what was acknowledged.
  func verify() async -> String {
    await onLoop { [self] done in
      var (there, lost, strange) = (0, 0, 0)
      each(ids.count, atATime: 1_000) { [self] index, next in
        sessions.read(ids[index]) { state, _, failure in
          if failure == nil, state.byteCount == self.bytes {
            there += 1
            let number = state.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt64.self)
            if number < self.acked[index] { lost += 1 }
            if number > self.sent[index] { strange += 1 }
          } else if self.acked[index] > 0 {
            lost += 1
          }
          next()
        }
      } then: {
        done("verified \(self.ids.count) \(there) \(lost) \(strange)")
      }
    }
  }

  /// `body` for each number below `count`, some at a time; it calls what it's given when it's
  /// through.
  private func each(
    _ count: Int, atATime: Int, _ body: @escaping (Int, @escaping () -> Void) -> Void,
    then: @escaping () -> Void
  ) {
    let walk = Walk(node.eventLoop, count, body, then)
    if count == 0 { return then() }
    for _ in 0..<min(atATime, count) { walk.next() }
  }

  private final class Walk: @unchecked Sendable {
    // @unchecked: used on one loop.
    private let loop: EventLoop
    private let count: Int
    private let body: (Int, @escaping () -> Void) -> Void
    private let then: () -> Void
    private var begun = 0
    private var finished = 0

    init(
      _ loop: EventLoop, _ count: Int, _ body: @escaping (Int, @escaping () -> Void) -> Void,
      _ then: @escaping () -> Void
    ) {
      self.loop = loop
      self.count = count
      self.body = body
      self.then = then
    }

    func next() {
      guard begun < count else { return }
      begun += 1
      body(begun - 1) { [self] in
        finished += 1
        if finished == count { return then() }
        try? loop.execute { self.next() }
      }
    }
  }
}
