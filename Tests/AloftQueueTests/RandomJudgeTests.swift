import Histories
import Testing

/// Random histories that are right by construction, and mutations of them, some of which are wrong.
@Suite struct RandomJudgeTests {
  /// One random call of a bounded queue that is used by one at a time.
  struct Queue {
    var items: [UInt64] = []
    var pushed: UInt64 = 0
    let capacity: Int

    mutating func act(_ lottery: inout Lottery) -> (FIFOOperation, key: UInt64) {
      if lottery.below(2) == 0 {
        pushed += 1
        if items.count == capacity { return (.pushFull(pushed), 0) }
        items.append(pushed)
        return (.push(pushed), 0)
      }
      return (items.isEmpty ? .popEmpty : .pop(items.removeFirst()), 0)
    }
  }

  /// One random call of a map.
  struct Map {
    var values: [UInt64: UInt64] = [:]
    let keys: Int

    mutating func act(_ lottery: inout Lottery) -> (MapOperation, key: UInt64) {
      let key = UInt64(lottery.below(keys))
      let found = values[key]
      let value = UInt64(lottery.below(3))
      switch lottery.below(5) {
      case 0, 1: return (.find(found), key)
      case 2:
        if found == nil { values[key] = value }
        return (.insert(value, found: found), key)
      case 3:
        let other = UInt64(lottery.below(3))
        if found == value { values[key] = other }
        return (.tryReplace(value, with: other, found == value), key)
      default:
        if found == value { values[key] = nil }
        return (.remove(value, found: found), key)
      }
    }
  }

  #if DEBUG
    static let operations = 20_000
  #else
    static let operations = 300_000
  #endif

  @Test(
    "Right by construction: a map of many keys and of one, any number of threads",
    arguments: [1, 2, 4, 8], [1, 50])
  func maps(threads: Int, keys: Int) {
    var generator = HistoryGenerator(seed: UInt64(threads * 100 + keys), threads: threads)
    generator.isClockFine = threads != 4
    var map = Map(keys: keys)
    let history = generator.history(count: Self.operations) { map.act(&$0) }
    let verdict = judge(history, MapModel())
    #expect(verdict.isLinearizable, "\(verdict)")
  }

  @Test(
    "Right by construction: a bounded queue, any number of threads",
    arguments: [1, 2, 4, 8], [1, 2, 8])
  func queues(threads: Int, capacity: Int) {
    var generator = HistoryGenerator(seed: UInt64(threads * 100 + capacity), threads: threads)
    var queue = Queue(capacity: capacity)
    let history = generator.history(count: Self.operations) { queue.act(&$0) }
    let verdict = judge(history, FIFOModel(capacity: capacity))
    #expect(verdict.isLinearizable, "\(verdict)")
  }

  @Test("Small random histories with answers exchanged: as the judge that tries every order says")
  func againstEveryOrder() {
    var wrong = 0
    let rounds: UInt64 = 2_000
    for seed in 1...rounds {
      var generator = HistoryGenerator(seed: seed, threads: 3)
      generator.isClockFine = seed % 2 == 0
      var map = Map(keys: 1)
      var maps = generator.history(count: 7) { map.act(&$0) }
      maps.swapOperations(&generator.lottery)
      let isMap = judgeByEveryOrder(maps, MapModel())
      #expect(judge(maps, MapModel()).isLinearizable == isMap, "seed \(seed): \(maps)")

      var queue = Queue(capacity: 2)
      var queues = generator.history(count: 8) { queue.act(&$0) }
      queues.swapOperations(&generator.lottery)
      let isQueue = judgeByEveryOrder(queues, FIFOModel(capacity: 2))
      #expect(
        judge(queues, FIFOModel(capacity: 2)).isLinearizable == isQueue, "seed \(seed): \(queues)")
      wrong += (isMap ? 0 : 1) + (isQueue ? 0 : 1)
    }
    // Enough of both kinds, or the test shows nothing.
    #expect(wrong > 400 && wrong < Int(rounds) * 2 - 400, "\(wrong) wrong ones")
  }

  @Test("The judge of deep queues: as the one that tries every order says")
  func deepAgainstEveryOrder() {
    var wrong = 0
    let rounds: UInt64 = 4_000
    for seed in 1...rounds {
      var generator = HistoryGenerator(seed: seed, threads: 3)
      generator.isClockFine = seed % 2 == 0
      var queue = Queue(capacity: .max)
      var history = generator.history(count: 8) { queue.act(&$0) }
      history.swapOperations(&generator.lottery)
      let isRight = judgeByEveryOrder(history, FIFOModel())
      #expect(judgeFIFO(history).isLinearizable == isRight, "seed \(seed): \(history)")
      wrong += isRight ? 0 : 1
    }
    #expect(wrong > 400 && wrong < Int(rounds) - 400, "\(wrong) wrong ones")
  }

  @Test("A long history of a deep queue: right, and with two items exchanged at its exit")
  func deep() {
    var generator = HistoryGenerator(seed: 11, threads: 8)
    var queue = Queue(capacity: .max)
    var history = generator.history(count: Self.operations) { queue.act(&$0) }
    #expect(judgeFIFO(history).isLinearizable)
    let pops = history.indices.filter {
      if case .pop = history[$0].operation { true } else { false }
    }
    let (one, other) = (pops[pops.count / 2], pops[pops.count / 2 + 100])
    (history[one].operation, history[other].operation) = (
      history[other].operation, history[one].operation
    )
    #expect(judgeFIFO(history).isViolation)
  }

  @Test(
    "One wrong answer in a long history is found", arguments: [2, 4, 8])
  func oneWrongAnswer(threads: Int) {
    for seed in 1...20 as ClosedRange<UInt64> {
      var generator = HistoryGenerator(seed: seed, threads: threads)
      var queue = Queue(capacity: 4)
      var history = generator.history(count: 1_000) { queue.act(&$0) }
      // A value comes out that nobody has pushed; everything before and after is right.
      let pops = history.indices.filter {
        if case .pop = history[$0].operation { true } else { false }
      }
      let at = pops[generator.lottery.below(pops.count)]
      history[at].operation = .pop(1_000_000)
      let verdict = judge(history, FIFOModel(capacity: 4))
      #expect(verdict.isViolation, "seed \(seed): \(verdict)")
    }
  }
}

extension Array {
  /// Exchanges two operations' contents and leaves their times.
  fileprivate mutating func swapOperations<Operation>(_ lottery: inout Lottery)
  where Element == Timed<Operation> {
    let one = lottery.below(count)
    let other = lottery.below(count)
    let operation = self[one].operation
    self[one].operation = self[other].operation
    self[other].operation = operation
  }
}
