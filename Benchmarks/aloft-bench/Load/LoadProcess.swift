import Foundation

/// A process that drives connections, commanded from here.
final class LoadProcess {
  private let child: Child

  init(_ shape: LoadShape, machine: Machine) throws {
    child = try Child(path: machine.executable, arguments: ["role-load"], cpu: machine.loadCore)
    try run(.prepare(shape))
  }

  @discardableResult
  func run(_ command: LoadCommand) throws -> LoadReply {
    try begin(command)
    return try finish(command)
  }

  func begin(_ command: LoadCommand) throws {
    try child.writeLine(String(decoding: JSONEncoder().encode(command), as: UTF8.self))
  }

  func finish(_ command: LoadCommand) throws -> LoadReply {
    let line = try child.readLine(within: command.limit)
    let reply = try JSONDecoder().decode(LoadReply.self, from: Data(line.utf8))
    if let error = reply.error { throw BenchError("load: \(error)") }
    return reply
  }

  func scheduling() throws -> ProcFS.Scheduling { try ProcFS.scheduling(of: child.pid) }

  func stop() { child.stop() }
}

/// Load processes that do the same thing at the same time.
struct LoadFleet {
  let members: [LoadProcess]

  func run(_ command: LoadCommand) throws -> LoadReply {
    for member in members { try member.begin(command) }
    return try members.map { try $0.finish(command) }.reduce(LoadReply(), +)
  }

  func stop() { members.forEach { $0.stop() } }
}
