import AloftEngine
import AloftMembership
import AloftSession

/// What a client has said of itself, until it has proved it.
struct DoorGreeting {
  static let magic: UInt32 = 0x3143_4C41  // "ALC1"

  var principal: [UInt8]
  var secret: [UInt8]
  var client: [UInt8]
  var node: [UInt8]
}

/// A client says whose it is; the node shows that it can make such tokens, and the client that it
/// has this one. Neither learns from the other what it would need to pretend.
extension SessionDoor {
  func greeting(
    _ connection: DoorConnection, _ kind: DoorKind, _ reader: inout FrameReader
  ) -> DoorRefusal? {
    switch kind {
    case .hello: hello(connection, &reader)
    case .proof: proof(connection, &reader)
    default: .malformed
    }
  }

  private func hello(
    _ connection: DoorConnection, _ reader: inout FrameReader
  ) -> DoorRefusal? {
    guard connection.greeting == nil, let binding = connection.binding,
      reader.number() == DoorGreeting.magic,
      let tag: UInt32 = reader.number(), let expiry: UInt64 = reader.number(),
      let nonce = reader.array(ClientToken.nonceBytes),
      let length: UInt8 = reader.number(), length > 0, let name = reader.array(Int(length)),
      reader.remaining == 0, let principal = String(validating: name, as: UTF8.self)
    else { return .malformed }
    guard let node, isAccepting else { return .notReady }
    guard let key = node.links.keys.keys.first(where: { ClientToken.tag(of: $0) == tag }) else {
      return .badToken
    }
    guard expiry == 0 || expiry > ClientToken.wallNow() else { return .expired }
    let greeting = DoorGreeting(
      principal: name, secret: ClientToken.secret(principal, expiry, key), client: nonce,
      node: ClientToken.nonce())
    connection.greeting = greeting
    var frame = FrameWriter(.challenge)
    frame.put(greeting.node)
    frame.put(
      ClientToken.proof(
        of: .node, greeting.secret, binding: binding, client: nonce, node: greeting.node))
    _ = connection.channel.send(frame.finish())
    return nil
  }

  private func proof(
    _ connection: DoorConnection, _ reader: inout FrameReader
  ) -> DoorRefusal? {
    guard let greeting = connection.greeting, let binding = connection.binding,
      let shown = reader.array(ClusterKeys.proofBytes), reader.remaining == 0
    else { return .malformed }
    let expected = ClientToken.proof(
      of: .client, greeting.secret, binding: binding, client: greeting.client,
      node: greeting.node)
    guard ClientToken.isEqual(shown, expected) else { return .badToken }
    guard let keys = sessions?.keys else { return .notReady }
    let principal = keys.principal(named: greeting.principal)
    guard statistics.connections < options.connectionsMax,
      perPrincipal[principal, default: 0] < options.perPrincipalMax
    else { return .tooMany }
    if let timer = connection.timer { loop.cancelTimer(timer) }
    connection.timer = nil
    connection.isUp = true
    connection.principal = principal
    connection.channel.parser.lengthMax = options.frameMax
    greetings -= 1
    statistics.connections += 1
    perPrincipal[principal, default: 0] += 1
    var frame = FrameWriter(.welcome)
    frame.put(node?.core.identity.id.rawValue ?? 0)
    frame.put(UInt32(options.frameMax))
    frame.put(sessions?.store.appliedIndex ?? 0)
    _ = connection.channel.send(frame.finish())
    return nil
  }
}
