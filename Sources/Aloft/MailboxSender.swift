internal import AloftEngine
internal import AloftUV
public import AloftQueue

/// Sends to mailboxes from a thread of yours, and gathers: up to 256 messages for an event loop are
/// handed over at once, which costs a fraction of as many single sends.
///
/// ```swift
/// let sender = runtime.makeSender()
/// for order in orders { sender.send(order.bytes, to: mailbox) }
/// sender.flush()
/// ```
/// What was accepted leaves with the 256th message for that loop, with `flush`, or when the sender
/// is released. Until then it keeps back a share of bounded mailboxes' room, as an event loop does.
/// **Threads**: one at a time. On an event loop's thread it is not needed: loops gather by
/// themselves. **Order** is kept among what one sender sends to a mailbox, not with regard to
/// `Mailbox.send` on the same thread. **Blocking**: none does.
public final class MailboxSender {
  private let sender: ForeignSender

  init(_ runtime: Runtime) { sender = ForeignSender(runtime.group.loops) }

  /// Sends a message; what isn't accepted is released. `busy` when a loop's inbox is full.
  @discardableResult
  public func send(
    _ message: consuming Message, to mailbox: Mailbox, priority: MessagePriority = .normal
  ) -> SendResult {
    let block = message.take()
    let result = sender.send(block, to: mailbox.id, priority: priority.rawValue)
    if result != .accepted { _ = Message(adopting: block) }
    return SendResult(result)
  }

  /// Sends a copy of `bytes`.
  @discardableResult
  public func send(
    _ bytes: RawSpan, to mailbox: Mailbox, priority: MessagePriority = .normal
  ) -> SendResult {
    let block = unsafe bytes.withUnsafeBytes {
      unsafe AloftEngine.EventLoop.newMessage(copying: $0)
    }
    return send(Message(adopting: block), to: mailbox, priority: priority)
  }

  /// Hands over what is gathered. False when a loop's inbox is full; the rest is kept.
  @discardableResult
  public func flush() -> Bool { sender.flush() }
}

extension Runtime {
  /// For a thread of yours that sends much. Keeps the runtime's loops alive, not running.
  public func makeSender() -> MailboxSender { MailboxSender(self) }
}
