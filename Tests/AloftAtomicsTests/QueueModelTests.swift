import ModelFibers
import Testing

/// What queues add to their rings, walked through every execution of small cases: no close loses
/// what was accepted, no water mark is left up over an empty queue.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct QueueModelTests {
  @Test("The unbounded queue: a push beside the close is delivered or refused", arguments: [1, 2])
  func unboundedClose(pushers: Int) {
    let result = QueueCases.unboundedClose(pushers: pushers).explore()
    #expect(result.fault == nil, "\(result)")
    print("unbounded close pushers=\(pushers): \(result)")
  }

  @Test("One to one: what was pushed before the close comes out before the end", arguments: [1, 2])
  func singleClose(items: Int) {
    let result = QueueCases.singleClose(items: items).explore()
    #expect(result.fault == nil, "\(result)")
    print("single close items=\(items): \(result)")
  }

  @Test("The water marks: whoever hears of the rise is followed by who hears of the fall")
  func waterMarks() {
    let result = QueueCases.waterMarks().explore()
    #expect(result.fault == nil, "\(result)")
    print("water marks: \(result)")
  }

  @Test("A producer that doesn't look again after its flag: it stays up over an empty queue")
  func marksLeftUp() {
    let fault = QueueCases.waterMarks(looksAgain: false).explore().fault
    #expect(fault == .failure("above high water, and empty"))
  }

  @Test(
    "One order weakened: found",
    arguments: [
      Weakening(kind: .compareExchange, words: 0..<1, from: .release, to: .relaxed),
      Weakening(kind: .compareExchange, words: 0..<1, from: .sequential, to: .release),
    ])
  func weakenedUnbounded(weakening: Weakening) {
    let model = QueueCases.unboundedClose(pushers: 1)
    model.weakening = weakening
    #expect(model.explore().fault != nil)
  }

  @Test(
    "The end of a ring of one producer with one order weakened: found",
    arguments: [
      Weakening(kind: .store, words: 64..<65, from: .release, to: .relaxed),
      Weakening(kind: .load, words: 64..<65, from: .acquire, to: .relaxed),
    ])
  func weakenedSingle(weakening: Weakening) {
    let model = QueueCases.singleClose(items: 1)
    model.weakening = weakening
    #expect(model.explore().fault != nil)
  }

  @Test(
    "The flag of the marks with one order weakened: it stays up over an empty queue",
    arguments: [
      Weakening(
        kind: .compareExchange, words: QueueCases.isHigh, from: .sequential, to: .release),
      Weakening(kind: .load, words: QueueCases.isHigh, from: .sequential, to: .acquire),
    ])
  func weakenedMarks(weakening: Weakening) {
    let model = QueueCases.waterMarks()
    model.weakening = weakening
    #expect(model.explore().fault != nil)
  }
}
