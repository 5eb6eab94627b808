package import Synchronization

/// What one loop has done for its mailboxes. Its own thread writes, any thread reads.
@safe
package struct MailStatistics: ~Copyable {
  package let opened = Atomic<UInt64>(0)
  package let closed = Atomic<UInt64>(0)
  /// Messages handed to handlers.
  package let handled = Atomic<UInt64>(0)
  /// Released unhandled: pushed out by newer ones, or waiting when their mailbox ended.
  package let dropped = Atomic<UInt64>(0)
  /// Released on arrival, for their mailbox had ended.
  package let deadLetters = Atomic<UInt64>(0)
  /// Handlers that threw.
  package let failed = Atomic<UInt64>(0)
  /// Gathered for siblings whose lanes were full, now.
  package let spilled = Atomic<UInt64>(0)

  init() {}
}

/// `MailStatistics`, read.
package struct MailSnapshot: Hashable, Sendable {
  package var opened: UInt64 = 0
  package var closed: UInt64 = 0
  package var handled: UInt64 = 0
  package var dropped: UInt64 = 0
  package var deadLetters: UInt64 = 0
  package var failed: UInt64 = 0
  package var spilled: UInt64 = 0

  package init() {}

  package mutating func add(_ s: borrowing MailStatistics) {
    opened += s.opened.load(ordering: .relaxed)
    closed += s.closed.load(ordering: .relaxed)
    handled += s.handled.load(ordering: .relaxed)
    dropped += s.dropped.load(ordering: .relaxed)
    deadLetters += s.deadLetters.load(ordering: .relaxed)
    failed += s.failed.load(ordering: .relaxed)
    spilled += s.spilled.load(ordering: .relaxed)
  }
}

/// One mailbox's counters, exact at the moment of asking.
package struct MailboxStatistics: Hashable, Sendable {
  /// Arrived: `handled`, `dropped` and `depth` together.
  package var received: UInt64
  package var handled: UInt64
  package var dropped: UInt64
  /// Sends that were answered `full`.
  package var refused: UInt64
  package var depth: Int
  /// Milliseconds that the message which has waited longest has waited; 0 when none waits.
  package var oldestAge: UInt32
  package var isSuspended: Bool
}
