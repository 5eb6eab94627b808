import Testing

@testable import aloft_bench

/// The judges of histories: what is right passes, and each kind of wrong history is seen.
struct HistoryTests {
  private func judge(_ story: (inout RegisterJudge) -> Void) -> HistoryFaults {
    var judge = RegisterJudge()
    judge.made(version: 10)
    story(&judge)
    return judge.faults
  }

  /// A write that ends before anything else begins.
  private func write(
    _ judge: inout RegisterJudge, _ outcome: HistoryOutcome, expected: UInt64? = nil
  ) {
    let (start, number) = judge.beginWrite()
    judge.wrote(number, start, expected: expected, outcome)
  }

  private func read(
    _ judge: inout RegisterJudge, _ number: UInt64, _ version: UInt64, isLast: Bool = false
  ) {
    let start = judge.begin()
    judge.read(start, number: number, version: version, isLast: isLast)
  }

  @Test("Writes and reads at once, answers that come late and writes of unknown end are right")
  func right() {
    let faults = judge { judge in
      let early = judge.begin()
      let (one, first) = judge.beginWrite()
      let (two, second) = judge.beginWrite()
      judge.wrote(second, two, expected: nil, .done(version: 30))
      judge.wrote(first, one, expected: nil, .done(version: 20))
      // It was asked before, so it may see any of them.
      judge.read(early, number: 0, version: 10)
      read(&judge, 2, 30)
      write(&judge, .uncertain)
      read(&judge, 2, 30)
      // It was done after all.
      read(&judge, 3, 40)
      write(&judge, .certainlyNot)
      write(&judge, .done(version: 50), expected: 40)
      read(&judge, 5, 50, isLast: true)
    }
    #expect(faults == HistoryFaults())
  }

  @Test("A write of unknown end may be found long after")
  func late() {
    let faults = judge { judge in
      write(&judge, .uncertain)
      for version in 20..<60 { write(&judge, .done(version: UInt64(version))) }
      read(&judge, 1, 70)
    }
    #expect(faults == HistoryFaults())
  }

  @Test("A write that is held up while many others are done may be the last one")
  func heldUp() {
    let faults = judge { judge in
      let (start, number) = judge.beginWrite()
      for version in 20..<60 { write(&judge, .done(version: UInt64(version))) }
      judge.wrote(number, start, expected: nil, .done(version: 70))
      read(&judge, 1, 70, isLast: true)
    }
    #expect(faults == HistoryFaults())
  }

  @Test("Lost, stale, doubled, refused and unwritten states, and broken orders, are seen")
  func wrong() {
    func faults(_ story: (inout RegisterJudge) -> Void) -> HistoryFaults { judge(story) }
    #expect(
      faults {
        write(&$0, .done(version: 20))
        read(&$0, 0, 10, isLast: true)
      }.lost == 1)
    #expect(
      faults {
        write(&$0, .done(version: 20))
        read(&$0, 0, 10)
      }.stale == 1)
    // Read by somebody, then gone, though never acknowledged.
    #expect(
      faults {
        write(&$0, .uncertain)
        read(&$0, 1, 20)
        read(&$0, 0, 10)
      }.stale == 1)
    // The same write in two versions.
    #expect(
      faults {
        write(&$0, .done(version: 20))
        write(&$0, .done(version: 30))
        read(&$0, 1, 40)
      }.duplicated == 1)
    #expect(
      faults {
        for version in 20..<60 { write(&$0, .done(version: UInt64(version))) }
        read(&$0, 1, 70)
      }.duplicated == 1)
    // Two writes in one version.
    #expect(
      faults {
        write(&$0, .done(version: 20))
        read(&$0, 0, 20)
      }.duplicated > 0)
    #expect(faults { read(&$0, 1, 20) }.future == 1)
    #expect(
      faults {
        write(&$0, .certainlyNot)
        read(&$0, 1, 20)
      }.future == 1)
    #expect(faults { write(&$0, .done(version: 5)) }.misordered == 1)
    // A condition that can't have held.
    #expect(
      faults {
        write(&$0, .done(version: 20))
        write(&$0, .done(version: 30), expected: 10)
      }.misordered == 1)
  }

  @Test("Elements of a set: acknowledged ones stay once, in their place")
  func sets() {
    func faults(_ story: (inout SetJudge) -> Void) -> HistoryFaults {
      var judge = SetJudge()
      story(&judge)
      return judge.faults
    }
    func append(_ judge: inout SetJudge, _ outcome: HistoryOutcome = .done(version: 1)) {
      let element = judge.beginAppend()
      judge.appended(element, outcome)
    }
    func read(_ judge: inout SetJudge, _ elements: [UInt64], isLast: Bool = false) {
      let start = judge.beginRead()
      judge.read(start, elements, isLast: isLast)
    }
    #expect(
      faults {
        append(&$0)
        append(&$0, .uncertain)
        let early = $0.beginRead()
        append(&$0)
        $0.read(early, [0])
        read(&$0, [0, 2])
        read(&$0, [0, 2, 1], isLast: true)
      } == HistoryFaults())
    #expect(
      faults {
        append(&$0)
        append(&$0)
        read(&$0, [0], isLast: true)
      }.lost == 1)
    #expect(
      faults {
        append(&$0)
        read(&$0, [])
      }.stale == 1)
    #expect(
      faults {
        append(&$0)
        read(&$0, [0, 0])
      }.duplicated == 1)
    #expect(faults { read(&$0, [0]) }.future == 1)
    #expect(
      faults {
        append(&$0, .certainlyNot)
        read(&$0, [0])
      }.future == 1)
    #expect(
      faults {
        append(&$0)
        append(&$0)
        read(&$0, [0, 1])
        read(&$0, [1, 0])
      }.misordered == 1)
    #expect(
      faults {
        append(&$0, .uncertain)
        read(&$0, [0])
        read(&$0, [])
      }.stale == 1)
  }
}
