import CAloftRaft

/// What the log's thread has counted since its start.
package struct RaftLogStatistics: Hashable, Sendable {
  /// Requests taken from the home thread, the calls in which entries went to libraft, and how often
  /// the thread had to be woken for them.
  package var requests: UInt64 = 0
  package var batches: UInt64 = 0
  package var wakes: UInt64 = 0
  /// Jobs of the home loop.
  package var deliveries: UInt64 = 0
  package var messagesSent: UInt64 = 0
  /// The home thread had too many of them waiting.
  package var messagesDropped: UInt64 = 0
  /// Malformed ones.
  package var messagesRefused: UInt64 = 0
  /// Followers' answers that came before the term's own entry was on disk.
  package var resultsHeld: UInt64 = 0
  /// Changes of members that were taken back before they were committed.
  package var rollbacks: UInt64 = 0
  package var snapshots: UInt64 = 0
  /// Entries refused because the disk is nearly full.
  package var refusedForDisk: UInt64 = 0

  package init() {}

  init(_ numbers: aloft__raft_statistics) {
    requests = numbers.requests
    batches = numbers.batches
    wakes = numbers.wakes
    deliveries = numbers.deliveries
    messagesSent = numbers.messages_sent
    messagesDropped = numbers.messages_dropped
    messagesRefused = numbers.messages_refused
    resultsHeld = numbers.results_held
    rollbacks = numbers.rollbacks
    snapshots = numbers.snapshots
    refusedForDisk = numbers.refused_for_disk
  }
}
