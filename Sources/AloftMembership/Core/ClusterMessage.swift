/// What nodes tell each other beside the log's own messages.
package enum ClusterMessage: Hashable, Sendable {
  /// Let me in. `birth` is this life's own number; `former` is what the node's disk remembers.
  case joinRequest(MemberDescription, birth: UInt64, former: NodeIdentity)
  /// You, who were born so, are in; these are the others.
  case admitted(NodeIdentity, [Contact], birth: UInt64)
  /// Ask this one, who leads; empty when nobody is known to lead, then ask again.
  case redirected(address: String)
  /// You, who were born so, can't be let in, for a reason that may pass only if it's `nameTaken` or
  /// `wrongStatus`.
  case notAdmitted(CommandRefusal, birth: UInt64)
  /// Put this into the log for me.
  case forward(ClusterProposal)
  /// From the leader of this term. `echo` is a stamp of the receiver's own that came before a round
  /// began which a majority has answered since; 0 for none.
  case beat(term: Term, round: UInt64, echo: UInt64)
  /// `stamp` is the sender's own time.
  case beatAnswer(term: Term, round: UInt64, stamp: UInt64)
  /// Do you hear this one?
  case opinionRequest(about: Incarnation)
  /// I've heard of it within the time that makes a suspect, or I haven't.
  case opinion(about: Incarnation, isHeard: Bool)
  /// This life of yours is over. The log says so, but who has no part in it any more isn't told.
  case over(Incarnation)
}

/// Where a member is.
package struct Contact: Hashable, Sendable {
  package var id: NodeID
  package var incarnation: Incarnation
  package var address: String

  package init(id: NodeID, incarnation: Incarnation, address: String) {
    self.id = id
    self.incarnation = incarnation
    self.address = address
  }
}

/// A message with what fences it: who sends it, in which life, and which state of the cluster it
/// knows.
package struct ClusterEnvelope: Hashable, Sendable {
  package var sender: NodeIdentity
  package var epoch: Epoch
  package var message: ClusterMessage

  package init(sender: NodeIdentity, epoch: Epoch, message: ClusterMessage) {
    self.sender = sender
    self.epoch = epoch
    self.message = message
  }
}
