import Aloft
import Foundation
import Synchronization

/// Supervised processes, killed for good: with SIGKILL, through their pidfds.
final class ProcessChaos: Sendable {
  private let all: Int
  private let killed: Int
  private let program: String
  private let rounds: Int

  init(all: Int, killed: Int, rounds: Int, program: String) {
    self.all = all
    self.rounds = rounds
    self.killed = killed
    self.program = program
  }

  func run() async throws -> ChaosOutcome {
    let runtime = try Runtime(.init(eventLoops: 1))
    let answers = ProcessAnswers(count: all)
    var options = SupervisorOptions(intensity: .init(fraction: 0.5, window: .seconds(1)))
    options.inFlightMax = all
    // As many spares as may be killed at once.
    let program = ProcessProgram(program, spares: killed)
    var started = ProcessOptions()
    started.waitsForFirstMessage = true
    started.assignment = Array("work".utf8)
    let (all, options0, started0) = (all, options, started)
    let supervisor = try await runtime.supervise(options0) {
      for index in 0..<all {
        try .process(
          "\(index)", program, options: started0, handler: ProcessClient(index, answers))
      }
    }
    let workers = try await supervisor.processes()
    var outcome = ChaosOutcome()
    var times: [Double] = []
    for round in 0..<rounds {
      // The restarts of the round before leave the window.
      if round > 0 { try await Task.sleep(for: .milliseconds(1_100)) }
      try await until { try await supervisor.statistics().spares == self.killed }
      times.append(try await self.round(round, workers, answers, supervisor, &outcome))
    }
    outcome.recovery = Statistics.median(times)
    await runtime.shutdown(within: .seconds(10))
    return outcome
  }

  private func round(
    _ round: Int, _ workers: [ProcessWorker], _ answers: ProcessAnswers,
    _ supervisor: Supervisor, _ outcome: inout ChaosOutcome
  ) async throws -> Double {
    let step = all / killed
    let victims = (0..<killed).map { $0 * step + round % step }
    let before = answers.starts.map { $0.load(ordering: .relaxed) }
    let counted = answers.answered.map { $0.load(ordering: .relaxed) }
    let restarts = try await supervisor.statistics().restarts
    let began = ContinuousClock.now
    for index in victims { _ = try await workers[index].signal(SIGKILL) }
    // A replacement has answered when it has been started, and has sent something since.
    try spin {
      victims.allSatisfy {
        answers.starts[$0].load(ordering: .acquiring) > before[$0]
          && answers.answered[$0].load(ordering: .acquiring) > counted[$0]
      }
    }
    let time = began.duration(to: .now).milliseconds
    for worker in workers { worker.send("ping".utf8.span.bytes) }
    let isVictim = Set(victims)
    try spin {
      (0..<self.all).allSatisfy {
        answers.answered[$0].load(ordering: .acquiring)
          > counted[$0] + (isVictim.contains($0) ? 1 : 0)
      }
    }
    for index in 0..<all where !isVictim.contains(index) {
      if answers.starts[index].load(ordering: .relaxed) != before[index]
        || answers.answered[index].load(ordering: .relaxed) != counted[index] + 1
      {
        outcome.disturbed += 1
      }
    }
    outcome.cascades += Int(try await supervisor.statistics().restarts - restarts) - killed
    return time
  }

  private func spin(_ condition: () -> Bool) throws {
    let end = ContinuousClock.now + .seconds(20)
    while !condition() {
      if ContinuousClock.now > end { throw BenchError("20 s without an answer") }
      usleep(50)
    }
  }

  private func until(_ condition: () async throws -> Bool) async throws {
    for _ in 0..<10_000 {
      if try await condition() { return }
      try await Task.sleep(for: .milliseconds(1))
    }
    throw BenchError("the spares don't come up")
  }
}

/// What the processes have answered.
private final class ProcessAnswers: Sendable {
  final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    func load(ordering: AtomicLoadOrdering) -> Int { value.load(ordering: .acquiring) }
    func add() { value.add(1, ordering: .releasing) }
  }

  let starts: [Counter]
  let answered: [Counter]

  init(count: Int) {
    starts = (0..<count).map { _ in Counter() }
    answered = (0..<count).map { _ in Counter() }
  }
}

private final class ProcessClient: ProcessHandler {
  private let index: Int
  private let answers: ProcessAnswers

  init(_ index: Int, _ answers: ProcessAnswers) {
    self.index = index
    self.answers = answers
  }

  func started(_ worker: ProcessWorker, pid: Int32) { answers.starts[index].add() }
  func received(_ worker: ProcessWorker, _ bytes: RawSpan) { answers.answered[index].add() }
}
