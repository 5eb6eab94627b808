import AloftAtomics
import ModelFibers
import Testing

/// Reclamation, walked through every execution of small cases: nobody reads what was freed. Then
/// it's made wrong in one place after the other, and the checker must find out.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct EpochModelTests {
  typealias Step = EpochCases.Step

  static let cases: [(String, [[Step]])] = [
    (
      "a loop takes two turns",
      [[.pin, .read, .announce, .read, .unpin], [.unlinkAndRetire, .collect, .collect]]
    ),
    (
      "a loop sleeps and wakes",
      [[.pin, .read, .unpin, .pin, .read, .unpin], [.unlinkAndRetire, .collect, .collect]]
    ),
    (
      "pins nest",
      [[.pin, .pin, .read, .unpin, .read, .unpin], [.unlinkAndRetire, .collect, .collect]]
    ),
    (
      "another thread collects",
      [[.pin, .read, .announce, .read, .unpin], [.unlinkAndRetire], [.collect, .collect]]
    ),
    (
      "two collect",
      [[.pin, .read, .unpin], [.unlinkAndRetire, .collect], [.collect, .collect]]
    ),
    (
      "a shared slot",
      [
        [.pinShared, .read, .unpinShared], [.pinShared, .read, .unpinShared],
        [.unlinkAndRetire, .collect, .collect],
      ]
    ),
  ]

  @Test("Nobody reads what was freed", arguments: cases.indices)
  func safe(index: Int) {
    let (name, threads) = Self.cases[index]
    var freed = 0
    let model = EpochCases.model(threads)
    model.finally { records in
      let all = records.flatMap { $0 }
      freed += all.count
      return all.count > 1 ? "freed twice" : nil
    }
    let result = model.explore()
    #expect(result.fault == nil, "\(name): \(result)")
    // The case is worth something: the node does get freed while others are about.
    #expect(freed > 0)
    print("epochs, \(name): \(result), freed in \(freed)")
  }

  @Test("Who announces before he has read for the last time: found")
  func tooEarly() {
    let threads: [[Step]] = [
      [.pin, .announceTooEarly, .unpin], [.unlinkAndRetire, .collect, .collect],
    ]
    #expect(EpochCases.model(threads).explore().fault != nil)
  }

  @Test("Memory that is freed without waiting for one who has just come: found")
  func noWaiting() {
    let threads: [[Step]] = [[.pin, .read, .unpin], [.unlinkAndFree]]
    #expect(EpochCases.model(threads).explore().fault != nil)
  }

  @Test("Who reads without a pin: found")
  func noPin() {
    #expect(EpochCases.model([[.read], Self.cases[0].1[1]]).explore().fault != nil)
  }

  @Test(
    "With one order weakened: found",
    arguments: [
      // The fences of a pin and of the collector's look.
      (1, .fence, 0..<1, .sequential, .acquireRelease),
      (0, .store, EpochCases.slots, .release, .relaxed),
      (1, .store, EpochCases.slots, .release, .relaxed),
      (0, .load, EpochCases.slots, .acquire, .relaxed),
      (0, .load, EpochCases.epoch, .acquire, .relaxed),
      (3, .store, EpochCases.epoch, .release, .relaxed),
    ] as [(Int, Operation.Kind, Range<Int>, Operation.Order, Operation.Order)])
  func weakened(
    index: Int, kind: Operation.Kind, words: Range<Int>, from: Operation.Order,
    to: Operation.Order
  ) {
    let model = EpochCases.model(Self.cases[index].1)
    model.weakening = Weakening(kind: kind, words: words, from: from, to: to)
    #expect(model.explore().fault != nil)
  }
}
