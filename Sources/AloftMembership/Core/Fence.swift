/// Whether a message may have effect, by what it carries.
package enum FenceAnswer: Hashable, Sendable {
  case passed
  /// Another cluster's.
  case foreign
  /// The sender's life is over, or it was never let in.
  case staleSender
  /// The sender doesn't know yet who owns what; it may send again when it does.
  case staleEpoch(Epoch)
  /// This node doesn't know yet; the sender may send again in a while.
  case ahead
  /// The slot is not this node's.
  case notOwner(NodeID)
  /// This node may not accept anything now.
  case notAccepting
}

extension ClusterState {
  /// For what is between nodes, whatever they own.
  package func fence(_ sender: NodeIdentity) -> FenceAnswer {
    guard sender.cluster == cluster else { return .foreign }
    if isCurrent(sender.id, sender.incarnation) { return .passed }
    // Let in by an entry that hasn't come here.
    return sender.incarnation.rawValue > appliedIndex ? .ahead : .staleSender
  }
}
