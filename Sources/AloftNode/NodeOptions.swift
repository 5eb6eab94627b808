public import Aloft
internal import AloftCluster
internal import AloftMembership

/// How a runtime takes part in a cluster; see ``Node``.
public struct NodeOptions: Sendable {
  /// 1 to 63 bytes, its own in the cluster.
  public var name: String
  /// Where other nodes are listened for; port 0 lets the system choose.
  public var listen = SocketAddress("127.0.0.1", 0)
  /// Where clients of sessions are listened for (`SessionClient`); nil for none. They show tokens,
  /// see ``Node/clientToken(for:validFor:)``. Encrypted if links are; in plain text it's refused
  /// off loopback in the same way.
  public var sessionListen: SocketAddress?
  /// What the others are told to dial, when that is another address.
  public var advertise: SocketAddress?
  /// Addresses of nodes to ask to be let in. Without any a new cluster is founded, unless the data
  /// directory tells of a former life.
  public var seeds: [SocketAddress] = []
  /// The cluster's key, of at least 16 bytes; further ones are accepted, too, so that keys can be
  /// rotated without a stop: add the new one last everywhere, then first, then take the old away.
  public var keys: [[UInt8]]
  /// The data directory: the log and who the node is. Made when missing; one node's at a time.
  public var data: String
  /// Nodes of differently named clusters don't talk.
  public var cluster = "aloft"
  /// What fails together has the same zone: copies are spread over zones.
  public var zone = ""
  /// Its share of the work, against the others'.
  public var weight: UInt16 = 100
  public var role = Role.voter
  public var timing = Timing.standard
  /// Certificates for encrypted links. Without, links are in plain text, and refused off loopback
  /// unless `plaintextOffLoopback` allows it.
  public var tls: TLS?
  public var plaintextOffLoopback = false
  /// Messages that may wait for another node; then senders are told `full`.
  public var queueMax: UInt32 = 65_536
  /// Bytes of disk space that are kept back: with less than that nothing more is taken in.
  public var diskReserve: UInt64 = 32 << 20

  /// What one principal may have of the cluster's sessions and of this node's clients.
  public var principalLimits = PrincipalLimits()

  /// Limits of one principal's. They are this node's: all nodes should have the same.
  public struct PrincipalLimits: Sendable, Hashable {
    /// Sessions, those too that were closed less than half a minute ago.
    public var sessions = 1 << 20
    /// Bytes of states, names and events.
    public var bytes = 1 << 30
    /// Connections of clients to this node.
    public var clients = 1 << 17

    public init() {}
  }

  public init(name: String, keys: [[UInt8]], data: String) {
    self.name = name
    self.keys = keys
    self.data = data
  }

  public enum Role: Sendable, Hashable {
    /// Votes, and has a share of the work.
    case voter
    /// Has a share of the work, and never votes.
    case standby
    /// Votes, and has no share: the odd one in a third zone.
    case witness
  }

  /// How soon a leader is taken for lost, and silence for death.
  public enum Timing: String, Sendable, Hashable, CaseIterable {
    /// Elections after 50 ms: one rack, processors to spare.
    case fast
    /// Elections after 150 ms.
    case standard
    /// Elections after 1 s: several sites, or disks that stall.
    case relaxed
  }

  /// PEM texts. Both sides of a link show a certificate that one of the authorities vouches for.
  public struct TLS: Sendable {
    public var certificate: [UInt8]
    public var privateKey: [UInt8]
    public var authorities: [UInt8]

    public init(certificate: [UInt8], privateKey: [UInt8], authorities: [UInt8]) {
      self.certificate = certificate
      self.privateKey = privateKey
      self.authorities = authorities
    }
  }

  func inner() -> ClusterNodeOptions {
    var inner = ClusterNodeOptions(
      name: name, listen: listen.engineAddress, keys: keys, directory: data)
    inner.cluster = cluster
    inner.advertise = advertise?.engineAddress
    inner.sessionLimits.sessionsPerPrincipalMax = principalLimits.sessions
    inner.sessionLimits.bytesPerPrincipalMax = principalLimits.bytes
    inner.door.perPrincipalMax = principalLimits.clients
    inner.sessionListen = sessionListen?.engineAddress
    inner.seeds = seeds.map(\.engineAddress)
    inner.zone = zone
    inner.weight = weight
    inner.role =
      switch role {
      case .voter: .voter
      case .standby: .standby
      case .witness: .witness
      }
    inner.timing =
      switch timing {
      case .fast: .fast
      case .standard: .standard
      case .relaxed: .relaxed
      }
    inner.tls = tls.map {
      TLSOptions(
        certificate: $0.certificate, privateKey: $0.privateKey, authorities: $0.authorities)
    }
    inner.plaintextOffLoopback = plaintextOffLoopback
    inner.gatewayCapacity = queueMax
    inner.reserveBytes = diskReserve
    return inner
  }
}
