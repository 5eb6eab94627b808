struct QueueScenario: NotBuiltScenario {
  static let id = "4-queue"
  static let title = "Queue handling"
}
