import AloftAtomics
import ModelFibers
import Testing

/// A mailbox's gate, walked through every execution of small cases: credits are only passed on, a
/// promise to tell of the end is kept. Then faults are put in, which the checker must find.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct GateModelTests {
  @Test(
    "Credits: never more than the capacity, and none lost",
    arguments: [(1, 1, 1, 2), (2, 1, 1, 2), (2, 2, 2, 2), (3, 2, 1, 1), (2, 3, 2, 2)])
  func credits(senders: Int, capacity: UInt32, wanted: UInt32, rounds: Int) {
    let result = GateCases.credits(
      senders: senders, capacity: capacity, wanted: wanted, rounds: rounds
    ).explore()
    #expect(result.fault == nil, "\(result)")
    print("gate senders=\(senders) capacity=\(capacity) wanted=\(wanted): \(result)")
  }

  @Test("A credit that is given back twice is found")
  func twice() {
    let model = GateCases.credits(
      senders: 2, capacity: 1, wanted: 1, rounds: 1, fault: .givesBackTwice)
    #expect(model.explore().fault != nil)
  }

  @Test("After the end nobody gets in, and what comes back is void")
  func closing() {
    let result = GateCases.closing().explore()
    #expect(result.fault == nil, "\(result)")
  }

  @Test("A promise to tell of the end is kept, and none is told without one", arguments: [1, 2])
  func watching(watchers: Int) {
    let result = GateCases.watching(watchers: watchers).explore()
    #expect(result.fault == nil, "\(result)")
  }

  @Test(
    "The watch with one order weakened: found",
    arguments: [
      Weakening(kind: .compareExchange, words: GateCases.gate, from: .release, to: .relaxed),
      Weakening(kind: .exchange, words: GateCases.gate, from: .acquire, to: .relaxed),
    ])
  func weakened(weakening: Weakening) {
    let model = GateCases.watching(watchers: 1)
    model.weakening = weakening
    #expect(model.explore().fault != nil)
  }

  @Test("Generations: odd while open, the last one retires the place")
  func generations() {
    let word = UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 8)
    defer { word.deallocate() }
    word.storeBytes(of: 0, as: UInt.self)
    let gate = MailboxGate(at: word)
    #expect(gate.nextGeneration == 1)
    gate.open(generation: 1, capacity: 5, shareLog2: 0)
    #expect(gate.load().isOpen(1) && gate.load().isBounded && gate.load().credits == 5)
    #expect(!gate.close(generation: 1) && gate.nextGeneration == 3)
    #expect(!gate.load().isOpen(1) && !gate.load().isOpen(3))
    gate.open(generation: 0xFF_FFFF, capacity: nil, shareLog2: 0)
    #expect(gate.watch(generation: 0xFF_FFFF) && gate.close(generation: 0xFF_FFFF))
    #expect(gate.nextGeneration == nil)
  }
}
