/// A node's view of its cluster, for whoever asks.
package struct ClusterStatus: Hashable, Sendable {
  package var identity: NodeIdentity
  package var isMember: Bool
  package var isAccepting: Bool
  package var leader: NodeID?
  package var term: Term
  package var epoch: Epoch
  package var members: [Member]
  /// What each member is to the log; none before the log has said.
  package var roles: [NodeID: LogRole]
  /// Members that this node hasn't heard of for too long.
  package var suspects: [NodeID]
  /// Slots by number of the node that owns them.
  package var slotCounts: [Int]
}

extension ClusterCore {
  package var status: ClusterStatus {
    var roles: [NodeID: LogRole] = [:]
    for member in logMembers { roles[member.id] = member.role }
    return ClusterStatus(
      identity: identity, isMember: phase == .member, isAccepting: isAccepting, leader: leader,
      term: term, epoch: state.epoch, members: state.members, roles: roles,
      suspects: state.members.map(\.id).filter { detector.isSuspected($0) },
      slotCounts: state.slots.counts)
  }
}
