package import AloftMembership
import CAloftRaft

/// How long a follower waits before it stands for election, and how often a leader is heard of.
package struct RaftTiming: Hashable, Sendable {
  /// Followers wait once to twice as long.
  package var electionMilliseconds: UInt32
  package var heartbeatMilliseconds: UInt32

  package init(electionMilliseconds: UInt32, heartbeatMilliseconds: UInt32) {
    self.electionMilliseconds = electionMilliseconds
    self.heartbeatMilliseconds = heartbeatMilliseconds
  }

  /// For one rack, on machines that aren't starved of processors.
  package static let fast = RaftTiming(electionMilliseconds: 50, heartbeatMilliseconds: 10)
  /// For one data centre.
  package static let standard = RaftTiming(electionMilliseconds: 150, heartbeatMilliseconds: 30)
  /// For several sites, or disks that stall.
  package static let relaxed = RaftTiming(electionMilliseconds: 1_000, heartbeatMilliseconds: 100)
}

/// How one member of the log is made.
package struct RaftLogOptions: Sendable {
  package var node: NodeID
  /// Made with mode 0700 if it is missing; nothing else may be in it.
  package var directory: String
  /// An empty directory becomes a cluster of this node alone. Without it, the node waits to be let
  /// into one. With a log in the directory it makes no difference.
  package var bootstraps = false
  package var timing = RaftTiming.standard
  /// Of a file of the log; three of them are kept ready, so a small disk wants a small number.
  /// A multiple of 4,096.
  package var segmentBytes: UInt32 = 8 << 20
  /// A snapshot is made after so many entries, or so many bytes of them.
  package var snapshotEntries: UInt32 = 16_384
  package var snapshotLogBytes: UInt64 = 64 << 20
  /// Entries kept behind a snapshot, so that a node that was away for a moment needs none.
  package var trailingEntries: UInt32 = 8_192
  /// Fewer of them, so that they have about so many bytes at most: with the snapshots' own limit
  /// that bounds the log on disk and in memory.
  package var trailingBytes: UInt64 = 64 << 20
  package var entryBytesMax: UInt32 = 1 << 20
  /// Proposals, barriers and changes without an answer yet. Beyond it the answer is `busy`.
  package var inflightMax: UInt32 = 65_536
  package var inflightBytesMax: UInt64 = 64 << 20
  /// Messages that the home thread has not taken yet, each way; further ones are dropped.
  package var messageBytesMax: UInt64 = 64 << 20
  /// Of a snapshot that a leader sends; memory is taken for it.
  package var snapshotBytesMax: UInt64 = 1 << 30
  /// Disk space that is kept back: below it proposals are `busy`. 0: none.
  package var reserveBytes: UInt64 = 32 << 20

  package init(node: NodeID, directory: String) {
    self.node = node
    self.directory = directory
  }

  /// What is wrong with them, if anything.
  var complaint: String? {
    if node.rawValue == 0 { return "A log's node has a number from 1 to 255." }
    if timing.heartbeatMilliseconds == 0
      || timing.heartbeatMilliseconds * 2 > timing.electionMilliseconds
    {
      return "The heartbeat is \(timing.heartbeatMilliseconds) ms; it must be 1 ms or more, and "
        + "at most half of the election time, \(timing.electionMilliseconds) ms."
    }
    if segmentBytes < 65_536 || segmentBytes % 4_096 != 0 {
      return "segmentBytes is \(segmentBytes); it must be a multiple of 4,096 from 65,536 on."
    }
    if snapshotEntries == 0 || trailingEntries == 0 {
      return "snapshotEntries and trailingEntries must be 1 or more."
    }
    if inflightMax == 0 || inflightMax > 1 << 20 {
      return "inflightMax is \(inflightMax); it must be from 1 to \(1 << 20)."
    }
    if entryBytesMax > 4 << 20 {
      return "entryBytesMax is \(entryBytesMax); at most \(4 << 20) are possible."
    }
    return nil
  }

  var forShim: aloft__raft_options {
    aloft__raft_options(
      node: node.rawValue, bootstrap: bootstraps ? 1 : 0,
      election_ms: timing.electionMilliseconds, heartbeat_ms: timing.heartbeatMilliseconds,
      segment_bytes: segmentBytes, snapshot_entries: snapshotEntries,
      snapshot_log_bytes: snapshotLogBytes, trailing_entries: trailingEntries,
      trailing_bytes: trailingBytes,
      entry_bytes_max: entryBytesMax, inflight_max: inflightMax,
      inflight_bytes_max: inflightBytesMax, outgoing_bytes_max: messageBytesMax,
      snapshot_bytes_max: snapshotBytesMax, reserve_bytes: reserveBytes)
  }
}

/// Why a log can't be opened: a sentence that says what to do.
package struct RaftLogError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A positive errno value; 0 for options that don't fit together.
  package var errno: Int32
  package var message: String

  package var description: String { message }
}
