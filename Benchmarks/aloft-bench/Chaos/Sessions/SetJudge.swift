/// Judges the history of one session to whose state elements are appended, by many at a time: each
/// that was acknowledged is there once from then on, in one place; none is there twice, and none
/// that was refused or never sent.
struct SetJudge {
  private(set) var faults = HistoryFaults()
  /// By element, counted from 0: when it was acknowledged among all, or why not.
  private var states: [State] = []
  private var acknowledged = 0
  /// The longest list that was read.
  private var longest: [UInt64] = []

  private enum State: Equatable {
    case sent
    case acknowledged(Int)
    case refused
  }

  /// What was acknowledged when a read began.
  struct Start {
    fileprivate let acknowledged: Int
    fileprivate let length: Int
  }

  var count: Int { states.count }

  mutating func beginAppend() -> UInt64 {
    states.append(.sent)
    return UInt64(states.count - 1)
  }

  mutating func appended(_ element: UInt64, _ outcome: HistoryOutcome) {
    switch outcome {
    case .done:
      states[Int(element)] = .acknowledged(acknowledged)
      acknowledged += 1
    case .certainlyNot:
      states[Int(element)] = .refused
      if longest.contains(element) { faults.future += 1 }
    case .uncertain: break
    }
  }

  func beginRead() -> Start { Start(acknowledged: acknowledged, length: longest.count) }

  mutating func read(_ start: Start, _ elements: [UInt64], isLast: Bool = false) {
    var seen: Set<UInt64> = []
    var found = 0
    for element in elements {
      if !seen.insert(element).inserted { faults.duplicated += 1 }
      guard element < states.count else {
        faults.future += 1
        continue
      }
      switch states[Int(element)] {
      case .refused: faults.future += 1
      case .acknowledged(let when) where when < start.acknowledged: found += 1
      default: break
      }
    }
    if found < start.acknowledged {
      if isLast {
        faults.lost += start.acknowledged - found
      } else {
        faults.stale += 1
      }
    } else if elements.count < start.length {
      // Not even what was read before it began.
      faults.stale += 1
    }
    // What was read once stays where it was.
    let shared = min(elements.count, longest.count)
    if elements.prefix(shared) != longest.prefix(shared) { faults.misordered += 1 }
    if elements.count > longest.count { longest = elements }
  }
}
