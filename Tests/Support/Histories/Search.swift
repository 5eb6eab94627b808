/// The search for an order of one key's operations that explains their answers and contradicts no
/// two that came one after the other.
///
/// Wing and Gong's algorithm ("Testing and verifying concurrent objects", 1993) with Lowe's
/// improvements ("Testing for linearizability", 2017): an operation may come next when it was
/// invoked before any other that is left was answered; one is tried after the other, and a
/// configuration (which operations are done, and the state that they led to) that was seen is not
/// tried again. An operation that fits and never changes anything is done at once, without
/// alternatives: whatever order explains the rest explains it here as well.
///
/// Which operations are done is remembered as the exclusive or of 128 random bits an operation, so
/// a configuration costs the same however long the history is. The state is compared in full.
struct Search<Model: SequentialModel> {
  private struct Configuration: Hashable {
    let low: UInt64
    let high: UInt64
    let state: Model.State
  }

  /// A point of the search: the choices that are open there.
  private struct Point {
    let state: Model.State
    /// What was done to come here; -1 at the start.
    let done: Int
    /// Where its choices begin in `choices`; they are taken from the end.
    let firstChoice: Int
  }

  enum Outcome { case found, none, gaveUp }

  let model: Model
  /// Sorted by invocation.
  let operations: [Timed<Model.Operation>]
  private let ranks: [UInt64]
  // Those that are left, in a list: dancing links (Knuth, 2000). `count` is the head.
  private var next: [Int]
  private var previous: [Int]
  private let head: Int

  private var low: UInt64 = 0
  private var high: UInt64 = 0
  private var left: Int
  private var visited: Set<Configuration> = []
  private var points: [Point] = []
  private var choices: [Int] = []

  /// The latest answer that no order got past, and its operation.
  private(set) var stuckAt: UInt64 = 0
  private(set) var stuck = -1
  var configurations: Int { visited.count }

  /// `operations` are sorted by invocation.
  init(_ operations: [Timed<Model.Operation>], _ model: Model) {
    self.model = model
    self.operations = operations
    ranks = model.ranks(operations)
    head = operations.count
    left = operations.count
    next = (1...operations.count + 1).map { $0 % (operations.count + 1) }
    previous = (0...operations.count).map { $0 == 0 ? operations.count : $0 - 1 }
  }

  // MARK: The search

  /// Looks for one order, or, with `collecting`, for the states that all orders end in.
  mutating func run(
    from states: [Model.State], configurationsMax: Int,
    collecting ends: ((Model.State) -> Void)? = nil
  ) -> Outcome {
    for state in states {
      points.removeAll(keepingCapacity: true)
      choices.removeAll(keepingCapacity: true)
      if left == 0 {
        guard let ends else { return .found }
        ends(state)
        continue
      }
      arrive(state, by: -1)
      while let point = points.last {
        guard choices.count > point.firstChoice else {
          points.removeLast()
          if point.done >= 0 { putBack(point.done) }
          continue
        }
        let choice = choices.removeLast()
        var after = point.state
        guard model.apply(operations[choice], to: &after) else { continue }
        takeOut(choice)
        if !visited.insert(Configuration(low: low, high: high, state: after)).inserted {
          putBack(choice)
        } else if left == 0 {
          guard let ends else { return .found }
          ends(after)
          putBack(choice)
        } else if visited.count > configurationsMax {
          return .gaveUp
        } else {
          if model.isReadOnly(operations[choice].operation) {
            choices.removeSubrange(point.firstChoice..<choices.count)
          }
          arrive(after, by: choice)
        }
      }
    }
    return .none
  }

  /// Opens the choices of a configuration: what may come next, the likeliest last.
  private mutating func arrive(_ state: Model.State, by done: Int) {
    let firstChoice = choices.count
    var earliest = UInt64.max
    var first = -1
    var index = next[head]
    // Sorted by invocation: once one begins after an answer, so do all that follow.
    while index != head, operations[index].invoked <= earliest {
      choices.append(index)
      if operations[index].responded < earliest {
        earliest = operations[index].responded
        first = index
      }
      index = next[index]
    }
    while let last = choices.last, operations[last].invoked > earliest { choices.removeLast() }
    if earliest > stuckAt || stuck < 0 {
      stuckAt = earliest
      stuck = first
    }
    sort(from: firstChoice)
    points.append(Point(state: state, done: done, firstChoice: firstChoice))
  }

  /// By insertion, for there are few: as many as threads.
  private mutating func sort(from start: Int) {
    var i = start + 1
    while i < choices.count {
      let choice = choices[i]
      var j = i
      while j > start, ranks[choices[j - 1]] < ranks[choice] {
        choices[j] = choices[j - 1]
        j -= 1
      }
      choices[j] = choice
      i += 1
    }
  }

  private mutating func takeOut(_ index: Int) {
    next[previous[index]] = next[index]
    previous[next[index]] = previous[index]
    left -= 1
    stir(index)
  }

  private mutating func putBack(_ index: Int) {
    next[previous[index]] = index
    previous[next[index]] = index
    left += 1
    stir(index)
  }

  private mutating func stir(_ index: Int) {
    low ^= mixed(UInt64(truncatingIfNeeded: index))
    high ^= mixed(~UInt64(truncatingIfNeeded: index))
  }
}

extension SequentialModel {
  @inline(__always)
  fileprivate func apply(_ timed: Timed<Operation>, to state: inout State) -> Bool {
    apply(timed.operation, to: &state)
  }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, 2014).
private func mixed(_ value: UInt64) -> UInt64 {
  var z = value &+ 0x9e37_79b9_7f4a_7c15
  z = (z ^ (z &>> 30)) &* 0xbf58_476d_1ce4_e5b9
  z = (z ^ (z &>> 27)) &* 0x94d0_49bb_1331_11eb
  return z ^ (z &>> 31)
}
