// Single bricks, measured in this process beside what they replace. The code is in `Micro/`.

struct TimersScenario: Scenario {
  static let id = "timers"
  static let title = "Timer wheel"

  func run(_ context: RunContext) throws -> [Figure] {
    context.progress.step(Self.id)
    return timerFigures(quick: context.quick, run: context.run)
  }
}

struct MicroInboxScenario: Scenario {
  static let id = "micro-inbox"
  static let title = "Loop inbox"

  func run(_ context: RunContext) throws -> [Figure] {
    context.progress.step(Self.id)
    return inboxFigures(quick: context.quick, run: context.run)
  }
}
