import Histories

/// A small generator of random numbers, so that a failing case is replayed from its seed.
struct Lottery: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1 }

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state &* 0x2545_f491_4f6c_dd1d
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

/// Histories that are right by construction: threads begin, take effect and are answered at random
/// moments, and the answers are those of a sequential thing at the moment of effect.
struct HistoryGenerator {
  var lottery: Lottery
  var threads: Int
  /// The clock's steps are all different, unless this is off: then several things may happen at
  /// the same reading.
  var isClockFine = true

  init(seed: UInt64, threads: Int) {
    lottery = Lottery(seed: seed)
    self.threads = threads
  }

  /// `act` does one thing, with the sequential thing that it holds, and says what was answered.
  mutating func history<Operation>(
    count: Int, _ act: (inout Lottery) -> (Operation, key: UInt64)
  ) -> [Timed<Operation>] {
    var pending: [(invoked: UInt64, done: (Operation, key: UInt64)?)?] = Array(
      repeating: nil, count: threads)
    var history: [Timed<Operation>] = []
    var begun = 0
    var clock: UInt64 = 1
    while history.count < count {
      if isClockFine || lottery.below(2) == 0 { clock += 1 }
      let thread = lottery.below(threads)
      if let current = pending[thread] {
        if let done = current.done {
          history.append(
            Timed(
              done.0, key: done.key, thread: thread, invoked: current.invoked, responded: clock))
          pending[thread] = nil
        } else {
          pending[thread]!.done = act(&lottery)
        }
      } else if begun < count {
        pending[thread] = (clock, nil)
        begun += 1
      }
    }
    return history
  }
}

/// The slow judge: tries every order. For histories of a few operations of one key.
func judgeByEveryOrder<Model: SequentialModel>(
  _ history: [Timed<Model.Operation>], _ model: Model
) -> Bool {
  func goOn(_ left: [Timed<Model.Operation>], _ state: Model.State) -> Bool {
    if left.isEmpty { return true }
    let earliest = left.map(\.responded).min()!
    for index in left.indices where left[index].invoked <= earliest {
      var after = state
      guard model.apply(left[index].operation, to: &after) else { continue }
      var rest = left
      rest.remove(at: index)
      if goOn(rest, after) { return true }
    }
    return false
  }
  return goOn(history, model.initial)
}
