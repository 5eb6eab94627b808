struct PoolScenario: NotBuiltScenario {
  static let id = "2-pool"
  static let title = "Connection pooling"
}
