import ModelFibers
import Testing

/// Memory on its way back to its owner, walked through every execution of small cases: each block
/// comes back once, with all that was done to it; and when the owner ends, exactly one thread frees
/// everything, after all others have let go. Then it is made wrong in one place after the other.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct ReturnStackModelTests {
  @Test(
    "Chains from several threads come back to the owner, each block once",
    arguments: [[1], [2], [3], [1, 1], [2, 1], [2, 2], [1, 1, 1]])
  func chains(lengths: [Int]) {
    let result = ReturnStackCases.chains(lengths).explore()
    #expect(result.fault == nil, "\(result)")
    print("return stack \(lengths): \(result)")
  }

  @Test("A block that goes out again while another is on its way: the head may come again")
  func roundTrip() {
    let result = ReturnStackCases.roundTrip().explore()
    #expect(result.fault == nil, "\(result)")
    print("return stack round trip: \(result)")
  }

  @Test(
    "An owner that ends: one thread frees all, and nobody is on the way to it any more",
    arguments: [[1], [2], [1, 1], [2, 1], [2, 2], [1, 1, 1]])
  func end(lengths: [Int]) {
    let result = ReturnStackCases.end(lengths).explore()
    #expect(result.fault == nil, "\(result)")
    print("return stack end \(lengths): \(result)")
  }

  @Test(
    "One order weakened: found",
    arguments: [
      Weakening(
        kind: .compareExchange, words: ReturnStackCases.head, from: .release, to: .relaxed),
      Weakening(kind: .exchange, words: ReturnStackCases.head, from: .acquire, to: .relaxed),
    ])
  func weakened(weakening: Weakening) {
    let model = ReturnStackCases.chains([1, 1])
    model.weakening = weakening
    #expect(model.explore().fault != nil)
  }

  @Test(
    "One order of the end weakened: found",
    arguments: [
      Weakening(
        kind: .compareExchange, words: ReturnStackCases.head, from: .release, to: .relaxed),
      Weakening(kind: .exchange, words: ReturnStackCases.head, from: .acquire, to: .relaxed),
      Weakening(kind: .load, words: ReturnStackCases.head, from: .acquire, to: .relaxed),
      Weakening(
        kind: .compareExchange, words: ReturnStackCases.missing, from: .sequential, to: .release),
      Weakening(
        kind: .compareExchange, words: ReturnStackCases.missing, from: .sequential, to: .acquire),
    ])
  func weakenedEnd(weakening: Weakening) {
    let model = ReturnStackCases.end([1, 1])
    model.weakening = weakening
    #expect(model.explore().fault != nil)
  }

  @Test("A chain that is given back twice: found")
  func twice() {
    #expect(ReturnStackCases.chains([1, 1], again: true).explore().fault != nil)
  }

  @Test("An end that is wrong in one place: found", arguments: ReturnStackCases.EndFault.allCases)
  func wrongEnd(fault: ReturnStackCases.EndFault) {
    #expect(ReturnStackCases.end([1, 1], fault: fault).explore().fault != nil)
  }

  @Test("Blocks taken singly by two threads: the one that came back gives another away twice")
  func poppers() {
    if case .failure = ReturnStackCases.poppers().explore().fault {
    } else {
      Issue.record("not found")
    }
  }
}

/// References to a message's memory, likewise: freed once, after everybody's last look at it.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct ReferenceModelTests {
  @Test("Of those who hold a message the last frees it", arguments: [1, 2, 3])
  func holders(count: Int) {
    let result = ReferenceCases.holders(count).explore()
    #expect(result.fault == nil, "\(result)")
    print("references \(count): \(result)")
  }

  @Test("An arena is used again when no message refers to it")
  func arena() {
    let result = ReferenceCases.arena().explore()
    #expect(result.fault == nil, "\(result)")
  }

  @Test(
    "One order weakened: found",
    arguments: [
      Weakening(kind: .load, words: ReferenceCases.count, from: .acquire, to: .relaxed),
      Weakening(
        kind: .compareExchange, words: ReferenceCases.count, from: .acquireRelease, to: .acquire),
      Weakening(
        kind: .compareExchange, words: ReferenceCases.count, from: .acquireRelease, to: .release),
    ])
  func weakened(weakening: Weakening) {
    let model = ReferenceCases.holders(3)
    model.weakening = weakening
    #expect(model.explore().fault != nil)
  }

  @Test("A rule that is wrong in one place: found", arguments: ReferenceCases.Fault.allCases)
  func wrong(fault: ReferenceCases.Fault) {
    #expect(ReferenceCases.holders(2, fault: fault).explore().fault != nil)
  }
}
