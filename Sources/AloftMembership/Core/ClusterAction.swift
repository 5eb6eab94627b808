/// Why a node has come to its end.
package enum ClusterEnd: Hashable, Sendable {
  /// It asked to leave, and has.
  case left
  /// It can't be let in.
  case notAdmitted(CommandRefusal)
  /// Its log has ended.
  case logEnded(String)
}

/// What the core asks of whoever drives it, in this order.
package enum ClusterAction: Equatable, Sendable {
  // The disk and the log.
  /// Write this down beside the log, durably, before anything that follows is done.
  case keep(NodeIdentity)
  /// Where the others are: write it down beside the log, too. A log that was just opened needs its
  /// voters before it can say anything about them. No need to wait for the disk.
  case keepContacts([Contact])
  /// Open the log in the data directory as this node. `isFounder`: it is new, and this node its one
  /// voter; else it's empty, or as the last life left it.
  case startLog(NodeIdentity, isFounder: Bool)
  /// `proposed` with this token is the answer.
  case propose([UInt8], token: UInt64)
  /// `proposed` with this token is the answer, and `logMembers` follows.
  case changeLog(LogChange, token: UInt64)
  case transferLeadership(to: NodeID)

  // Links. What can't be sent is dropped; the core sends again.
  case send(to: NodeID, ClusterEnvelope)
  /// To whoever listens at this address; the answer comes as `received` from a stranger, or a node.
  case sendTo(address: String, ClusterEnvelope)
  case reply(link: UInt64, ClusterEnvelope)
  /// Keep a link to this node, of that incarnation or a later one; dial again while there is none.
  case connect(NodeID, Incarnation, address: String)
  /// Its life is over or it is gone: no link of that incarnation is kept.
  case disconnect(NodeID, Incarnation)
  /// Find out at once, by a fresh connection, whether anybody listens there.
  case probe(NodeID, Incarnation, address: String)

  // News for whoever is above.
  /// The node is a member now, in this life; what it sends carries it.
  case joined(NodeIdentity)
  case memberUp(NodeID, Incarnation)
  /// Not heard of. Nothing is decided; better don't wait for it.
  case memberSuspected(NodeID, Incarnation)
  case memberCleared(NodeID, Incarnation)
  /// This node's own finding, before the log has it: of what was sent there, nothing will come.
  case memberDead(NodeID, Incarnation)
  /// By the log: this life is over for all nodes.
  case memberDown(NodeID, Incarnation)
  case memberLeft(NodeID, Incarnation)
  /// `ClusterCore.state` has other slots now.
  case slotsChanged(Epoch)
  /// Whether this node may accept: it's a member, and a majority follows the leader that it hears.
  case accepting(Bool)
  case answered(token: UInt64, RequestOutcome)
  /// Nothing follows.
  case stopped(ClusterEnd)
}
