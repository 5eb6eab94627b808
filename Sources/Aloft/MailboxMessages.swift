internal import AloftEngine
public import AloftQueue

/// A mailbox for `async` code: messages wait in it until a task asks for them.
///
/// ```swift
/// let inbox = try await runtime.mailbox(.init(capacity: 1_000))
/// for await bytes in inbox.messages { … }
/// ```
/// **Back-pressure**: nothing leaves the mailbox before it is asked for, so its capacity and its
/// water marks count what the task has not yet seen. **Threads**: one task at a time asks. On the
/// mailbox's loop a message that is there costs no suspension. **Cancellation**: a cancelled task's
/// wait ends with nil when the next message comes or the mailbox closes, and not before.
public final class AsyncMailbox: Sendable {
  /// The mailbox, to send to.
  public let mailbox: Mailbox
  public let eventLoop: EventLoop
  private let stream: MailboxStream

  init(_ mailbox: Mailbox, on eventLoop: EventLoop, _ stream: MailboxStream) {
    self.mailbox = mailbox
    self.eventLoop = eventLoop
    self.stream = stream
  }

  deinit { mailbox.close() }

  /// The next message; nil when the mailbox has closed and nothing is left.
  public func next() async -> Message? {
    let block: MessageBlock? =
      if eventLoop.isCurrent, let block = stream.take() {
        block
      } else {
        await stream.next(on: eventLoop)
      }
    guard let block else { return nil }
    return Message(adopting: block)
  }

  /// Copies of the messages' bytes, until the mailbox closes. To be iterated once.
  public var messages: Messages { Messages(mailbox: self) }

  /// The messages of a mailbox, in the order in which it hands them out.
  public struct Messages: AsyncSequence, Sendable {
    let mailbox: AsyncMailbox

    public struct AsyncIterator: AsyncIteratorProtocol {
      let mailbox: AsyncMailbox

      public mutating func next() async -> [UInt8]? {
        guard let message = await mailbox.next() else { return nil }
        return unsafe message.withUnsafeBytes { unsafe Array($0) }
      }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(mailbox: mailbox) }
  }
}

/// Holds its mailbox suspended, and lets one message out for each that is asked for. All state
/// belongs to the mailbox's loop.
final class MailboxStream: AloftEngine.MailboxHandler, @unchecked Sendable {
  // @unchecked: every access is on the loop's thread; the entry for tasks sees to that.
  private var id: MailboxID?
  private var hasEnded = false
  private var reader: Reply<MessageBlock?>?

  func begin(_ id: MailboxID) {
    self.id = id
    AloftEngine.EventLoop.current?.suspendMailbox(id)
  }

  /// The next message that is there.
  func take() -> MessageBlock? {
    guard let id else { return nil }
    return AloftEngine.EventLoop.current?.takeMessage(id)
  }

  func next(on loop: EventLoop) async -> MessageBlock? {
    let answer = unsafe try? await withUnsafeThrowingContinuation { continuation in
      let reply = unsafe Reply<MessageBlock?>(continuation)
      if loop.isCurrent { return wait(reply) }
      loop.core.executeUnrefused { self.wait(reply) }
    }
    return answer ?? nil
  }

  private func wait(_ reply: Reply<MessageBlock?>) {
    precondition(reader == nil, "two tasks wait for one mailbox's messages")
    if let block = take() {
      reply.resume(with: .success(block))
    } else if let id, !hasEnded {
      reader = reply
      AloftEngine.EventLoop.current?.resumeMailbox(id)
    } else {
      reply.resume(with: .success(nil))
    }
  }

  override func received(_ batch: inout MessageBatch) {
    guard let reader, let message = batch.next() else { return }
    self.reader = nil
    reader.resume(with: .success(message.take()))
    AloftEngine.EventLoop.current?.suspendMailbox(batch.mailbox)
  }

  override func closed(_ mailbox: MailboxID, _ reason: AloftEngine.MailboxCloseReason) {
    hasEnded = true
    reader?.resume(with: .success(nil))
    reader = nil
  }
}

extension Runtime {
  /// Opens a mailbox whose messages a task asks for, on `loop` or on the loops in turn. It is
  /// closed when the answer is released.
  public func mailbox(
    _ options: MailboxOptions = .init(), on loop: EventLoop? = nil
  ) async throws -> AsyncMailbox {
    let loop = loop ?? nextEventLoop()
    let options = try options.engineOptions()
    let stream = MailboxStream()
    let mailbox = try await loop.run {
      let mailbox = try loop.openMailbox(options, stream, context: 0)
      stream.begin(mailbox.id)
      return mailbox
    }
    return AsyncMailbox(mailbox, on: loop, stream)
  }
}
