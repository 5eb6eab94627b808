/// Why no link came about. The numbers are on the wire.
package enum LinkRefusal: UInt8, Hashable, Sendable, CaseIterable {
  /// What came was no hello.
  case notALink = 1
  case version
  case clusterName
  /// The peer does not have a cluster key that is accepted here, or what it said was said before.
  case notAuthentic
  /// The node reached itself.
  case itself
  /// Another node has the same name.
  case sameName
  /// Our own challenge came back.
  case reflected
  /// There is a link between the two, or a better one is on its way. Not counted as a failure.
  case duplicate
  /// A heartbeat connection without a link.
  case noLink
  /// More peers, or more handshakes at a time, than are allowed.
  case tooMany
  case timedOut
  /// Plain text to or from an address that is not this machine's.
  case plaintext
  /// TLS did not come about: no certificate, one that has expired or that nobody vouches for.
  case encryption
  /// The connection ended in the midst of the handshake.
  case ended
  /// Another life of the node, with a later incarnation, has a link.
  case superseded

  package var description: String {
    switch self {
    case .notALink: "what came is not the talk of a link"
    case .version: "the versions of the protocol differ"
    case .clusterName: "it belongs to another cluster"
    case .notAuthentic: "it does not have the cluster's key"
    case .itself: "the node reached itself"
    case .sameName: "another node has the same name"
    case .reflected: "our own challenge came back"
    case .duplicate: "there is a link already"
    case .noLink: "a heartbeat connection without a link"
    case .tooMany: "too many links or handshakes"
    case .timedOut: "the handshake took too long"
    case .plaintext: "plain text is for this machine alone"
    case .encryption: "TLS did not come about"
    case .ended: "the connection ended in the midst of the handshake"
    case .superseded: "a later life of the node has a link"
    }
  }
}
