import ModelFibers
import Testing

/// The rings' own algorithms, walked through every execution of small cases: nothing is lost,
/// doubled, out of order, read too early or overwritten. Then one order after the other is
/// weakened, and the checker must find what that breaks: so each order is needed, and the
/// checker can see.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct RingModelTests {
  @Test(
    "One to one: every execution delivers all, in order",
    arguments: [(1, 3, nil), (2, 3, nil), (2, 5, nil), (2, 3, 2), (4, 5, 3)] as [(Int, Int, Int?)])
  func single(capacity: Int, items: Int, bulk: Int?) {
    let result = RingCases.single(capacity: capacity, items: items, bulk: bulk).explore()
    #expect(result.fault == nil, "\(result)")
    print("spsc capacity=\(capacity) items=\(items) bulk=\(bulk ?? 1): \(result)")
  }

  @Test(
    "Several to one: every execution delivers all, each producer's in order",
    arguments: [(2, 1, 1, false), (3, 2, 1, false), (2, 2, 2, false), (2, 2, 2, true)])
  func several(producers: Int, capacity: Int, items: Int, bulk: Bool) {
    let result = RingCases.several(
      producers: producers, capacity: capacity, items: items, bulk: bulk
    ).explore()
    #expect(result.fault == nil, "\(result)")
    print("mpsc producers=\(producers) capacity=\(capacity) items=\(items) bulk=\(bulk): \(result)")
  }

  @Test(
    "One to one with one order weakened: found",
    arguments: [
      Weakening(kind: .store, words: RingCases.tail, from: .release, to: .relaxed),
      Weakening(kind: .load, words: RingCases.tail, from: .acquire, to: .relaxed),
      Weakening(kind: .store, words: RingCases.head, from: .release, to: .relaxed),
      Weakening(kind: .load, words: RingCases.head, from: .acquire, to: .relaxed),
    ])
  func weakenedSingle(weakening: Weakening) {
    for bulk in [nil, 2] {
      let model = RingCases.single(capacity: 2, items: 3, bulk: bulk)
      model.weakening = weakening
      #expect(model.explore().fault != nil)
    }
  }

  @Test(
    "Several to one with one order weakened: found",
    arguments: [
      Weakening(kind: .store, words: RingCases.slots, from: .release, to: .relaxed),
      Weakening(kind: .load, words: RingCases.slots, from: .acquire, to: .relaxed),
      Weakening(kind: .store, words: RingCases.head, from: .release, to: .relaxed),
      Weakening(kind: .load, words: RingCases.head, from: .acquire, to: .relaxed),
      Weakening(kind: .store, words: RingCases.headSeen, from: .release, to: .relaxed),
      Weakening(kind: .load, words: RingCases.headSeen, from: .acquire, to: .relaxed),
    ])
  func weakenedSeveral(weakening: Weakening) {
    let model = RingCases.several(producers: 2, capacity: 1, items: 2)
    model.weakening = weakening
    #expect(model.explore().fault != nil)
  }
}
