import Aloft
import AloftNode
import AloftOperations
import Synchronization

/// The control socket: a line asked, lines answered, the last of which is empty.
final class ControlHandler: ConnectionHandler {
  private let node: Node
  private let signals: Signals
  private let secrets: Secrets
  private let operations: OperationsServer
  private static let lineMax = 256
  /// A connection's context once an answer is on its way.
  private static let asked: UInt = 1

  init(_ node: Node, _ signals: Signals, _ secrets: Secrets, _ operations: OperationsServer) {
    self.node = node
    self.secrets = secrets
    self.operations = operations
    self.signals = signals
  }

  func received(_ connection: Connection, _ bytes: RawSpan) {
    // A line comes whole from our own command; anything else is told so.
    let text = unsafe bytes.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    guard text.hasSuffix("\n"), text.utf8.count <= Self.lineMax else {
      connection.write("error: a line of at most \(Self.lineMax) bytes is wanted\n\n")
      return connection.close()
    }
    connection.context = Self.asked
    let words = text.dropLast().split(separator: " ").map(String.init)
    let loop = EventLoop.current
    if words == ["leave"] { signals.isLeaving.store(true, ordering: .releasing) }
    Task { [self, signals] in
      let answer = await answer(words)
      try? loop?.execute {
        connection.write(answer + "\n\n")
        connection.close()
      }
      if words == ["leave"], !answer.hasPrefix("error") { signals.stop() }
    }
  }

  /// Who has asked may have nothing more to say, and still waits.
  func readClosed(_ connection: Connection) {
    if connection.context != Self.asked { connection.close() }
  }

  private func answer(_ words: [String]) async -> String {
    do {
      switch (words.first ?? "", words.count) {
      case ("status", 1): return Self.status(await node.status())
      case ("members", 1): return Self.members(await node.status())
      case ("slots", 1): return Self.slots(await node.status())
      case ("metrics", 1): return await operations.metrics()
      case ("drain", 2): try await node.setDraining(words[1], true)
      case ("undrain", 2): try await node.setDraining(words[1], false)
      case ("reload", 1): try await secrets.reload(node)
      case ("leave", 1): try await node.leave()
      default: return "error: unknown: \(words.joined(separator: " "))"
      }
      return "done"
    } catch {
      return "error: \(error)"
    }
  }

  private static func status(_ status: Node.Status?) -> String {
    guard let status else { return "error: the node has ended" }
    let leader = status.members.first { $0.node == status.leader }?.name ?? "none"
    return """
      node \(status.node)
      incarnation \(status.incarnation)
      member \(status.isMember ? "yes" : "no")
      accepting \(status.isAccepting ? "yes" : "no")
      leader \(leader)
      term \(status.term)
      epoch \(status.epoch)
      members \(status.members.count { $0.state == .up })
      """
  }

  private static func members(_ status: Node.Status?) -> String {
    guard let status else { return "error: the node has ended" }
    return
      (["name node state voter draining suspected weight zone slots address"]
      + status.members.map {
        "\($0.name) \($0.node) \($0.state.rawValue) \($0.isVoter ? "yes" : "no") "
          + "\($0.isDraining ? "yes" : "no") \($0.isSuspected ? "yes" : "no") \($0.weight) "
          + "\($0.zone.isEmpty ? "-" : $0.zone) \($0.slots) \($0.address)"
      }).joined(separator: "\n")
  }

  private static func slots(_ status: Node.Status?) -> String {
    guard let status else { return "error: the node has ended" }
    return status.members.map { "\($0.name) \($0.slots)" }.joined(separator: "\n")
  }
}
