import ModelFibers
import Testing

/// The ring of several producers and consumers, walked through every execution of small cases;
/// then with one order weakened, which must be found.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct MPMCModelTests {
  typealias Case = (producers: Int, consumers: Int, capacity: Int, items: Int, bulk: Bool)

  @Test(
    "Every execution delivers each item once, each producer's in order",
    arguments: [
      (1, 1, 1, 3, false), (1, 1, 2, 3, true), (2, 1, 1, 1, false), (2, 1, 2, 1, false),
      (1, 2, 1, 2, false), (1, 2, 2, 2, false), (1, 2, 2, 2, true), (2, 1, 2, 1, true),
    ] as [Case])
  func several(one: Case) {
    let result = MPMCCases.several(
      producers: one.producers, consumers: one.consumers, capacity: one.capacity,
      items: one.items, bulk: one.bulk
    ).explore()
    #expect(result.fault == nil, "\(result)")
    print("mpmc \(one): \(result)")
  }

  @Test(
    "Two and two: every execution with up to three preemptions",
    arguments: [(2, 2, 1, 1, false), (2, 2, 2, 1, false), (2, 2, 2, 1, true)] as [Case])
  func two(one: Case) {
    let model = MPMCCases.several(
      producers: one.producers, consumers: one.consumers, capacity: one.capacity,
      items: one.items, bulk: one.bulk)
    model.preemptionsMax = 3
    let result = model.explore()
    #expect(result.fault == nil, "\(result)")
    print("mpmc \(one), bounded: \(result)")
  }

  @Test("Empty is exact when it is asked for exactly")
  func exactlyEmpty() {
    let result = MPMCCases.exactlyEmpty().explore()
    #expect(result.fault == nil, "\(result)")
  }

  @Test(
    "A push beside the close is delivered or refused", arguments: [(1, 1), (1, 2), (2, 2)])
  func closing(capacity: Int, producers: Int) {
    let result = MPMCCases.closing(capacity: capacity, producers: producers).explore()
    #expect(result.fault == nil, "\(result)")
    print("mpmc close capacity=\(capacity) producers=\(producers): \(result)")
  }

  @Test(
    "One order weakened: found",
    arguments: [
      Weakening(kind: .store, words: MPMCCases.slots, from: .release, to: .relaxed),
      Weakening(kind: .load, words: MPMCCases.slots, from: .acquire, to: .relaxed),
    ])
  func weakened(weakening: Weakening) {
    for bulk in [false, true] {
      let model = MPMCCases.several(
        producers: 1, consumers: 1, capacity: 1, items: 2, bulk: bulk)
      model.weakening = weakening
      #expect(model.explore().fault != nil)
    }
  }

  @Test("A sequence that doesn't say in which lap: two producers fill one slot")
  func lapless() {
    let model = Model(words: 64)
    let ring = LaplessRing(memory: model.memory)
    for producer: UInt in 1...2 {
      model.thread("producer \(producer)") { _ = ring.push(producer) }
    }
    if case .race = model.explore().fault {} else { Issue.record("not found") }
  }

  @Test("A slot given back before it is read: a race with the next producer")
  func earlyRelease() {
    let model = Model(words: 64)
    let ring = EarlyReleaseRing(memory: model.memory)
    let real = MPMCCases.Ring(memory: model.memory, capacity: 1)
    model.thread("producer") { [unowned model] in
      for item: UInt in 1...2 { model.attempt { real.push(item) == .accepted ? () : nil } }
    }
    model.thread("consumer") { [unowned model] in model.record(model.attempt { ring.pop() }) }
    if case .race = model.explore().fault {} else { Issue.record("not found") }
  }

  @Test("A push that looks whether it is closed before it claims: an item is lost")
  func lookBeforeClaim() {
    let model = Model(words: 80)
    let ring = LookBeforeClaimRing(
      ring: MPMCCases.Ring(memory: model.memory, capacity: 1), memory: model.memory, closed: 64)
    let item = ModelBuffer([0])
    model.thread("producer") { [unowned model] in if ring.push(7) { model.record(7) } }
    model.thread("closer") { [unowned model] in model.memory.storeSequential(64, 1) }
    model.thread("consumer") { [unowned model] in
      while true {
        let answer = model.attempt {
          let answer = ring.pop(&item.start[0])
          return answer == .item || answer == .closed ? answer : nil
        }
        if answer == .closed { return }
        model.record(item.start[0])
      }
    }
    model.finally { $0[0] == $0[2] ? nil : "accepted \($0[0]), delivered \($0[2])" }
    #expect(model.explore().fault == .failure("accepted [7], delivered []"))
  }
}
