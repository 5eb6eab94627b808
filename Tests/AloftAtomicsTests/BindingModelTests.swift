import ModelFibers
import Testing

/// A name that is bound to an owner at the moment the owner ends, walked through every execution
/// of small cases: it never stays behind, and no node is lost or given back twice. Then each part
/// of the protocol is left out in turn, and each order weakened, and the checker must find it.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct BindingModelTests {
  @Test(
    "Names registered while their owner ends",
    arguments: [(1, false), (1, true), (2, false), (2, true)])
  func registrations(count: Int, fresh: Bool) {
    let result = BindingCases(fresh: fresh).registrations(count).explore()
    #expect(result.fault == nil, "\(result)")
    print("bindings names=\(count) fresh=\(fresh): \(result)")
  }

  @Test("A name taken away by hand while its owner ends", arguments: [1, 2])
  func unregistration(count: Int) {
    let model = BindingCases().registrations(count, thenUnregister: true)
    if count > 1 { model.preemptionsMax = 3 }
    let result = model.explore()
    #expect(result.fault == nil, "\(result)")
    print("bindings names=\(count), one taken away: \(result)")
  }

  @Test("A slot changes its owner between one who is late and one who is early")
  func tenants() {
    let model = BindingCases().tenants()
    model.preemptionsMax = 4
    let result = model.explore()
    #expect(result.fault == nil, "\(result)")
    print("bindings, two owners of a slot: \(result)")
  }

  @Test(
    "A part of the protocol left out: found",
    arguments: [
      (.asksEarly, true), (.ignoresClosed, false), (.bindsFirst, false), (.leavesOpen, false),
    ] as [(BindingCases.Fault, Bool)])
  func leftOut(fault: BindingCases.Fault, fresh: Bool) {
    let model = BindingCases(fault: fault, fresh: fresh).registrations(1)
    #expect(model.explore().fault != nil)
  }

  @Test("One who puts back without looking, asks too early, or trusts a failed exchange: found")
  func leftOutBySeveral() {
    let trusting = BindingCases(fault: .trustsFailure, fresh: true).registrations(2)
    #expect(trusting.explore().fault != nil)
    let unlooking = BindingCases(fault: .ignoresEnd).registrations(2, thenUnregister: true)
    unlooking.preemptionsMax = 3
    #expect(unlooking.explore().fault != nil)
    #expect(BindingCases(fault: .asksEarly).tenants().explore().fault != nil)
  }

  @Test(
    "One order weakened: found",
    arguments: [
      (BindingCases.word, .compareExchange, .sequential, .relaxed, false),
      (BindingCases.word, .exchange, .acquire, .relaxed, false),
      (BindingCases.living, .store, .sequential, .release, true),
      (BindingCases.room, .load, .sequential, .acquire, true),
    ] as [(Range<Int>, Operation.Kind, Operation.Order, Operation.Order, Bool)])
  func weakened(
    words: Range<Int>, kind: Operation.Kind, from: Operation.Order, to: Operation.Order, fresh: Bool
  ) {
    let model = BindingCases(fresh: fresh).registrations(1)
    model.weakening = Weakening(kind: kind, words: words, from: from, to: to)
    #expect(model.explore().fault != nil)
  }

  @Test("Free nodes: each is held once, and without the tag of the head that is not so")
  func freeNodes() {
    let result = NodeStackCases.taking().explore()
    #expect(result.fault == nil, "\(result)")
    print("node stack: \(result)")
    #expect(NodeStackCases.taking(tagged: false).explore().fault != nil)
  }
}
