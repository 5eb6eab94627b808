/// Neighbouring slots that go to one node.
package struct SlotRun: Hashable, Sendable {
  package var first: Slot
  package var count: UInt16
  package var owner: NodeID

  package init(first: Slot, count: UInt16, owner: NodeID) {
    self.first = first
    self.count = count
    self.owner = owner
  }
}

/// A change of the cluster, as it stands in the log.
package enum ClusterCommand: Hashable, Sendable {
  /// The first entry of a cluster: its number, and its first member.
  case found(cluster: UInt64, MemberDescription, birth: UInt64)
  /// Lets a node in. A former life that it shows the identity of ends by that; any other of the
  /// same name has to be over.
  case admit(MemberDescription, birth: UInt64, former: NodeIdentity)
  /// This life of a node is over: it was found dead.
  case convict(Incarnation)
  /// It wants to go.
  case leave(Incarnation)
  /// It has no slots any more, and is gone.
  case depart(Incarnation)
  /// It is down and won't come back.
  case forget(Incarnation)
  case setDraining(Incarnation, Bool)
  case setWeight(Incarnation, UInt16)
  /// Slots change hands, provided that the state is still the one of epoch `base`.
  case assignSlots(base: Epoch, [SlotRun])
}

/// A command with its proposer's number for it, by which a repetition is found out.
package struct ClusterProposal: Hashable, Sendable {
  package var proposer: Incarnation
  package var sequence: UInt64
  package var command: ClusterCommand

  package init(proposer: Incarnation, sequence: UInt64, command: ClusterCommand) {
    self.proposer = proposer
    self.sequence = sequence
    self.command = command
  }
}
