public import AloftQueue

/// What a loop knows of one mailbox: a cache line.
@safe
@frozen
@usableFromInline
struct MailboxState {
  /// Odd while the slot is in use.
  @usableFromInline var generation: UInt32
  @usableFromInline var flags: MailboxFlags
  /// Which of the loop's sets of options.
  @usableFromInline var options: UInt16
  @usableFromInline var queue: MailboxQueue
  /// Retained while the slot is in use; of a free slot, nil.
  @usableFromInline var handler: Unmanaged<MailboxHandler>?
  /// The user's word; of a free slot, the next free one.
  @usableFromInline var context: UInt64

  /// Its messages may be handed out.
  @inlinable @inline(__always)
  var isServed: Bool { flags.rawValue & MailboxFlags.servedMask == MailboxFlags.open.rawValue }
}

@frozen
@usableFromInline
struct MailboxFlags: OptionSet {
  @usableFromInline let rawValue: UInt16

  @inlinable
  init(rawValue: UInt16) { self.rawValue = rawValue }

  /// In use, its end not yet begun, or still being drained.
  @inlinable static var open: MailboxFlags { .init(rawValue: 1) }
  /// `closed` is still to be told.
  @inlinable static var dead: MailboxFlags { .init(rawValue: 2) }
  @inlinable static var suspended: MailboxFlags { .init(rawValue: 4) }
  @inlinable static var servedMask: UInt16 { 7 }
  /// Takes no more; what waits is served.
  @inlinable static var draining: MailboxFlags { .init(rawValue: 8) }
  /// The slot is in the loop's list of those to be served, whoever lives there by then.
  @inlinable static var ready: MailboxFlags { .init(rawValue: 16) }
  @inlinable static var bounded: MailboxFlags { .init(rawValue: 32) }
  @inlinable static var dropsOldest: MailboxFlags { .init(rawValue: 64) }
  @inlinable static var marked: MailboxFlags { .init(rawValue: 128) }
  @inlinable static var aboveHigh: MailboxFlags { .init(rawValue: 256) }
  /// There is a `MailboxExtras` of it.
  @inlinable static var extras: MailboxFlags { .init(rawValue: 512) }
  /// Draining: what siblings had sent before has arrived.
  @inlinable static var fenced: MailboxFlags { .init(rawValue: 1_024) }
  /// Ended for this reason, else for `closed`.
  @inlinable static var failed: MailboxFlags { .init(rawValue: 2_048) }
  @inlinable static var shutdown: MailboxFlags { .init(rawValue: 4_096) }
  /// Somebody wants to hear of the end.
  @inlinable static var watched: MailboxFlags { .init(rawValue: 8_192) }
  /// Other threads want to know how many messages wait.
  @inlinable static var measured: MailboxFlags { .init(rawValue: 16_384) }
}

/// Counters, apart from what is touched with each message.
@frozen
@usableFromInline
struct MailboxCounts {
  /// Handed to the handler.
  var handled: UInt64 = 0
  /// Released unhandled, to make room or at the end.
  var dropped: UInt64 = 0
}
