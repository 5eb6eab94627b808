import Aloft
import Foundation
import Synchronization

/// Workers are killed, a tenth of them at once: how long it takes until all their replacements
/// have answered, and what the others notice of it.
struct ChaosScenario: Scenario {
  static let id = "9-chaos"
  static let title = "Chaos"

  private enum Shape {
    case workers(Int, killed: Int)
    case processes(Int, killed: Int)

    var config: String {
      switch self {
      case .workers(let all, let killed): "workers=\(all) killed=\(killed)"
      case .processes(let all, let killed): "processes=\(all) killed=\(killed)"
      }
    }
  }

  func run(_ context: RunContext) throws -> [Figure] {
    let shapes: [Shape] =
      context.quick
      ? [.workers(100, killed: 10), .workers(10_000, killed: 1_000), .processes(10, killed: 1)]
      : [
        .workers(1_000, killed: 100), .workers(100_000, killed: 10_000),
        .processes(100, killed: 10),
      ]
    return try measureEach(shapes, name: \.config) { shape in
      context.progress.step("\(Self.id) \(shape.config)")
      let outcome =
        switch shape {
        case .workers(let all, let killed):
          try waitFor {
            try await WorkerChaos(all: all, killed: killed, rounds: context.size(5, quick: 3)).run()
          }
        case .processes(let all, let killed):
          try waitFor {
            try await ProcessChaos(
              all: all, killed: killed, rounds: context.size(5, quick: 3),
              program: context.machine.sibling("process-worker")
            ).run()
          }
        }
      let lines = [
        ("recovery_ms", outcome.recovery, "ms"),
        ("survivors_disturbed", Double(outcome.disturbed), ""),
        ("cascades", Double(outcome.cascades), ""),
      ]
      return lines.map {
        figure(context, system: "aloft", config: shape.config, $0.0, $0.1, $0.2)
      }
    }
  }
}

/// What came of killing some.
struct ChaosOutcome: Sendable {
  /// Milliseconds from before the first kill until after the last replacement's answer: the median
  /// of several rounds.
  var recovery = 0.0
  /// Survivors whose state was lost, that were restarted, or whose answer is missing: of all
  /// rounds together.
  var disturbed = 0
  /// Restarts beyond those of the killed.
  var cascades = 0
}

/// Supervised handlers in this process. One loop has the supervisor and all its workers, as the
/// seed's one node has; this thread kills, and waits for the answers.
private final class WorkerChaos: Sendable {
  private let all: Int
  private let killed: Int
  private let rounds: Int

  /// One byte of a message.
  fileprivate static let kill: UInt8 = 1
  fileprivate static let ping: UInt8 = 2

  init(all: Int, killed: Int, rounds: Int) {
    self.all = all
    self.killed = killed
    self.rounds = rounds
  }

  func run() async throws -> ChaosOutcome {
    let runtime = try Runtime(.init(eventLoops: 1))
    let board = ChaosBoard(count: all)
    var options = SupervisorOptions(intensity: .init(fraction: 0.25, window: .seconds(1)))
    options.inFlightMax = all
    options.backoff.base = .zero
    let supervisor = try await runtime.supervise(options, on: runtime.eventLoops[0]) { [all] in
      for index in 0..<all {
        try .worker(on: runtime.eventLoops[0]) { ChaosWorker(index, board) }
      }
    }
    let mailboxes = try await supervisor.workers().compactMap(\.mailbox)
    guard mailboxes.count == all else { throw BenchError("\(mailboxes.count) of \(all) came up") }
    var times: [Double] = []
    var outcome = ChaosOutcome()
    for round in 0..<rounds {
      // The restarts of the round before leave the window.
      if round > 0 { try await Task.sleep(for: .milliseconds(1_100)) }
      times.append(try await self.round(round, mailboxes, board, supervisor, &outcome))
    }
    outcome.recovery = Statistics.median(times)
    await runtime.shutdown(within: .seconds(10))
    return outcome
  }

  private func round(
    _ round: Int, _ mailboxes: [Mailbox], _ board: ChaosBoard, _ supervisor: Supervisor,
    _ outcome: inout ChaosOutcome
  ) async throws -> Double {
    let step = all / killed
    let victims = (0..<killed).map { $0 * step + round % step }
    let isVictim = Set(victims)
    // Everybody answers once, so that everybody has a state to lose.
    board.expect(all)
    for mailbox in mailboxes { try send(Self.ping, to: mailbox) }
    try board.wait()
    let before = board.copy()
    let restarts = try await supervisor.statistics().restarts
    board.expect(killed)
    let began = ContinuousClock.now
    for index in victims {
      try send(Self.kill, to: mailboxes[index])
      try send(Self.ping, to: mailboxes[index])
    }
    try board.wait()
    let time = began.duration(to: .now).milliseconds
    // The others answer too, from the same handler as before, whose count goes on.
    board.expect(all)
    for mailbox in mailboxes { try send(Self.ping, to: mailbox) }
    try board.wait()
    let after = board.copy()
    for index in 0..<all {
      if isVictim.contains(index) {
        guard after[index].starts == before[index].starts + 1 else {
          throw BenchError("worker \(index) was killed and not restarted once")
        }
      } else if after[index].starts != before[index].starts
        || after[index].count != before[index].count + 1
      {
        outcome.disturbed += 1
      }
    }
    let more = try await supervisor.statistics().restarts - restarts
    outcome.cascades += Int(more) - killed
    return time
  }

  private func send(_ byte: UInt8, to mailbox: Mailbox) throws {
    let bytes: InlineArray<1, UInt8> = [byte]
    while true {
      switch mailbox.send(bytes.span.bytes) {
      case .accepted: return
      case .busy, .full: sched_yield()
      case .closed: throw BenchError("a worker's mailbox is gone")
      }
    }
  }
}

/// What the workers have done, written on their loop and read when they have answered.
private final class ChaosBoard: @unchecked Sendable {
  // @unchecked: the workers' loop writes, and counts `answers` with releasing order; the reader
  // has seen the count.
  struct Life {
    /// Handlers that this worker has had.
    var starts = 0
    /// Pings that its present handler has answered: its state.
    var count = 0
  }

  /// Raw, so that a copy that somebody holds does not have the loop copy it all on its next write.
  let lives: UnsafeMutableBufferPointer<Life>
  private let answers = Atomic<Int>(0)
  private var wanted = 0

  init(count: Int) {
    lives = .allocate(capacity: count)
    lives.initialize(repeating: Life())
  }

  deinit { lives.deallocate() }

  func copy() -> [Life] { Array(lives) }

  func expect(_ count: Int) { wanted = answers.load(ordering: .relaxed) + count }

  func answered() { answers.add(1, ordering: .releasing) }

  /// Yields while it waits: where the system has woken the loop on this thread's core, to spin
  /// would hold off the very loop that is waited for, until the timer's tick 4 ms later.
  func wait() throws {
    let end = ContinuousClock.now + .seconds(30)
    while answers.load(ordering: .acquiring) < wanted {
      sched_yield()
      if ContinuousClock.now > end {
        throw BenchError("\(wanted - answers.load(ordering: .relaxed)) answers are missing")
      }
    }
  }
}

private final class ChaosWorker: WorkerHandler {
  private let index: Int
  private let board: ChaosBoard
  private var count = 0

  struct Killed: Error {}

  init(_ index: Int, _ board: ChaosBoard) {
    self.index = index
    self.board = board
  }

  func started(_ worker: Worker) throws {
    board.lives[index].starts += 1
    board.lives[index].count = 0
  }

  func received(_ worker: Worker, _ message: consuming Message) throws {
    let byte = message.withUnsafeBytes { $0[0] }
    if byte == WorkerChaos.kill { throw Killed() }
    count += 1
    board.lives[index].count = count
    board.answered()
  }
}
