import ArgumentParser

@main
struct AloftNodeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "aloft-node",
    abstract: "A node of a cluster, and questions to one that runs.",
    discussion: """
      Options may also stand in a file, a line each (`name = a`), or in the environment \
      (`ALOFT_NODE_NAME=a`). What is given on the command line counts first, then the environment, \
      then the file.
      """,
    subcommands: [
      RunCommand.self, StatusCommand.self, MembersCommand.self, SlotsCommand.self,
      MetricsCommand.self, TopCommand.self,
      DrainCommand.self, UndrainCommand.self, ReloadCommand.self, LeaveCommand.self,
      TokenCommand.self,
    ])
}
