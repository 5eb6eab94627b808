/// What a node is to the replicated log.
package enum LogRole: UInt8, Sendable {
  /// Stores the log and votes.
  case voter
  /// Gets the log and stores it, votes not.
  case standby
  /// Known to the log, gets nothing.
  case spare
}

/// A node in the log's own configuration.
package struct LogMember: Hashable, Sendable {
  package var id: NodeID
  package var role: LogRole

  package init(id: NodeID, role: LogRole) {
    self.id = id
    self.role = role
  }
}

/// What became of a proposal, a change or a barrier.
package enum LogOutcome: Equatable, Sendable {
  /// Applied here, in this term.
  case committed(index: UInt64)
  /// Certainly not done.
  case notLeader(leader: NodeID?)
  /// Leadership was lost meanwhile: it may be done, or come to be done.
  case unknown
  /// Too much in flight, or below the disk's reserve: certainly not done.
  case busy
  /// The log has ended.
  case failed(String)
}

/// A change of the log's own configuration.
package enum LogChange: Equatable, Sendable {
  case add(NodeID, role: LogRole)
  case assign(NodeID, role: LogRole)
  case remove(NodeID)
}

/// What a log tells the node that it belongs to: on the home thread, in order.
package protocol ReplicatedLogClient: AnyObject {
  /// Every committed entry once, in order, after the snapshot.
  func apply(index: UInt64, term: Term, entry: UnsafeRawBufferPointer)
  /// Replaces all state.
  func restore(index: UInt64, snapshot: UnsafeRawBufferPointer)
  /// The state as of the last applied index, which is this one. Nil when it takes a while: then the
  /// log is given it later, as it was now.
  func makeSnapshot(index: UInt64) -> [UInt8]?
  /// `isSelf` only after a barrier of the own term was applied.
  func leaderChanged(leader: NodeID?, term: Term, isSelf: Bool)
  /// The answer to the call that named this token.
  func proposed(token: UInt64, _ outcome: LogOutcome)
  /// To be carried by the links: unreliable, and out of order if it likes.
  func send(to: NodeID, message: UnsafeRawBufferPointer)
  /// The log's configuration is now this.
  func membersChanged(_ members: [LogMember])
  /// The node must stop: a disk fault, a second leader of a term, ...
  func ended(reason: String)
}

/// A log that a majority of its voters agrees on. Called on the home thread; never blocks.
package protocol ReplicatedLog: AnyObject {
  /// Several may be in flight; outcomes come in order.
  func propose(_ entry: [UInt8], token: UInt64)
  /// One at a time; a second is answered `busy`.
  func change(_ change: LogChange, token: UInt64)
  func transferLeadership(to: NodeID)
  /// `committed(index)` when all before it is applied here and we still lead.
  func barrier(token: UInt64)
  func receive(from: NodeID, message: UnsafeRawBufferPointer)
  func stop()
}
