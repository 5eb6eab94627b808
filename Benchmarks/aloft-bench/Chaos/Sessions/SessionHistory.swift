import Aloft
import AloftNode
import Foundation

/// Clients of sessions, many at a time, whose every operation is judged as it ends. On the loop of
/// a node that serves none of the sessions.
final class SessionHistory: @unchecked Sendable {
  // @unchecked: used on the node's loop alone.
  private let node: Node
  private var sessions: Sessions
  private var random: SeededRandom
  /// Some have a state that is replaced, the others one that is appended to.
  private var registers: [Register] = []
  private var sets: [ElementSet] = []
  private var isGoingOn = false
  private var underWay = 0
  private var whenDone: (() -> Void)?
  private var faults = HistoryFaults()
  private var counts = Counts()

  private struct Counts {
    var acknowledged = 0
    var reads = 0
    var refused = 0
    var uncertain = 0
    var missing = 0
    var ended = 0
  }

  private struct Register {
    let id: SessionID
    var judge = RegisterJudge()
    var version: UInt64 = 0
    var atWork = 0
  }

  private struct ElementSet {
    var id: SessionID?
    var judge = SetJudge()
    var atWork = 0
    var isEnding = false
  }

  private static let bytes = 64
  /// A set of so many elements is closed, and another one takes its place.
  private static let elementsMax = 64
  /// Operations of one session at a time.
  private static let atWorkMax = 4

  init(_ node: Node, seed: UInt64) {
    self.node = node
    sessions = node.sessions
    sessions.patience = .seconds(5)
    random = SeededRandom(seed)
  }

  func order(_ words: [String]) async throws -> String? {
    let numbers = words.dropFirst().compactMap { Int($0) }
    switch (words.first ?? "", numbers.count) {
    case ("history", 3): return await begin(numbers[0], sets: numbers[1], clients: numbers[2])
    case ("progress", 0): return await onLoop { [self] in $0("progress \(text)") }
    case ("judge", 0): return await end()
    default: return nil
    }
  }

  private func onLoop(
    _ body: @escaping @Sendable (@escaping @Sendable (String) -> Void) -> Void
  ) async -> String {
    await withCheckedContinuation { done in
      try? node.eventLoop.execute { body { done.resume(returning: $0) } }
    }
  }

  /// Acknowledged writes and reads, what was refused and what is open, the faults by kind, and
  /// sessions that are gone though nobody closed them.
  private var text: String {
    var all = faults
    for register in registers { all += register.judge.faults }
    for set in sets { all += set.judge.faults }
    return "\(counts.acknowledged) \(counts.reads) \(counts.refused) \(counts.uncertain) "
      + "\(all.lost) \(all.duplicated) \(all.stale) \(all.future) \(all.misordered) "
      + "\(counts.missing) \(counts.ended)"
  }

  // MARK: The beginning

  private func begin(_ count: Int, sets: Int, clients: Int) async -> String {
    await onLoop { [self] done in
      let tell: () -> Void = { [self] in
        isGoingOn = true
        for _ in 0..<clients {
          underWay += 1
          next()
        }
        done("going")
      }
      for _ in 0..<sets { self.sets.append(ElementSet()) }
      make(count, tell)
    }
  }

  /// Registers, one after the other by the hundred, until there are so many.
  private func make(_ count: Int, _ then: @escaping () -> Void) {
    let wanted = min(100, count - registers.count)
    guard wanted > 0 else { return then() }
    var left = wanted
    for _ in 0..<wanted {
      makeOne { [self] in
        left -= 1
        if left == 0 { later { self.make(count, then) } }
      }
    }
  }

  private func makeOne(_ done: @escaping () -> Void) {
    var made: SessionID?
    let state = Self.state(0)
    made = sessions.create(state.span.bytes) { [self] version, failure in
      if let id = made, failure == nil {
        var register = Register(id: id)
        register.judge.made(version: version)
        registers.append(register)
      }
      done()
    }
    // Nobody has work yet, or none that is known of.
    if made == nil { later(done) }
  }

  private func later(after delay: Duration = .milliseconds(1), _ body: @escaping () -> Void) {
    let isScheduled = try? node.eventLoop.schedule(after: delay, body)
    precondition(isScheduled != nil, "there are fewer timers than clients")
  }

  private static func state(_ number: UInt64) -> [UInt8] {
    var state = Array(repeating: UInt8(truncatingIfNeeded: number), count: bytes)
    for place in 0..<8 { state[place] = UInt8(truncatingIfNeeded: number >> UInt64(8 * place)) }
    return state
  }

  // MARK: Clients

  /// One client's next operation.
  private func next() {
    guard isGoingOn else {
      underWay -= 1
      if underWay == 0 {
        whenDone?()
        whenDone = nil
      }
      return
    }
    if !sets.isEmpty, random.next() % 4 == 0 { return nextOfSet() }
    // Half of all go to a hundredth of the sessions.
    let some = random.next() % 2 == 0 ? max(1, registers.count / 100) : registers.count
    let index = Int.random(in: 0..<some, using: &random)
    guard registers[index].atWork < Self.atWorkMax else { return later { self.next() } }
    registers[index].atWork += 1
    switch random.next() % 10 {
    case 0..<4: read(index)
    case 4..<8: write(index, expected: nil)
    default: write(index, expected: registers[index].version)
    }
  }

  private func goOn(_ failure: SessionFailure?) {
    // Whoever was refused tries again in a while.
    if failure == nil { return later(after: .zero) { self.next() } }
    later(after: .milliseconds(10)) { self.next() }
  }

  private func outcome(_ version: UInt64, _ failure: SessionFailure?) -> HistoryOutcome {
    guard let failure else {
      counts.acknowledged += 1
      return .done(version: version)
    }
    switch failure.code {
    case .uncertain:
      counts.uncertain += 1
      return .uncertain
    case .unknown, .closed: counts.missing += 1
    default: counts.refused += 1
    }
    return .certainlyNot
  }

  private func read(_ index: Int) {
    let start = registers[index].judge.begin()
    sessions.read(registers[index].id) { [self] state, version, failure in
      registers[index].atWork -= 1
      if failure == nil {
        counts.reads += 1
        took(index, start, state, version)
      } else {
        _ = outcome(0, failure)
      }
      goOn(failure)
    }
  }

  private func took(
    _ index: Int, _ start: RegisterJudge.Start, _ state: RawSpan, _ version: UInt64,
    isLast: Bool = false
  ) {
    let number = state.byteCount == Self.bytes ? state.unsafeLoadUnaligned(as: UInt64.self) : .max
    watched(index, "read \(number), version \(version >> 16).\(version & 0xffff)") {
      $0.read(start, number: number, version: version, isLast: isLast)
    }
    registers[index].version = max(registers[index].version, version)
  }

  /// A fault is told where it's seen, with what was known before.
  private func watched(
    _ index: Int, _ what: @autoclosure () -> String, _ body: (inout RegisterJudge) -> Void
  ) {
    let before = registers[index].judge.faults
    body(&registers[index].judge)
    guard registers[index].judge.faults != before else { return }
    let line = "session \(index): \(what()): \(registers[index].judge.text)\n"
    try? FileHandle.standardError.write(contentsOf: Data(line.utf8))
  }

  private func write(_ index: Int, expected: UInt64?) {
    let (start, number) = registers[index].judge.beginWrite()
    let state = Self.state(number)
    sessions.put(state.span.bytes, to: registers[index].id, expected: expected) {
      [self] version, failure in
      registers[index].atWork -= 1
      let outcome = outcome(version, failure)
      watched(index, "wrote \(number), \(outcome), expected \(expected ?? 0)") {
        $0.wrote(number, start, expected: expected, outcome)
      }
      // A conflict tells the version that is there.
      registers[index].version = max(registers[index].version, version, failure?.version ?? 0)
      goOn(failure?.code == .conflict ? nil : failure)
    }
  }

  // MARK: Sets

  private func nextOfSet() {
    let place = Int.random(in: sets.indices, using: &random)
    guard sets[place].atWork < Self.atWorkMax, !sets[place].isEnding else {
      return later { self.next() }
    }
    guard let id = sets[place].id else {
      sets[place].isEnding = true
      return makeSet(place)
    }
    if sets[place].judge.count >= Self.elementsMax {
      guard sets[place].atWork == 0 else { return later { self.next() } }
      sets[place].isEnding = true
      return endSet(place, id)
    }
    sets[place].atWork += 1
    if random.next() % 2 == 0 { readSet(place, id) } else { append(place, id) }
  }

  private func makeSet(_ place: Int) {
    var made: SessionID?
    made = sessions.create([UInt8]().span.bytes) { [self] version, failure in
      if case .done = outcome(version, failure) { sets[place].id = made }
      sets[place].isEnding = false
      goOn(failure)
    }
    guard made == nil else { return }
    sets[place].isEnding = false
    later { self.next() }
  }

  private func append(_ place: Int, _ id: SessionID) {
    let element = sets[place].judge.beginAppend()
    withUnsafeBytes(of: element) { bytes in
      sessions.append(bytes.bytes, to: id) { [self] version, failure in
        sets[place].atWork -= 1
        sets[place].judge.appended(element, outcome(version, failure))
        goOn(failure)
      }
    }
  }

  private func readSet(_ place: Int, _ id: SessionID) {
    let start = sets[place].judge.beginRead()
    sessions.read(id) { [self] state, _, failure in
      sets[place].atWork -= 1
      if failure == nil {
        counts.reads += 1
        sets[place].judge.read(start, Self.elements(state))
      } else {
        _ = outcome(0, failure)
      }
      goOn(failure)
    }
  }

  private static func elements(_ state: RawSpan) -> [UInt64] {
    stride(from: 0, to: state.byteCount / 8 * 8, by: 8).map {
      state.unsafeLoadUnaligned(fromByteOffset: $0, as: UInt64.self)
    }
  }

  /// Read a last time and closed. After that it must be gone for everybody.
  private func endSet(_ place: Int, _ id: SessionID) {
    let start = sets[place].judge.beginRead()
    sessions.read(id) { [self] state, _, failure in
      guard failure == nil else {
        _ = outcome(0, failure)
        sets[place].isEnding = false
        return goOn(failure)
      }
      counts.reads += 1
      // Nothing is under way; what is of unknown end may come yet.
      sets[place].judge.read(start, Self.elements(state), isLast: true)
      close(place, id)
    }
  }

  private func close(_ place: Int, _ id: SessionID) {
    sessions.close(id) { [self] version, failure in
      let isGone = failure == nil || failure?.code == .unknown || failure?.code == .closed
      guard isGone else {
        _ = outcome(version, failure)
        sets[place].isEnding = false
        return goOn(failure)
      }
      counts.acknowledged += 1
      counts.ended += 1
      faults += sets[place].judge.faults
      sets[place] = ElementSet()
      sessions.read(id) { [self] _, _, failure in
        if failure == nil { faults.stale += 1 }
        goOn(nil)
      }
    }
  }

  // MARK: The end

  /// Clients end what they are at; then each session is read once more.
  private func end() async -> String {
    await onLoop { [self] done in
      let judge: () -> Void = { [self] in last(0) { done("judged \(self.text)") } }
      isGoingOn = false
      if underWay == 0 { judge() } else { whenDone = judge }
    }
  }

  private func last(_ from: Int, _ then: @escaping () -> Void) {
    let to = min(registers.count, from + 100)
    guard from < to else { return lastOfSets(then) }
    var left = to - from
    for index in from..<to {
      let start = registers[index].judge.begin()
      sessions.read(registers[index].id) { [self] state, version, failure in
        if failure == nil { took(index, start, state, version, isLast: true) }
        if failure != nil { counts.missing += 1 }
        left -= 1
        if left == 0 { later { self.last(to, then) } }
      }
    }
  }

  private func lastOfSets(_ then: @escaping () -> Void) {
    let open = sets.indices.filter { sets[$0].id != nil }
    var left = open.count
    if left == 0 { return then() }
    for place in open {
      let start = sets[place].judge.beginRead()
      sessions.read(sets[place].id!) { [self] state, _, failure in
        if failure == nil {
          sets[place].judge.read(start, Self.elements(state), isLast: true)
        } else {
          counts.missing += 1
        }
        left -= 1
        if left == 0 { later(then) }
      }
    }
  }
}
