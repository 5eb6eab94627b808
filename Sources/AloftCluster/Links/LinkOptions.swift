package import AloftMembership
import COpenSSL

/// Who a node is and what its links may cost.
@safe
package struct LinkOptions: Sendable {
  /// 0 before the node has a number.
  package var id = NodeID(rawValue: 0)
  package var incarnation = Incarnation(rawValue: 0)
  package var epoch = Epoch(rawValue: 0)
  /// 1...63 bytes of UTF-8, its own in the cluster.
  package var name: String
  /// 1...63 bytes of UTF-8.
  package var cluster: String
  /// At least 16 bytes each. All are accepted, the first is used to prove: to rotate, add the new
  /// one everywhere behind the old, then put it first everywhere, then take the old one away.
  package var keys: [[UInt8]]

  /// Payload bytes of a record: a larger message travels in fragments of this size.
  package var frameMax = 64 << 10
  /// Bytes of a message, checked before memory is taken for it.
  package var messageMax = 64 << 20
  /// Bytes that large messages under way from one peer may take at a time.
  package var reassemblyMax = 256 << 20
  /// Bytes on their way on a stream that the receiver has not consumed.
  package var creditBytes = 1 << 20
  /// Bytes of fragments on their way to a peer, of all streams: what a small message may find
  /// itself behind.
  package var fragmentBytesMax = 256 << 10
  /// Bytes of an acknowledged stream that are kept until the peer has them.
  package var unacknowledgedMax = 4 << 20
  /// Bytes of messages for mailboxes that wait on a stream for credit.
  package var postsWaitingMax = 4 << 20
  /// Milliseconds.
  package var heartbeatInterval: UInt32 = 50
  package var handshakeTimeout: UInt32 = 2_000
  /// Milliseconds for a connection to come about. The system says hello again after a second only.
  package var connectTimeout: UInt32 = 5_000
  /// A link on which nothing came for so many of its heartbeats is ended, and dialled anew: what
  /// the system would send again on the old one, it sends ever more rarely. 0: none is.
  package var silentHeartbeatsMax: UInt32 = 0
  /// Before the first, and at most between any two, attempts to reach a node again.
  package var backoffMin: UInt32 = 20
  package var backoffMax: UInt32 = 2_000
  /// Nodes with a link, or with what is left of one.
  package var peersMax = 512
  /// Handshakes of connections that came from elsewhere, at a time.
  package var handshakesMax = 64
  /// Calls that wait for their answers.
  package var callsMax = 65_536
  /// Whether links to other machines may be in plain text.
  package var plaintextOffLoopback = false
  package var tls: TLSOptions?
  /// Fills memory with randomness that nobody can guess. A test may hand in its own.
  package var random: @Sendable (UnsafeMutableRawBufferPointer) -> Void = { memory in
    let status = unsafe RAND_bytes(
      memory.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(memory.count))
    precondition(status == 1, "the system has no randomness")
  }

  package init(name: String, cluster: String, keys: [[UInt8]]) {
    self.name = name
    self.cluster = cluster
    self.keys = keys
  }

  func check() throws(LinkError) {
    guard (1...63).contains(name.utf8.count), (1...63).contains(cluster.utf8.count) else {
      throw LinkError("names of nodes and clusters have 1 to 63 bytes: \(name), \(cluster)")
    }
    try ClusterKeys.check(keys)
    guard (1 << 10...1 << 24).contains(frameMax) else {
      throw LinkError("frameMax is \(frameMax); 1 KiB to 16 MiB are possible")
    }
    // A receiver tells of credit by the quarter, so three quarters must hold the largest record.
    guard creditBytes >= 4 * (frameMax + 32) / 3 + 4, creditBytes <= 1 << 30 else {
      throw LinkError("creditBytes is \(creditBytes); it needs 4/3 of frameMax, 1 GiB at most")
    }
    guard messageMax >= frameMax, messageMax <= reassemblyMax, messageMax < 1 << 31 else {
      throw LinkError("messageMax is \(messageMax): frameMax to reassemblyMax are possible")
    }
    guard heartbeatInterval > 0, handshakeTimeout > 0, backoffMin > 0, backoffMin <= backoffMax
    else { throw LinkError("intervals, time-outs and back-off are at least 1 ms") }
    guard (1...1 << 20).contains(callsMax), peersMax > 0, handshakesMax > 0 else {
      throw LinkError("callsMax is 1 to 2^20, and peersMax and handshakesMax at least 1")
    }
  }
}

/// Certificates for encrypted links, as PEM. Both sides show one.
package struct TLSOptions: Sendable {
  /// The node's certificate, and behind it what leads to an authority.
  package var certificate: [UInt8]
  package var privateKey: [UInt8]
  /// Certificates of the authorities that may vouch for a node.
  package var authorities: [UInt8]

  package init(certificate: [UInt8], privateKey: [UInt8], authorities: [UInt8]) {
    self.certificate = certificate
    self.privateKey = privateKey
    self.authorities = authorities
  }
}

/// What has happened to a table's links since it was made.
package struct LinkStatistics: Hashable, Sendable {
  package var linksUp: UInt64 = 0
  package var linksDown: UInt64 = 0
  package var dialled: UInt64 = 0
  package var accepted: UInt64 = 0
  package var messagesSent: UInt64 = 0
  package var messagesReceived: UInt64 = 0
  package var bytesSent: UInt64 = 0
  package var bytesReceived: UInt64 = 0
  package var fragmentsSent: UInt64 = 0
  package var fragmentsReceived: UInt64 = 0
  package var wouldBlocks: UInt64 = 0
  /// Messages at most once that never came: numbers missing at a reconnection.
  package var lost: UInt64 = 0
  /// Messages that came again and were dropped.
  package var duplicates: UInt64 = 0
  /// Messages sent again after a reconnection.
  package var resent: UInt64 = 0
  /// Messages that had been taken and were dropped when their link ended.
  package var dropped: UInt64 = 0
  package var callsStarted: UInt64 = 0
  package var callsAnswered: UInt64 = 0
  package var callsTimedOut: UInt64 = 0
  /// Answers that nobody waited for any more.
  package var answersLate: UInt64 = 0
  package var heartbeatsSent: UInt64 = 0
  package var heartbeatsReceived: UInt64 = 0
  package var faults: UInt64 = 0
  package var refused: [LinkRefusal: UInt64] = [:]

  package init() {}
}
