struct ChaosScenario: NotBuiltScenario {
  static let id = "9-chaos"
  static let title = "Chaos"
}
