public import AloftQueue

/// Why a mailbox has ended. Told once, last, to its handler.
public enum MailboxCloseReason: Hashable, Sendable {
  /// It was closed.
  case closed
  /// Its handler threw, and nobody was there to restart it.
  case failed
  /// Its event loop has ended.
  case shutdown
}

/// What a mailbox's messages are told to. One handler may serve many mailboxes, on many loops; each
/// call comes on the mailbox's own loop and must not block.
///
/// A class to inherit from and not a protocol, as ``ConnectionHandler``.
open class MailboxHandler: @unchecked Sendable {
  // @unchecked: no stored properties; subclasses prove their own.
  public init() {}

  /// A message, in the order of its sender and class. Throwing suspends the mailbox.
  open func received(_ mailbox: MailboxID, _ message: consuming Message) throws {}

  /// Several at once: those that wait, up to the mailbox's share of a turn. What is not taken waits
  /// on. Takes them one by one unless overridden.
  open func received(_ batch: inout MessageBatch) throws {
    let mailbox = batch.mailbox
    while let message = batch.next() { try received(mailbox, message) }
  }

  /// It was closed to be drained, and nothing is left; `closed` follows.
  open func drained(_ mailbox: MailboxID) {}

  /// The number of messages that wait has risen to the high-water mark, or has fallen to the low
  /// one again.
  open func pressed(_ mailbox: MailboxID, isHigh: Bool) {}

  /// The last call for this mailbox.
  open func closed(_ mailbox: MailboxID, _ reason: MailboxCloseReason) {}
}

/// The messages that wait for one mailbox, to be taken within the call that it was handed to.
@safe
public struct MessageBatch: ~Copyable {
  public let mailbox: MailboxID
  @usableFromInline let state: UnsafeMutablePointer<MailboxState>
  @usableFromInline var left: Int
  /// What was read ahead, of no meaning: it is kept so that the reading is not left out.
  @usableFromInline var touched: UInt8 = 0

  @inlinable @inline(__always)
  init(_ mailbox: MailboxID, _ state: UnsafeMutablePointer<MailboxState>, limit: Int) {
    self.mailbox = mailbox
    unsafe self.state = unsafe state
    left = limit
  }

  /// The word that the mailbox was opened with.
  @inlinable
  public var context: UInt64 { unsafe state.pointee.context }

  /// How many more there are to take, unless the mailbox is closed or suspended meanwhile.
  @inlinable
  public var count: Int { unsafe min(left, state.pointee.queue.depth) }

  /// The next message; nil when none is left, or the mailbox has been closed or suspended.
  @inlinable @inline(__always)
  public mutating func next() -> Message? {
    // Through a local: ThreadSanitizer's build of 6.3 fails on a property of a non-copyable type.
    let state = unsafe state
    guard left > 0, unsafe state.pointee.isServed, let block = unsafe state.pointee.queue.pop()
    else { return nil }
    left &-= 1
    touch()
    return Message(adopting: block)
  }

  /// Reads a byte of the message after the one at hand: its line comes from another core's cache
  /// while the handler is busy with this one.
  @inlinable @inline(__always)
  mutating func touch() {
    guard let next = unsafe state.pointee.queue.first else { return }
    if unsafe next.header.pointee.count > 0 {
      touched ^= unsafe next.header.pointee.bytes.load(as: UInt8.self)
    }
  }
}
