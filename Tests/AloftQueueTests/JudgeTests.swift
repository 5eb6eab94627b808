import Histories
import Testing

/// The judge of histories, held against histories that are known to be right or wrong, and against
/// a slow judge that tries every order.
@Suite struct JudgeTests {
  typealias Known<Operation> = (String, Bool, [(Int, ClosedRange<UInt64>, Operation)])

  static let registers: [Known<MapOperation>] = [
    ("one after the other", true, [(0, 1...2, .put(5, previous: nil)), (0, 3...4, .find(5))]),
    ("a read from the past", false, [(0, 1...2, .put(5, previous: nil)), (1, 3...4, .find(nil))]),
    (
      "overlapping, either answer", true,
      [(0, 1...9, .put(5, previous: nil)), (1, 2...3, .find(nil)), (2, 4...5, .find(5))]
    ),
    (
      "new, then old again", false,
      [(0, 1...9, .put(5, previous: nil)), (1, 2...3, .find(5)), (2, 4...5, .find(nil))]
    ),
    (
      "two that both inserted", false,
      [(0, 1...9, .insert(5, found: nil)), (1, 2...8, .insert(6, found: nil))]
    ),
    (
      "a take-over that both won", false,
      [
        (0, 1...2, .insert(5, found: nil)), (0, 3...9, .replace(5, with: 6, found: 5)),
        (1, 4...8, .replace(5, with: 7, found: 5)),
      ]
    ),
    (
      "removed, and found by one who began later", false,
      [
        (0, 1...2, .tryInsert(5, true)), (0, 3...4, .tryRemove(5, true)), (1, 5...6, .find(5)),
      ]
    ),
    (
      "insert, removal and insert again around a slow look-up", true,
      [
        (1, 1...20, .find(nil)), (0, 2...3, .insert(5, found: nil)),
        (0, 4...5, .remove(5, found: 5)),
        (0, 6...7, .insert(6, found: nil)),
      ]
    ),
    (
      "at the same nanosecond is no order", true,
      [
        (0, 1...5, .put(5, previous: nil)), (1, 5...6, .find(nil)),
      ]
    ),
  ]

  static let queues: [Known<FIFOOperation>] = [
    ("in order", true, [(0, 1...2, .push(1)), (0, 3...4, .push(2)), (1, 5...6, .pop(1))]),
    ("out of order", false, [(0, 1...2, .push(1)), (0, 3...4, .push(2)), (1, 5...6, .pop(2))]),
    (
      "overlapping pushes may come out either way", true,
      [(0, 1...5, .push(1)), (1, 2...6, .push(2)), (2, 7...8, .pop(2)), (2, 9...10, .pop(1))]
    ),
    ("never pushed", false, [(0, 1...2, .push(1)), (1, 1...4, .pop(2))]),
    ("out before it went in", false, [(1, 1...2, .pop(1)), (0, 3...4, .push(1))]),
    (
      "twice out", false,
      [(0, 1...2, .push(1)), (1, 3...6, .pop(1)), (2, 3...6, .pop(1))]
    ),
    ("empty with an item inside", false, [(0, 1...2, .push(1)), (1, 3...4, .popEmpty)]),
    ("full with room", false, [(0, 1...2, .push(1)), (0, 3...4, .pushFull(2))]),
    (
      "full", true,
      [(0, 1...2, .push(1)), (0, 3...4, .push(2)), (0, 5...6, .pushFull(3)), (1, 7...8, .pop(1))]
    ),
    (
      "the oldest dropped", true,
      [
        (0, 1...2, .push(1)), (0, 3...4, .push(2)), (0, 5...6, .pushDropping(3, dropped: 1)),
        (1, 7...8, .pop(2)),
      ]
    ),
    ("taken in after the close", false, [(0, 1...2, .close), (1, 3...4, .push(1))]),
    (
      "closed before it was empty", false,
      [(0, 1...2, .push(1)), (0, 3...4, .close), (1, 5...6, .popClosed)]
    ),
    (
      "a push beside the close that went in, and one that didn't", true,
      [
        (0, 1...9, .push(1)), (1, 1...9, .pushClosed(2)), (2, 2...8, .close),
        (2, 10...11, .pop(1)), (2, 12...13, .popClosed),
      ]
    ),
  ]

  static let pools: [Known<PoolOperation>] = [
    ("one each", true, [(0, 1...4, .lease(0)), (1, 2...5, .lease(1))]),
    ("one for two", false, [(0, 1...4, .lease(0)), (1, 2...5, .lease(0))]),
    (
      "one after the other", true,
      [(0, 1...2, .lease(0)), (0, 3...6, .giveBack(0)), (1, 4...7, .lease(0))]
    ),
    ("refused though one is free", false, [(0, 1...2, .lease(0)), (1, 3...4, .leaseRefused)]),
    (
      "refused while both are out", true,
      [(0, 1...2, .lease(0)), (0, 3...4, .lease(1)), (1, 5...6, .leaseRefused)]
    ),
    (
      "given back twice", false,
      [
        (0, 1...2, .lease(0)), (0, 3...4, .giveBack(0)),
        (0, 5...6, .giveBack(0)),
      ]
    ),
  ]

  private func check<Model: SequentialModel>(_ known: [Known<Model.Operation>], _ model: Model) {
    for (name, isRight, operations) in known {
      let history = operations.map {
        Timed($0.2, thread: $0.0, invoked: $0.1.lowerBound, responded: $0.1.upperBound)
      }
      let verdict = judge(history, model)
      #expect(verdict.isLinearizable == isRight, "\(name): \(verdict)")
      #expect(judgeByEveryOrder(history, model) == isRight, "\(name), by every order")
    }
  }

  @Test("Known histories of a register, a queue and a pool, right and wrong")
  func known() {
    check(Self.registers, MapModel())
    check(Self.queues, FIFOModel(capacity: 2))
    check(Self.pools, PoolModel(size: 2))
  }

  /// A flag that is set without a word of whether it was set already.
  struct FlagModel: SequentialModel {
    enum Operation: Hashable, Sendable { case set, clear(wasSet: Bool), read(Bool) }
    var initial: Bool { false }

    func apply(_ operation: Operation, to state: inout Bool) -> Bool {
      let before = state
      switch operation {
      case .set: state = true
      case .clear(let wasSet):
        state = false
        return wasSet == before
      case .read(let isSet): return isSet == before
      }
      return true
    }

    func isReadOnly(_ operation: Operation) -> Bool {
      switch operation {
      case .set: false
      case .clear(let wasSet): !wasSet
      case .read: true
      }
    }
  }

  /// To set what is set changes nothing there, but it does where the removal beside it came first.
  @Test("What is answered alike whether it changed something is tried in all places")
  func idempotent() {
    let flags: [Known<FlagModel.Operation>] = [
      (
        "set once more after the removal", true,
        [
          (0, 1...2, .set), (0, 3...9, .set), (1, 4...8, .clear(wasSet: true)),
          (0, 10...11, .read(true)),
        ]
      ),
      (
        "set once more before the removal", true,
        [
          (0, 1...2, .set), (0, 3...9, .set), (1, 4...8, .clear(wasSet: true)),
          (0, 10...11, .read(false)),
        ]
      ),
      (
        "both", false,
        [
          (0, 1...2, .set), (0, 3...9, .set), (1, 4...8, .clear(wasSet: true)),
          (0, 10...11, .read(true)), (0, 12...13, .read(false)),
        ]
      ),
    ]
    check(flags, FlagModel())
  }

  @Test("The report names the operations since nothing was under way, and the state before")
  func window() {
    var history = (0..<100).map { UInt64($0) }.map {
      Timed(
        MapOperation.put($0, previous: $0 == 0 ? nil : $0 - 1), key: 3, invoked: 10 * $0 + 1,
        responded: 10 * $0 + 5)
    }
    history.append(Timed(.find(7), key: 3, thread: 1, invoked: 501, responded: 502))
    let verdict = judge(history, MapModel())
    #expect(verdict.isViolation)
    let lines = verdict.description.split(separator: "\n")
    #expect(lines.count == 4, "\(verdict)")
    #expect(lines[0].hasPrefix("key 3: no order explains the answers of these 2 operations"))
    #expect(lines[1] == "before them: Optional(49)")
    #expect(lines[3].hasPrefix("> ") && lines[3].contains("find(Optional(7))"), "\(verdict)")
  }

  @Test("A search without end is given up, which is no judgement")
  func givesUp() {
    let pushes = (0..<20).map { Timed(FIFOOperation.push($0), invoked: 1, responded: 5) }
    let pop = Timed(FIFOOperation.popEmpty, invoked: 6, responded: 7)
    let verdict = judge(pushes + [pop], FIFOModel(), configurationsMax: 10_000)
    #expect(!verdict.isLinearizable && !verdict.isViolation)
  }
}
