import AloftNode
import ArgumentParser

/// Makes a token for a client of sessions.
struct TokenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token",
    abstract: "Prints a token with which a client of sessions is let in, as a principal.")

  @Option(help: "Whose sessions it is for.") var principal: String
  @Option(help: "A file with the cluster's key; its first line counts.") var keyFile: String
  @Option(help: "Seconds for which it's good; as long as the key is without.") var seconds: Int?

  func run() throws {
    guard let key = try Secrets(keyFile: keyFile, certificates: []).keys().first else {
      throw ValidationError("there is no key in \(keyFile)")
    }
    print(
      try Node.clientToken(
        for: principal, validFor: seconds.map { .seconds($0) }, key: key))
  }
}
