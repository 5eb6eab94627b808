package import AloftEngine
package import AloftMembership
package import AloftSession

/// How a node takes part in a cluster.
package struct ClusterNodeOptions: Sendable {
  /// 1 to 63 bytes, its own in the cluster.
  package var name: String
  /// 1 to 63 bytes: nodes of differently named clusters don't talk.
  package var cluster = "aloft"
  /// Where peers are listened for. Port 0 lets the system choose.
  package var listen: SocketAddress
  /// What the others are told to dial; `listen`, as bound, when nil.
  package var advertise: SocketAddress?
  /// Addresses of nodes to ask. Without any, and without a former life, it founds a cluster.
  package var seeds: [SocketAddress] = []
  /// At least 16 bytes each; see `LinkOptions.keys`.
  package var keys: [[UInt8]]
  /// Made when missing; one node's at a time.
  package var directory: String
  package var zone = ""
  package var weight: UInt16 = 100
  package var role = MemberRole.voter
  package var timing = NodeTiming.standard
  package var tls: TLSOptions?
  package var plaintextOffLoopback = false
  /// Messages that wait for a node; then senders are told `full`.
  package var gatewayCapacity: UInt32 = 65_536
  /// Disk space that is kept back, in bytes.
  package var reserveBytes: UInt64 = 32 << 20
  package var sessionLimits = SessionLimits()
  /// Where clients of sessions are listened for; nil for none.
  package var sessionListen: SocketAddress?
  package var door = DoorOptions()

  package init(name: String, listen: SocketAddress, keys: [[UInt8]], directory: String) {
    self.name = name
    self.listen = listen
    self.keys = keys
    self.directory = directory
  }
}

/// How soon silence is taken for death, and a leader for lost.
package enum NodeTiming: String, Hashable, Sendable, CaseIterable {
  case fast, standard, relaxed

  var raft: RaftTiming {
    switch self {
    case .fast: .fast
    case .standard: .standard
    case .relaxed: .relaxed
    }
  }

  var core: ClusterOptions {
    switch self {
    case .fast: .fast
    case .standard: .default
    case .relaxed: .relaxed
    }
  }
}

/// Why a node can't begin: a sentence that says what to do.
package struct NodeError: Error, Hashable, Sendable, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}
