import Aloft
import AloftNode
import Testing

@testable import AloftOperations

/// Figures as Prometheus reads them, the journal's account of failovers, and JSON for the page.
struct FigureTests {
  @Test("Each name has its help and type once, its lines together, its labels escaped")
  func exposition() {
    var exposition = Exposition()
    let labels = [("pool", "a\"b\\c\nd")]
    exposition.add([
      Reading(name: "one", labels: labels, value: .total(7), help: "First."),
      Reading(name: "two", value: .level(1.5), help: "Second\nline."),
      Reading(name: "one", labels: [("pool", "e")], value: .total(8), help: "First."),
    ])
    #expect(
      exposition.text == """
        # HELP one First.
        # TYPE one counter
        one{pool="a\\"b\\\\c\\nd"} 7
        one{pool="e"} 8
        # HELP two Second\\nline.
        # TYPE two gauge
        two 1.5

        """)
  }

  @Test("A histogram's classes add up, and what is above the last is in the whole")
  func histogram() {
    var histogram = Histogram()
    for delay in [10, 50, 51, 900, 2_000_000] { histogram.add(.microseconds(delay)) }
    var exposition = Exposition()
    exposition.add(histogram, name: "delay_seconds", help: "Delay.", labels: [("loop", "0")])
    let lines = exposition.text.split(separator: "\n")
    #expect(lines[1] == "# TYPE delay_seconds histogram")
    #expect(lines[2] == "delay_seconds_bucket{loop=\"0\",le=\"5e-05\"} 2")
    #expect(lines[6] == "delay_seconds_bucket{loop=\"0\",le=\"0.001\"} 4")
    #expect(lines[12] == "delay_seconds_bucket{loop=\"0\",le=\"1\"} 4")
    #expect(lines[13] == "delay_seconds_bucket{loop=\"0\",le=\"+Inf\"} 5")
    #expect(lines[14].hasPrefix("delay_seconds_sum{loop=\"0\"} 2.001"))
    #expect(lines[15] == "delay_seconds_count{loop=\"0\"} 5")
  }

  private func peer(_ node: Int, _ incarnation: UInt64) throws -> Node.Peer {
    // It has no public initialiser; both are words.
    #expect(MemoryLayout<Node.Peer>.size == 16)
    return unsafeBitCast((node, incarnation), to: Node.Peer.self)
  }

  @Test("A failover lasts from the first news of a death to the new owners of its slots")
  func failovers() throws {
    let journal = Journal()
    let start = ContinuousClock.now
    let (b, c) = (try peer(2, 7), try peer(3, 8))
    journal.note(.slotsChanged, at: start, time: 1)
    #expect(journal.failovers.isEmpty && journal.entries.isEmpty)
    journal.note(.dead(b), at: start, time: 2)
    journal.note(.down(b), at: start + .milliseconds(3), time: 3)
    journal.note(.slotsChanged, at: start + .milliseconds(5), time: 4)
    #expect(journal.failovers.map(\.took) == [.milliseconds(5)])
    #expect(journal.failovers[0].peer.node == 2 && journal.failovers[0].time == 4)
    // One that was taken for dead and is back had no failover.
    journal.note(.dead(c), at: start + .seconds(1), time: 5)
    journal.note(.up(c), at: start + .seconds(2), time: 6)
    journal.note(.slotsChanged, at: start + .seconds(3), time: 7)
    #expect(journal.failoversCount == 1)
    #expect(journal.entries.count == 4)
  }

  @Test("The journal keeps the last and counts all")
  func bounded() throws {
    let journal = Journal()
    for incarnation in 0..<100 as Range<UInt64> {
      journal.note(.dead(try peer(2, incarnation)), at: .now, time: Int64(incarnation))
      journal.note(.slotsChanged, at: .now, time: Int64(incarnation))
    }
    #expect(journal.failoversCount == 100)
    #expect(journal.failovers.count == 64 && journal.failovers.last?.time == 99)
    #expect(journal.entries.count == 64 && journal.entries.first?.time == 36)
  }

  @Test("JSON is escaped, and has no infinite numbers")
  func json() {
    let value = JSON.object([
      ("a\"", .text("\u{1}\\\n<é>")), ("b", .number(.infinity)),
      ("c", .list([.bool(true), .null])),
    ])
    #expect(value.description == #"{"a\"":"\u0001\\\n<é>","b":null,"c":[true,null]}"#)
  }
}
