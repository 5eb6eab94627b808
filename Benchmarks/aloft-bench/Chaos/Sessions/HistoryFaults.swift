/// What a history of operations may show that must never be.
struct HistoryFaults: Equatable {
  /// Acknowledged, and not there in the end.
  var lost = 0
  /// Done more often than asked for.
  var duplicated = 0
  /// Older than what was known before the question.
  var stale = 0
  /// Never written, or refused and there all the same.
  var future = 0
  /// Acknowledged in an order that clients have seen otherwise, or under a condition that didn't
  /// hold.
  var misordered = 0

  var sum: Int { lost + duplicated + stale + future + misordered }

  static func += (a: inout HistoryFaults, b: HistoryFaults) {
    a.lost += b.lost
    a.duplicated += b.duplicated
    a.stale += b.stale
    a.future += b.future
    a.misordered += b.misordered
  }
}

/// How an operation ended, as its client was told.
enum HistoryOutcome: Equatable {
  case done(version: UInt64)
  case certainlyNot
  /// It may have been done, or be done yet.
  case uncertain
}
