import ModelFibers
import Testing

@testable import AloftAtomics

/// Leases, walked through every execution of small cases: no resource is lent twice, each borrower
/// sees what the last one did, and nobody waits while a resource is idle. Then the protocol is made
/// wrong in one way after the other, and the checker must find it.
@Suite(.enabled(if: model_fibers_are_usable() != 0))
struct LeaseModelTests {
  typealias Borrower = LeaseCase.Borrower

  @Test(
    "Every execution serves all, one at a time",
    arguments: [
      ([.foreign], 1, 2), ([.foreign, .foreign], 1, 1), ([.foreign, .foreign], 2, 1),
      ([.loop], 1, 2), ([.loop, .foreign], 1, 1),
    ] as [([Borrower], Int, Int)])
  func serves(borrowers: [Borrower], open: Int, leases: Int) {
    let result = LeaseCase(borrowers, open: open, leases: leases).explore()
    #expect(result.fault == nil, "\(result)")
    print("leases \(borrowers) open=\(open) each=\(leases): \(result)")
  }
}
