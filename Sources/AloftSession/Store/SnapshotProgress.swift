/// How far a snapshot has come.
struct SnapshotProgress {
  /// Which one it is; 0 while there is none. A session that has this mark is in it, or came later.
  var generation: UInt32 = 0
  var last: UInt32 = 0
  /// The next record to look at.
  var next: UInt32 = 1
  var end: UInt32 = 0
  /// Sessions that are written.
  var sessions: UInt64 = 0
  /// The fence's piece, until it was given out.
  var head: [UInt8]?
}
