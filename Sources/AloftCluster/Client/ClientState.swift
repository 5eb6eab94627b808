package import AloftEngine

/// How a client of sessions comes to a cluster.
package struct ClientOptions: Sendable {
  /// Doors of nodes: any of them will do, and each is tried when others fail.
  package var addresses: [SocketAddress]
  package var token: ClientToken
  /// Authorities that vouch for nodes, as PEM; nil for plain text.
  package var authorities: [UInt8]?
  package var plaintextOffLoopback = false
  /// Milliseconds for a connection, and for both sides to prove who they are.
  package var connectMs: UInt32 = 1_000
  /// A node that says nothing for so long is left for another; it's asked to say something four
  /// times in that time.
  package var silenceMs: UInt32 = 2_000
  /// Before all addresses are tried again: at first, and at most.
  package var backoffMinMs: UInt32 = 10
  package var backoffMaxMs: UInt32 = 500
  /// Requests that wait or are under way.
  package var requestsMax = 65_536
  /// Writes of one session that are under way at a time. One: they are done in the order in which
  /// they were asked for. More must fit into the keys that the session keeps, lest one is repeated
  /// that has been forgotten.
  package var writesPerSession = 1

  package init(addresses: [SocketAddress], token: ClientToken) {
    self.addresses = addresses
    self.token = token
  }
}

/// Where a client stands.
package enum ClientState: Hashable, Sendable {
  case connecting
  /// By that door, of the node with that number.
  case connected(SocketAddress, node: UInt8)
  /// The connection was lost: what was not answered is repeated at the next node.
  case resuming
  /// It won't do: the cluster doesn't take the token, say.
  case failed(DoorRefusal)
  /// By this side.
  case closed
}

package struct ClientStatistics: Hashable, Sendable {
  /// Connections that came about, the first one included.
  package var connections: UInt64 = 0
  package var attempts: UInt64 = 0
  package var requests: UInt64 = 0
  package var answers: UInt64 = 0
  /// Requests that were sent a second time or more often, at another connection.
  package var repeated: UInt64 = 0
  /// Those that ended without anybody knowing what became of them.
  package var uncertain: UInt64 = 0
  package var events: UInt64 = 0

  package init() {}
}
