import ModelFibers
import Testing

/// Sleeping and waking, walked through every execution of small cases: no item stays behind
/// while the loop sleeps, one wake-up a sleep. Then one order after the other is weakened, and
/// the checker must find the lost wake-up.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct SleepModelTests {
  typealias Source = SleepCases.Source

  @Test(
    "A loop that sleeps is woken for every item",
    arguments: [
      ([.lane], 1), ([.lane], 2), ([.foreign], 2), ([.lane, .foreign], 1),
      ([.foreign, .foreign], 1),
    ] as [([Source], Int)])
  func inbox(sources: [Source], items: Int) {
    let result = SleepCases.inbox(sources, items: items).explore()
    #expect(result.fault == nil, "\(result)")
    print("inbox \(sources) items=\(items): \(result)")
  }

  @Test(
    "The same with a real second look at what is claimed and not yet filled",
    arguments: [([.foreign], 1), ([.foreign], 2)] as [([Source], Int)])
  func secondLook(sources: [Source], items: Int) {
    let model = SleepCases.inbox(sources, items: items)
    model.retriesMax = 1
    let result = model.explore()
    #expect(result.fault == nil, "\(result)")
    print("inbox with second looks \(sources) items=\(items): \(result)")
  }

  @Test("Two producers that find the loop asleep: exactly one of them wakes it")
  func coalescing() {
    let result = SleepCases.coalescing().explore()
    #expect(result.fault == nil, "\(result)")
    print("sleep flag: \(result)")
  }

  @Test(
    "Pushers schedule a mailbox's owner: each node once, each pusher's in order",
    arguments: [(1, 2), (2, 1), (2, 2)])
  func mailbox(pushers: Int, nodes: Int) {
    let result = SleepCases.mailbox(pushers: pushers, nodes: nodes).explore()
    #expect(result.fault == nil, "\(result)")
    print("mailbox pushers=\(pushers) nodes=\(nodes): \(result)")
  }

  @Test(
    "A lane with one sequential order weakened: the wake-up that gets lost is found",
    arguments: [
      Weakening(kind: .store, words: SleepCases.flag, from: .sequential, to: .release),
      Weakening(kind: .load, words: SleepCases.flag, from: .sequential, to: .acquire),
      Weakening(kind: .store, words: SleepCases.laneTail, from: .sequential, to: .release),
      Weakening(kind: .load, words: SleepCases.laneTail, from: .sequential, to: .acquire),
    ])
  func weakenedLane(weakening: Weakening) {
    let model = SleepCases.inbox([.lane], items: 1)
    model.weakening = weakening
    #expect(model.explore().fault == .deadlock("loop waits in sleep"))
  }

  @Test(
    "The foreign ring with one sequential order weakened: the wake-up that gets lost is found",
    arguments: [
      Weakening(kind: .store, words: SleepCases.flag, from: .sequential, to: .release),
      Weakening(kind: .load, words: SleepCases.flag, from: .sequential, to: .acquire),
      Weakening(
        kind: .compareExchange, words: SleepCases.foreignTail, from: .sequential,
        to: .acquireRelease),
      Weakening(kind: .load, words: SleepCases.foreignTail, from: .sequential, to: .acquire),
    ])
  func weakenedForeign(weakening: Weakening) {
    let model = SleepCases.inbox([.foreign], items: 1)
    model.weakening = weakening
    #expect(model.explore().fault == .deadlock("loop waits in sleep"))
  }

  @Test(
    "A loop that doesn't look again after its announcement sleeps on an item",
    arguments: [[.lane], [.foreign]] as [[Source]])
  func lastLookOmitted(sources: [Source]) {
    let model = SleepCases.inbox(sources, items: 1, looksAgain: false)
    #expect(model.explore().fault == .deadlock("loop waits in sleep"))
  }

  @Test(
    "A mailbox with one order weakened: found",
    arguments: [
      Weakening(kind: .compareExchange, words: 0..<1, from: .release, to: .relaxed),
      Weakening(kind: .exchange, words: 0..<1, from: .acquire, to: .relaxed),
    ])
  func weakenedMailbox(weakening: Weakening) {
    let model = SleepCases.mailbox(pushers: 1, nodes: 1)
    model.weakening = weakening
    #expect(model.explore().fault != nil)
  }
}
