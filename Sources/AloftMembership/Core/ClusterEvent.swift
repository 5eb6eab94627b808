/// Who sent a message: a node whose link told its number, or one that hasn't any yet, by a number
/// that whoever drives the core gave the link.
package enum MessageSource: Hashable, Sendable {
  case node(NodeID)
  case stranger(link: UInt64)
}

/// What an attempt to reach a node's listener has shown.
package enum ProbeResult: Hashable, Sendable {
  /// Somebody listens there.
  case accepted
  /// Nobody listens: its process is gone.
  case refused
  /// No answer, or none that says anything about the process.
  case unknown
}

/// What happens to a node's core.
package enum ClusterEvent: Sendable {
  /// Once, first.
  case started
  /// Time has passed; each `ClusterOptions.tick`.
  case tick
  /// A data link to or from this node stands.
  case linkUp(NodeID, Incarnation)
  /// It was closed or reset, by the peer or by its machine. Not for a link that this side closed.
  case linkDown(NodeID, Incarnation)
  /// The answer to `ClusterAction.probe`.
  case probed(NodeID, Incarnation, ProbeResult)
  /// A heartbeat came.
  case heard(NodeID, Incarnation)
  /// The loop that the core lives on was late by so many nanoseconds.
  case delayed(UInt64)
  case received(from: MessageSource, ClusterEnvelope)

  // From the log, as `ReplicatedLogClient` has them.
  /// An entry whose first byte is `LogEntryKind.cluster`; others aren't the core's.
  case applied(index: UInt64, entry: [UInt8])
  case restored(index: UInt64, snapshot: [UInt8])
  case leaderChanged(leader: NodeID?, term: Term, isSelf: Bool)
  case proposed(token: UInt64, LogOutcome)
  case logMembers([LogMember])
  case logEnded(reason: String)

  /// Somebody on this node wants something; `ClusterAction.answered` follows, once.
  case requested(ClusterRequest, token: UInt64)
}

/// What may be asked of a cluster on any of its nodes.
package enum ClusterRequest: Hashable, Sendable {
  /// This node goes: its slots move away, then `ClusterAction.stopped(.left)` follows.
  case leave
  /// A node's slots move away, or come back.
  case setDraining(name: String, Bool)
  case setWeight(name: String, UInt16)
  /// A node that is down won't come back.
  case forget(name: String)
  /// A node is down, whatever it looks like.
  case convict(name: String)
}

package enum RequestOutcome: Hashable, Sendable {
  /// It stands in the log, and is applied here.
  case done
  case refused(CommandRefusal)
  /// Nothing of that name is in the cluster.
  case unknownName
  /// Too many under way, or not a member yet: certainly not done.
  case busy
  /// Nobody said in time: it may be done, or come to be done.
  case unknown
}
