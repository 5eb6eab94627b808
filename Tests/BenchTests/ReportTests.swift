// The report's arithmetic and the lines it writes, without any load.
import Foundation
import Testing

@testable import aloft_bench

private func figure(
  _ name: String, _ value: Double, config: String = "conns=64 pipeline=1 closed-loop",
  system: String = "aloft", run: Int = 1
) -> Figure {
  Figure(
    system: system, scenario: "10-echo", config: config, figure: name, value: value, unit: "1/s",
    run: run)
}

@Test func medianAndSpread() {
  #expect(Statistics.median([]) == 0)
  #expect(Statistics.median([3]) == 3)
  #expect(Statistics.median([9, 1, 5]) == 5)
  #expect(Statistics.median([4, 1, 2, 9]) == 3)
  #expect(Statistics.spreadPercent([90, 100, 110]) == 20)
  #expect(Statistics.spreadPercent([0, 0]) == 0)
}

@Test func aJSONLineHasTheKeysOfTheDocsInOrder() {
  let line = figure("ops_per_s", 1.25e7).jsonLine
  #expect(
    line == #"{"system":"aloft","scenario":"10-echo","config":"conns=64 pipeline=1 closed-loop""#
      + #","figure":"ops_per_s","value":12500000,"unit":"1/s","run":1}"#)
}

@Test(arguments: [0, -3, 0.125, 1e-9, 3.5e20, 123_456.75])
func aJSONLineReadsBackAsItself(value: Double) throws {
  let written = figure("x", value, config: "quote \" slash \\ line \n end")
  let read = try JSONDecoder().decode(Figure.self, from: Data(written.jsonLine.utf8))
  #expect(read.value == value)
  #expect(read.config == written.config)
}

@Test func aFigureThatIsNoNumberIsNull() {
  #expect(figure("x", .infinity).jsonLine.contains(#""value":null"#))
}

@Test func runsOfOneFigureBecomeOneRow() throws {
  let report = Report(
    figures: [1, 2, 3].map { figure("ops_per_s", Double($0) * 100, run: $0) }, system: "aloft",
    runs: 3)
  let row = try #require(report.rows.first)
  #expect(report.rows.count == 1)
  #expect(row.median == 200)
}

@Test func aBarIsMetOrMissedByTheMedian() {
  let expected = Expectation(
    scenario: "10-echo", config: "conns=64", figure: "ops_per_s", bar: .atLeast(100))
  let row = Report.Row(figure: figure("ops_per_s", 0), values: [90, 105, 110])
  #expect(expected.covers(row.figure))
  #expect(!expected.covers(figure("ops_per_s", 0, config: "conns=640")))
  #expect(Report.isMet(row, expected, among: []) == true)
  let low = Report.Row(figure: figure("ops_per_s", 0), values: [90, 99, 110])
  #expect(Report.isMet(low, expected, among: []) == false)
}

@Test func aBarMayBeAnotherFigure() {
  let expected = Expectation(
    scenario: "10-echo", figure: "held", bar: .asMuchAs(figure: "wanted"))
  let held = Report.Row(figure: figure("held", 10), values: [10])
  let wanted = Report.Row(figure: figure("wanted", 11), values: [11])
  #expect(Report.isMet(held, expected, among: [held, wanted]) == false)
  #expect(Report.isMet(held, expected, among: [held]) == nil)
}

@Test func onlyCountedFaultsFailTheRun() {
  let figures = [figure("lost", 0), figure("lost", 2, run: 2), figure("ops_per_s", 7)]
  let faults = Report(figures: figures, system: "aloft", runs: 2).faults
  #expect(faults.map(\.run) == [2])
}

@Test func everyExpectationNamesAScenario() {
  let known = Set(allScenarios.map { $0.id })
  #expect(expectations.allSatisfy { known.contains($0.scenario) })
}

@Test func aCommandReadsBackAsItself() throws {
  let shape = LoadShape(port: 9, sourceFirst: 0x7f01_0001, sourceCount: 3, connections: 5)
  let commands: [LoadCommand] = [
    .prepare(shape), .closedLoop(warmup: 1, duration: 2, opsMax: 3), .closeAll,
  ]
  for command in commands {
    let line = try JSONEncoder().encode(command)
    #expect(!line.contains(UInt8(ascii: "\n")))
    #expect(try JSONDecoder().decode(LoadCommand.self, from: line) == command)
  }
}

@Test func latenciesOfManyProcessesAddUp() {
  var latencies = Latencies()
  latencies.add(LoadReply(latencyMaxNanoseconds: 40_000, latencies: [[10_000, 98], [20_000, 1]]))
  latencies.add(LoadReply(latencyMaxNanoseconds: 30_000, latencies: [[30_000, 1]]))
  #expect(latencies.count == 100)
  #expect(abs(latencies.microseconds(50) - 10) < 0.02)
  #expect(abs(latencies.microseconds(99) - 20) < 0.04)
  #expect(latencies.figures.last?.microseconds == 40)
}

private func echo(_ kind: ServerKind, ops: [Double], cpu: Double) -> EchoResult {
  let slices = ops.map {
    EchoSlice(
      opsPerSecond: $0, serverCPU: cpu, loadCPU: 1, serverBusy: 100, loadBusy: 50, stolen: 0)
  }
  return EchoResult(kind: kind, slices: slices, latencies: Latencies(), total: LoadReply())
}

@Test func ratiosAreTakenBetweenNeighbouringSlices() {
  // The whole machine was half as fast in the second turn: the ratio does not see it.
  let ours = echo(.aloft, ops: [200, 110, 220], cpu: 4)
  let floor = echo(.floorEpoll, ops: [200, 100, 200], cpu: 5)
  let report = EchoReport(
    shape: EchoShape(connections: 64, pipeline: 1), result: ours, neighbours: [ours, floor])
  let lines = Dictionary(uniqueKeysWithValues: report.figures.map { ($0.name, $0.value) })
  #expect(lines["ratio_to_floor_epoll"] == 1.1)
  #expect(lines["cpu_ratio_to_floor_epoll"] == 1.25)
  #expect(lines["ops_per_s"] == 200)
  #expect(lines["ratio_to_aloft"] == nil)
}

@Test func atAFixedRateThereIsNoRatio() {
  let ours = echo(.aloft, ops: [100], cpu: 4)
  let shape = EchoShape(connections: 64, pipeline: 1, rate: 100)
  let report = EchoReport(shape: shape, result: ours, neighbours: [ours])
  #expect(!report.figures.contains { $0.name.hasPrefix("ratio") })
  #expect(shape.config == "conns=64 pipeline=1 bytes=64 open-loop rate=100")
}

@Test func partsThatWorkedSurviveOneThatFailed() {
  #expect {
    try measureEach([1, 2, 3], name: { "part \($0)" }) { part in
      if part == 2 { throw BenchError("broken") }
      return [figure("x", Double(part))]
    }
  } throws: { error in
    guard let error = error as? PartFailure else { return false }
    return error.figures.map(\.value) == [1, 3] && error.reasons == ["part 2: broken"]
  }
}
