public import Aloft
internal import AloftCluster

/// How a ``SessionClient`` comes to a cluster, and for how long it waits.
public struct SessionClientOptions: Sendable {
  /// Where nodes listen for clients (`NodeOptions.sessionListen`). One is enough; with several the
  /// client goes on when one of them dies.
  public var addresses: [SocketAddress]
  /// Who the client is: a text that a node makes, see `Node.clientToken(for:validFor:)`.
  public var token: String
  /// PEM texts of the authorities that vouch for nodes, for an encrypted connection. Nil for plain
  /// text, which is refused off loopback unless `plaintextOffLoopback` allows it.
  public var authorities: [UInt8]?
  public var plaintextOffLoopback = false
  /// How long each request waits for its answer, however many nodes die meanwhile.
  public var patience: Duration = .seconds(10)
  /// A node that says nothing for so long is left for another.
  public var silence: Duration = .seconds(2)
  /// For a connection to come about, and both sides to prove who they are.
  public var connectTimeout: Duration = .seconds(1)
  /// Requests that wait for their answers; more are told `busy`.
  public var requestsMax = 65_536
  /// Writes of one session that are under way at a time; the others wait. With one, they are done
  /// in the order in which they were asked for. More must fit into the keys that the session keeps
  /// (`SessionOptions.keysMax`, 8 unless given), lest one is repeated that was forgotten.
  public var writesPerSession = 1

  /// A client of the nodes at these addresses.
  public init(addresses: [SocketAddress], token: String) {
    self.addresses = addresses
    self.token = token
  }

  func inner() throws -> ClientOptions {
    guard let token = ClientToken(text: token) else {
      throw SessionFailure(.denied, "that is no token of a client")
    }
    var inner = ClientOptions(addresses: addresses.map(\.engineAddress), token: token)
    inner.authorities = authorities
    inner.plaintextOffLoopback = plaintextOffLoopback
    inner.silenceMs = silence.milliseconds
    inner.connectMs = connectTimeout.milliseconds
    inner.requestsMax = max(1, requestsMax)
    inner.writesPerSession = max(1, writesPerSession)
    return inner
  }
}

extension Duration {
  /// One at least, some 46 days at most.
  var milliseconds: UInt32 {
    let seconds = Double(components.seconds) + Double(components.attoseconds) / 1e18
    return UInt32(max(1, min(seconds * 1_000, 4e9)))
  }
}
