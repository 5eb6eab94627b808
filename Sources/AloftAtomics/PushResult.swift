/// What became of a word that was pushed to a ``LoopInbox``.
package enum PushResult: Equatable, Sendable {
  /// It is in, and the loop will see it without further ado.
  case accepted
  /// It is in, and the caller has to wake the loop: nobody else will.
  case acceptedMustWake
  /// It isn't in. The caller decides: drop, refuse, or try again later.
  case full
}

/// What became of several words that were pushed at once.
package struct BulkPushResult: Equatable, Sendable {
  /// So many from the first on are in; the rest is the caller's still.
  package let accepted: Int
  /// The caller has to wake the loop: nobody else will.
  package let mustWake: Bool

  @inlinable @inline(__always)
  package init(accepted: Int, mustWake: Bool) {
    self.accepted = accepted
    self.mustWake = mustWake
  }
}
