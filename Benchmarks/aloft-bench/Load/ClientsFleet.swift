import Foundation

/// Processes of clients, that do the same thing at the same time.
final class ClientsFleet {
  private let members: [Child]

  init(_ shapes: [ClientsShape], machine: Machine) throws {
    members = try shapes.map { _ in
      try Child(path: machine.executable, arguments: ["role-clients"], cpu: machine.loadCore)
    }
    for (member, shape) in zip(members, shapes) { try Self.begin(member, .prepare(shape)) }
    for member in members { _ = try Self.finish(member, .returns(since: 0)) }
  }

  func run(_ command: ClientsCommand) throws -> ClientsReply {
    try begin(command)
    return try finish(command)
  }

  func begin(_ command: ClientsCommand) throws {
    for member in members { try Self.begin(member, command) }
  }

  func finish(_ command: ClientsCommand) throws -> ClientsReply {
    try members.map { try Self.finish($0, command) }.reduce(ClientsReply(), +)
  }

  func stop() { for member in members { member.stop() } }

  private static func begin(_ member: Child, _ command: ClientsCommand) throws {
    try member.writeLine(String(decoding: JSONEncoder().encode(command), as: UTF8.self))
  }

  private static func finish(_ member: Child, _ command: ClientsCommand) throws -> ClientsReply {
    let line = try member.readLine(within: command.limit)
    let reply = try JSONDecoder().decode(ClientsReply.self, from: Data(line.utf8))
    if let error = reply.error { throw BenchError("clients: \(error)") }
    return reply
  }
}
