import ArgumentParser

@main
struct AloftBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "aloft-bench",
    abstract: "Proves Aloft's claims on real sockets and real processes.",
    subcommands: [
      Stress.self, ChaosCommand.self, SoakCommand.self, RoleLoad.self, RoleClients.self,
      RoleServe.self, RoleMicro.self, RoleNode.self,
    ])
}
