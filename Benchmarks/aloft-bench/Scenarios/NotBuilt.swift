// Scenarios whose part of Aloft is not there yet: they are named in the report and make no
// figure. Each moves to a file of its own when it is built.

protocol NotBuiltScenario: Scenario {}

extension NotBuiltScenario {
  static var isBuilt: Bool { false }
  func run(_ context: RunContext) throws -> [Figure] { [] }
}

struct EndToEndScenario: NotBuiltScenario {
  static let id = "11-endtoend"
  static let title = "100,000 connections with sessions, end to end"
}
