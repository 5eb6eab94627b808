import Testing

@testable import AloftCluster

/// What a receiver makes of the numbers of messages, held against a list of what it was told.
struct InStreamTests {
  @Test("Within a link a hole is a fault; at its begin it is a loss; a number again is a duplicate")
  func verdicts() {
    var stream = InStream()
    func judge(_ number: UInt64, acknowledged: Bool = false) -> String {
      "\(stream.judge(number, isAcknowledged: acknowledged))"
    }
    #expect(judge(1) == "next")
    #expect(judge(1) == "duplicate")
    #expect(judge(3) == "fault")
    #expect(judge(2) == "next")
    stream.begin()
    #expect(judge(9, acknowledged: true) == "fault")
    #expect(judge(9) == "gap(lost: 6)")
    #expect(judge(10) == "next")
    #expect(judge(12) == "fault")
  }
}
