import ModelFibers
import Testing

/// Waiting at a ring, walked through the executions of small cases: whoever waits is served. Then
/// with faults put in, each of which must leave somebody asleep.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct WaiterModelTests {
  @Test("Who waits for an item gets one", arguments: [(1, 1, 1), (2, 1, 1), (1, 2, 2)])
  func waiting(pushers: Int, items: Int, waiters: Int) {
    let model = WaiterCases.waiting(pushers: pushers, items: items, waiters: waiters)
    // Three threads have too many executions; most faults need one or two interruptions.
    if pushers + waiters > 2 { model.preemptionsMax = waiters > 1 ? 1 : 2 }
    let result = model.explore()
    #expect(result.fault == nil, "\(result)")
    print("waiters pushers=\(pushers) items=\(items) waiters=\(waiters): \(result)")
  }

  @Test(
    "Who waits hears of the end, and of every item that was accepted", arguments: [false, true])
  func closing(pushes: Bool) {
    let model = WaiterCases.closing(pushes: pushes)
    if pushes { model.preemptionsMax = 2 }
    let result = model.explore()
    #expect(result.fault == nil, "\(result)")
    print("waiters and close, pushes=\(pushes): \(result)")
  }

  @Test(
    "A wake-up that gets lost is found",
    arguments: [WaiterCases.Fault.asksNobody, .announcesBlindly])
  func lostWakeUp(fault: WaiterCases.Fault) {
    let found = WaiterCases.waiting(pushers: 1, waiters: 1, fault: fault).explore().fault
    #expect(found == .deadlock("waiter 0 waits in sleep"))
  }

  @Test("Two items and one served: the second waiter sleeps on")
  func servesOnce() {
    let model = WaiterCases.waiting(pushers: 2, waiters: 2, fault: .servesOnce)
    model.preemptionsMax = 2
    if case .deadlock = model.explore().fault {} else { Issue.record("not found") }
  }

  @Test("A close that leaves the waiters alone: they sleep on")
  func closesSilently() {
    let found = WaiterCases.closing(pushes: false, fault: .closesSilently).explore().fault
    #expect(found == .deadlock("waiter waits in sleep"))
  }
}
