struct RegistryScenario: NotBuiltScenario {
  static let id = "3-registry"
  static let title = "Registry routing"
}
