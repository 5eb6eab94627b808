/// What can be put wrong, to see that it's noticed.
package enum SessionFault: String, Hashable, CaseIterable, Sendable {
  /// A session that a connection is attached to ends all the same.
  case expiredWhileAttached
  /// The version that is expected isn't looked at.
  case versionUnchecked
  /// A write that is repeated is done again.
  case retryNotDeduplicated
  /// Operations on slots that their owner has lost count.
  case fenceUnchecked
  /// One event more than was acknowledged goes.
  case outboxTrimmedTooFar
  /// A new owner doesn't wait for the former one's lease.
  case servedTooEarly
}
