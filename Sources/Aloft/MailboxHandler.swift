internal import AloftEngine
public import AloftQueue

/// What a mailbox's messages are told to: the state of an entity, which lives on one event loop.
///
/// One handler may serve many mailboxes, on many loops. Each call comes on the mailbox's own event
/// loop, never two at a time for one mailbox, and must not block: while it runs, everything else on
/// the loop waits. State of a handler that serves several loops must be safe to share.
///
/// ```swift
/// final class Counter: MailboxHandler {
///   var sum = 0
///   func received(_ mailbox: Mailbox, _ message: consuming Message) throws {
///     sum += message.count
///   }
/// }
/// ```
/// Throwing suspends the mailbox: what waits in it waits on until a supervisor starts it again;
/// without one, the mailbox ends with the reason `failed`.
public protocol MailboxHandler: AnyObject, Sendable {
  /// A message; dropping it gives its memory back. Of those that wait the most urgent comes first,
  /// and messages of one sender and priority come in the order in which they were sent.
  func received(_ mailbox: Mailbox, _ message: consuming Message) throws
  /// Those that wait, at once, up to `messagesPerTurn`. What is not taken waits on. Hands them to
  /// `received(_:_:)` one by one unless you say otherwise.
  func received(_ batch: inout MailboxBatch) throws
  /// It was closed to be drained, and all that had been sent is handled; `closed` follows.
  func drained(_ mailbox: Mailbox)
  /// The number of messages that wait has risen to the high-water mark, or fallen to the low one.
  func pressureChanged(_ mailbox: Mailbox, isHigh: Bool)
  /// The last call.
  func closed(_ mailbox: Mailbox, reason: MailboxCloseReason)
}

extension MailboxHandler {
  public func received(_ batch: inout MailboxBatch) throws {
    let mailbox = batch.mailbox
    while let message = batch.next() { try received(mailbox, message) }
  }
  public func drained(_ mailbox: Mailbox) {}
  public func pressureChanged(_ mailbox: Mailbox, isHigh: Bool) {}
  public func closed(_ mailbox: Mailbox, reason: MailboxCloseReason) {}
}

/// Why a mailbox has ended.
public enum MailboxCloseReason: Hashable, Sendable {
  /// It was closed.
  case closed
  /// Its handler threw, and nobody was there to restart it.
  case failed
  /// The runtime was shut down.
  case shutdown

  init(_ reason: AloftEngine.MailboxCloseReason) {
    self =
      switch reason {
      case .closed: .closed
      case .failed: .failed
      case .shutdown: .shutdown
      }
  }
}

/// The messages that wait for one mailbox, to be taken within the call that it was handed to.
public struct MailboxBatch: ~Copyable {
  var batch: MessageBatch

  @inline(__always)
  init(_ batch: consuming MessageBatch) { self.batch = batch }

  /// Whose messages these are.
  public var mailbox: Mailbox { Mailbox(batch.mailbox) }

  /// The word that the mailbox was opened with.
  public var context: UInt64 { batch.context }

  /// How many more there are to take.
  public var count: Int { batch.count }

  /// The next message; nil when none is left, or the mailbox was closed meanwhile. O(1).
  @inline(__always)
  public mutating func next() -> Message? { batch.next() }
}

/// Between the engine's handler class and the user's protocol.
final class MailboxAdapter<Handler: MailboxHandler>: AloftEngine.MailboxHandler,
  @unchecked Sendable
{
  // @unchecked: the stored property is immutable and Sendable.
  private let handler: Handler

  init(_ handler: Handler) {
    self.handler = handler
    super.init()
  }

  override func received(_ batch: inout MessageBatch) throws {
    var outer = MailboxBatch(batch)
    do {
      try handler.received(&outer)
      batch = outer.batch
    } catch {
      batch = outer.batch
      throw error
    }
  }

  override func drained(_ mailbox: MailboxID) { handler.drained(Mailbox(mailbox)) }

  override func pressed(_ mailbox: MailboxID, isHigh: Bool) {
    handler.pressureChanged(Mailbox(mailbox), isHigh: isHigh)
  }

  override func closed(_ mailbox: MailboxID, _ reason: AloftEngine.MailboxCloseReason) {
    handler.closed(Mailbox(mailbox), reason: MailboxCloseReason(reason))
  }
}
