import ModelFibers
import Testing

@testable import AloftAtomics

/// Leases, walked through the executions of small cases: no resource is lent twice, each borrower
/// sees what the last one did, nobody is overtaken, and nobody waits while a resource is idle. Then
/// the protocol is made wrong in one way after the other, and the checker must find it.
///
/// The encounter of a returner, a taker and one who waits is walked through whole. The cases with
/// a home that serves are larger: every value that a load may find, but threads are interrupted
/// only once where they could have gone on. All faults show there.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct LeaseModelTests {
  typealias Borrower = LeaseCase.Borrower
  static let two: [Borrower] = [.foreign, .foreign]

  // The words whose orders matter, with two slots.
  static let gate = 0..<1
  static let mask = 32..<33
  static let state = 48..<49

  @Test("A borrower alone is served, from the shelf or from what its loop keeps")
  func alone() {
    for borrowers in [[Borrower.foreign], [.loop]] {
      let result = LeaseCase(borrowers, leases: 2).explore()
      #expect(result.fault == nil, "\(result)")
    }
  }

  @Test("Who returns, who takes and who waits at once: the resource is never out of sight")
  func encounter() {
    for hasTaker in [false, true] {
      let result = LeaseCase.encounter(hasTaker: hasTaker).explore()
      #expect(result.fault == nil, "\(result)")
      print("lease encounter taker=\(hasTaker): \(result)")
    }
  }

  @Test("The encounter with one order weakened: found", arguments: 0..<4)
  func weakenedEncounter(index: Int) {
    let weakenings = [
      Weakening(kind: .compareExchange, words: Self.gate, from: .sequential, to: .acquireRelease),
      Weakening(kind: .load, words: Self.gate, from: .sequential, to: .acquire),
      Weakening(kind: .load, words: Self.mask, from: .sequential, to: .acquire),
      Weakening(kind: .compareExchange, words: Self.state, from: .sequential, to: .acquireRelease),
    ]
    let model = LeaseCase.encounter(hasTaker: true)
    model.weakening = weakenings[index]
    #expect(model.explore().fault != nil)
  }

  @Test(
    "Every execution serves all, one at a time",
    arguments: [[.foreign, .foreign], [.loop, .foreign]] as [[Borrower]])
  func serves(borrowers: [Borrower]) {
    let one = LeaseCase(borrowers)
    one.model.preemptionsMax = 1
    let result = one.explore()
    #expect(result.fault == nil, "\(result)")
    print("leases \(borrowers): \(result)")
  }

  @Test("Who comes when somebody waits is served later, and finds out if it isn't")
  func lateComer() {
    let sound = LeaseCase(Self.two, lateComer: true)
    sound.model.preemptionsMax = 1
    let result = sound.explore()
    #expect(result.fault == nil, "\(result)")
    let wrong = LeaseCase(Self.two, lateComer: true, fault: .cutsInLine)
    wrong.model.preemptionsMax = 1
    #expect(wrong.explore().fault != nil)
  }

  @Test(
    "A protocol that is wrong in one way: found",
    arguments: [
      (LeaseModelTests.two, .noSecondLook), (LeaseModelTests.two, .noLookAfterClearing),
      ([.loop, .foreign], .asksNoLoop),
    ] as [([Borrower], LeaseCase.Fault)])
  func seeded(borrowers: [Borrower], fault: LeaseCase.Fault) {
    let wrong = LeaseCase(borrowers, fault: fault)
    wrong.model.preemptionsMax = 1
    let found = wrong.explore().fault
    #expect(found != nil)
    if case .limit = found { Issue.record("the case is too large") }
  }

  @Test("A mask without generations takes a lease that was returned twice for a new one: ABA")
  func aba() {
    let wrong = LeaseCase(Self.two, leases: 2, returnsTwice: true, fault: .maskIsTruth)
    wrong.model.preemptionsMax = 2
    let found = wrong.explore().fault
    #expect(found != nil)
    if case .limit = found { Issue.record("the case is too large") }
  }

  @Test(
    "The whole protocol with one order weakened: found",
    arguments: [
      Weakening(
        kind: .compareExchange, words: LeaseModelTests.gate, from: .sequential,
        to: .acquireRelease),
      Weakening(kind: .load, words: LeaseModelTests.gate, from: .sequential, to: .acquire),
      Weakening(kind: .load, words: LeaseModelTests.mask, from: .sequential, to: .acquire),
      Weakening(
        kind: .compareExchange, words: LeaseModelTests.mask, from: .sequential,
        to: .acquireRelease),
      Weakening(
        kind: .compareExchange, words: LeaseModelTests.state, from: .sequential, to: .acquireRelease
      ),
      Weakening(
        kind: .compareExchange, words: LeaseModelTests.state, from: .sequential, to: .release),
      Weakening(
        kind: .compareExchange, words: LeaseModelTests.state, from: .sequential, to: .acquire),
      Weakening(kind: .load, words: LeaseModelTests.state, from: .sequential, to: .relaxed),
    ])
  func weakened(weakening: Weakening) {
    let wrong = LeaseCase(Self.two)
    wrong.model.preemptionsMax = 1
    wrong.model.weakening = weakening
    let found = wrong.explore().fault
    #expect(found != nil)
    if case .limit = found { Issue.record("the case is too large") }
  }
}
