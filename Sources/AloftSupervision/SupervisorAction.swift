/// What the logic asks of whoever drives it, in this order.
package enum SupervisorAction: Hashable, Sendable {
  /// Start it; `started` or `ended` is the answer.
  case start(ChildID)
  /// Have it end in order; `ended` is the answer. `keep`: it will be started again, so its mailbox
  /// and what waits in it stay.
  case stop(ChildID, keep: Bool)
  /// End it by force, for it has not answered in time; `ended` is the answer.
  case kill(ChildID, keep: Bool)
  /// It is down and nothing will start it but an order to do so: its mailbox closes.
  case release(ChildID)
  /// It is down and forgotten.
  case remove(ChildID)
  /// A child has failed and will be started after so many milliseconds, alone or with others.
  case restarting(ChildID, after: UInt64)
  /// All children that were there at the start have come up.
  case up
  /// The supervisor has ended; nothing runs any more.
  case ended(SupervisorEnd)
}

/// Why a supervisor has ended.
package enum SupervisorEnd: Hashable, Sendable {
  /// It was asked to.
  case shutDown
  /// This child did not come up when the supervisor was started.
  case startFailed(ChildID)
  /// This child's failure was one too many within the window: so many, of so many allowed.
  case intensityExceeded(ChildID, restarts: UInt64, allowed: UInt64)
  /// This child has failed so often without having run well in between.
  case childKeptFailing(ChildID, attempts: UInt8)
}
