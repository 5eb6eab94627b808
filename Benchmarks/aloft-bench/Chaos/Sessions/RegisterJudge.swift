/// Judges the history of one session whose state is replaced as a whole, by many at a time.
///
/// Each write has a number of its own and, when it's done, a version; versions grow. So an order in
/// which everything happened is given by the versions, and a history is linearizable if that order
/// agrees with time: whatever ends before another thing begins has no greater version. That is
/// seen as the history goes on, from the greatest version known when an operation begins.
struct RegisterJudge {
  private(set) var faults = HistoryFaults()
  /// Numbers are given out from 1; the session is made with number 0.
  private(set) var lastNumber: UInt64 = 0
  /// The greatest version that was told to anybody.
  private(set) var known: UInt64 = 0
  /// Of the last writes, by number: the version that each is known to have, or 0.
  private var recent = [Write](repeating: Write(number: .max), count: RegisterJudge.recentMax)
  private var refused: Set<UInt64> = []
  private var open: Set<UInt64> = []

  private struct Write {
    var number: UInt64
    var version: UInt64 = 0
    /// The version that it replaced, if it said so.
    var expected: UInt64?
  }

  /// Writes that may still be found with another version than they had.
  static let recentMax = 16

  /// What was known when an operation began.
  struct Start {
    fileprivate let known: UInt64
  }

  /// The session was made, in this version.
  mutating func made(version: UInt64) {
    known = max(known, version)
    learn(0, version)
  }

  mutating func begin() -> Start { Start(known: known) }

  mutating func beginWrite() -> (start: Start, number: UInt64) {
    lastNumber += 1
    recent[Int(lastNumber) % Self.recentMax] = Write(number: lastNumber)
    open.insert(lastNumber)
    return (Start(known: known), lastNumber)
  }

  /// - Parameter expected: the version that the write was to replace, if it said so.
  mutating func wrote(
    _ number: UInt64, _ start: Start, expected: UInt64?, _ outcome: HistoryOutcome
  ) {
    switch outcome {
    case .done(let version):
      // Older than what others had been told before it was begun.
      if version <= start.known { faults.misordered += 1 }
      // Between the two there was another one.
      if let expected, version <= expected || isBetween(expected, version) {
        faults.misordered += 1
      }
      learn(number, version)
      let place = Int(number % UInt64(Self.recentMax))
      if recent[place].number == number { recent[place].expected = expected }
      known = max(known, version)
      open.remove(number)
    case .certainlyNot:
      open.remove(number)
      refused.insert(number)
      if version(of: number) != 0 { faults.future += 1 }
    case .uncertain: break
    }
  }

  /// A read's answer; `isLast` when nothing is under way any more and nothing will be.
  mutating func read(_ start: Start, number: UInt64, version: UInt64, isLast: Bool = false) {
    if version < start.known {
      if isLast { faults.lost += 1 } else { faults.stale += 1 }
    }
    if number > lastNumber || refused.contains(number) { faults.future += 1 }
    learn(number, version)
    known = max(known, version)
  }

  /// What it knows, for whoever has to find out why it complains.
  var text: String {
    let writes = recent.filter { $0.number != .max }.sorted { $0.number < $1.number }
      .map { "\($0.number):\($0.version >> 16).\($0.version & 0xffff)" }
    return "known \(known >> 16).\(known & 0xffff), writes \(writes.joined(separator: " ")), "
      + "under way \(open.sorted())"
  }

  private func version(of number: UInt64) -> UInt64 {
    let entry = recent[Int(number % UInt64(Self.recentMax))]
    return entry.number == number ? entry.version : 0
  }

  private func isBetween(_ low: UInt64, _ high: UInt64) -> Bool {
    recent.contains { $0.version > low && $0.version < high }
  }

  /// The write has this version, and no other one; and the version no other write.
  private mutating func learn(_ number: UInt64, _ version: UInt64) {
    let place = Int(number % UInt64(Self.recentMax))
    guard number <= lastNumber else { return }
    guard recent[place].number == number || recent[place].number == UInt64.max else {
      // It was written over long ago; only one whose end nobody knows may come so late.
      if version > known, !open.contains(number) { faults.duplicated += 1 }
      return
    }
    let before = recent[place].version
    if recent[place].number == number, before != 0, before != version { faults.duplicated += 1 }
    if recent.contains(where: { $0.version == version && $0.number != number }) {
      faults.duplicated += 1
    }
    // In the place of what another one had replaced at once.
    let isBetween = recent.contains {
      $0.number != number && $0.expected.map { $0 < version } == true && version < $0.version
    }
    if isBetween { faults.misordered += 1 }
    recent[place].number = number
    recent[place].version = version
  }
}
