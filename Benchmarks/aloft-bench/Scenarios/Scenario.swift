/// One line of the seed's log, done for real: it starts what it needs, measures, checks that
/// everything is accounted for, and stops all it started.
protocol Scenario: SendableMetatype {
  /// The name in docs and in the figures, such as `10-echo`.
  static var id: String { get }
  static var title: String { get }

  init()
  func run(_ context: RunContext) throws -> [Figure]
}

extension Scenario {
  func figure(
    _ context: RunContext, system: String, config: String, _ name: String, _ value: Double,
    _ unit: String
  ) -> Figure {
    Figure(
      system: system, scenario: Self.id, config: config, figure: name, value: value, unit: unit,
      run: context.run)
  }
}

/// Some shapes of a scenario could not be measured: what the others gave is kept.
struct PartFailure: Error, CustomStringConvertible {
  var figures: [Figure]
  var reasons: [String]
  var description: String { reasons.joined(separator: "; ") }
}

/// Measures part after part. One that fails does not take the others with it.
func measureEach<Part>(
  _ parts: [Part], name: (Part) -> String, _ measure: (Part) throws -> [Figure]
) throws -> [Figure] {
  var figures: [Figure] = []
  var reasons: [String] = []
  for part in parts {
    do {
      figures += try measure(part)
    } catch {
      reasons.append("\(name(part)): \(error)")
    }
  }
  guard reasons.isEmpty else { throw PartFailure(figures: figures, reasons: reasons) }
  return figures
}

/// Every scenario, in the order of the seed's log; what the seed has not comes after.
let allScenarios: [any Scenario.Type] = [
  ClusterScenario.self, PoolScenario.self, RegistryScenario.self, QueueScenario.self,
  MemoryScenario.self, BalanceScenario.self, SessionsScenario.self, InternodeScenario.self,
  ChaosScenario.self, EchoScenario.self, EndToEndScenario.self, TimersScenario.self,
  MicroInboxScenario.self, MicroScenario.self, SlowDripScenario.self,
]

/// What a scenario is told, and where it tells how far it is.
struct RunContext {
  /// Every size and time at least ten times smaller.
  var quick: Bool
  /// Counted from 1.
  var run: Int
  /// What stands in Aloft's place: another server only while the bench itself is developed.
  var server: ServerKind
  var machine: Machine
  var progress: Progress

  /// The larger or the smaller size.
  func size<T>(_ full: T, quick small: T) -> T { quick ? small : full }
}

struct BenchError: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}
