internal import AloftCluster

/// Who may come in by ``NodeOptions/sessionListen``.
extension Node {
  /// A token with which a `SessionClient` is let in as that principal: the one that
  /// ``Sessions/principal(_:)`` answers for the same name. Whoever has it can use the principal's
  /// sessions until it's no longer good, at any node.
  ///
  /// It's made with the first of the cluster's keys, and good for as long as that is one of them.
  /// ``clientToken(for:validFor:key:)`` makes one without a node.
  /// - Parameter limit: for how long it's good; nil for as long as the key is.
  /// - Throws: ``NodeFailure`` when the principal's name has no bytes or more than 255, or the node
  ///   has ended.
  public func clientToken(
    for principal: String, validFor limit: Duration? = nil
  ) async throws -> String {
    let key = await onLoop { $0.firstKey }
    guard let key else { throw NodeFailure("the node has ended") }
    return try Self.clientToken(for: principal, validFor: limit, key: key)
  }

  /// The same for who has the cluster's key and no node.
  public static func clientToken(
    for principal: String, validFor limit: Duration? = nil, key: [UInt8]
  ) throws -> String {
    let expiry = limit.map { ClientToken.wallNow() + UInt64(max(1, $0.components.seconds)) } ?? 0
    guard let token = ClientToken(principal: principal, expiry: expiry, key: key) else {
      throw NodeFailure("a principal's name has 1 to 255 bytes, and a key 16 at least")
    }
    return token.description
  }

  /// What has happened at the door for clients of sessions.
  public struct ClientStatistics: Sendable, Hashable {
    /// Clients that are connected.
    public var connections: UInt64
    /// Connections that were taken, whatever became of them.
    public var accepted: UInt64
    public var requests: UInt64
    /// Events that were sent to clients.
    public var events: UInt64
    /// Sessions' numbers that this cluster never made.
    public var forged: UInt64
    /// Connections that were turned away or closed for what was wrong with them, by reason.
    public var refused: [String: UInt64]
  }

  /// Nil when the node listens for none, and after its end.
  public func clientStatistics() async -> ClientStatistics? {
    await onLoop { node in
      guard let inner = node.door?.statistics else { return nil }
      let refused = inner.refused.map { ("\($0.key)", $0.value) }
      return ClientStatistics(
        connections: inner.connections, accepted: inner.accepted, requests: inner.requests,
        events: inner.events, forged: inner.forged,
        refused: Dictionary(uniqueKeysWithValues: refused))
    } ?? nil
  }
}
