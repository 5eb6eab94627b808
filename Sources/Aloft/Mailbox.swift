internal import AloftEngine
public import AloftQueue

/// A mailbox, by value: eight bytes to copy, keep and send to from any thread.
///
/// It names a mailbox and does not hold it. Once the mailbox has ended, every send is answered
/// `closed`; a name never comes to mean another mailbox.
///
/// ```swift
/// let orders = try await runtime.mailbox(.init(capacity: 10_000), handler: Orders())
/// guard orders.send(bytes.span.bytes) == .accepted else { … }
/// ```
/// **Threads**: any, unless said otherwise. Between loops of one runtime messages are gathered and
/// handed over together at the end of the turn at the latest, without a lock; on the mailbox's own
/// loop no atomic operation is needed; other threads pay a few. **Blocking**: none does.
public struct Mailbox: Hashable, Sendable {
  let id: MailboxID

  @inline(__always)
  init(_ id: MailboxID) { self.id = id }

  /// The 64 bits of the name: node 8, loop 8, slot 24, generation 24.
  public var rawValue: UInt64 { id.rawValue }

  /// Any 64 bits: those that name no mailbox are answered `closed`.
  public init(rawValue: UInt64) { id = MailboxID(rawValue: rawValue) }

  /// Whether it takes messages at this moment.
  public var isOpen: Bool { AloftEngine.EventLoop.isOpen(id) }

  /// Sends a message. What is not accepted is released.
  @discardableResult
  @inline(__always)
  public func send(
    _ message: consuming Message, priority: MessagePriority = .normal
  ) -> SendResult {
    SendResult(AloftEngine.EventLoop.send(message, to: id, priority: priority.rawValue))
  }

  /// Sends a message and leaves nil, or leaves the message where it is when it isn't accepted.
  @discardableResult
  public func send(
    offering message: inout Message?, priority: MessagePriority = .normal
  ) -> SendResult {
    guard let block = message.take()?.take() else { return .accepted }
    let result = AloftEngine.EventLoop.send(block, to: id, priority: priority.rawValue)
    if result != .accepted { message = Message(adopting: block) }
    return SendResult(result)
  }

  /// Sends a copy of `bytes`.
  @discardableResult
  @inline(__always)
  public func send(_ bytes: RawSpan, priority: MessagePriority = .normal) -> SendResult {
    unsafe bytes.withUnsafeBytes {
      unsafe SendResult(
        AloftEngine.EventLoop.send(copying: $0, to: id, priority: priority.rawValue))
    }
  }

  /// Sends when there is room, in the order of those who wait. Suspends, never blocks. What the
  /// caller sends meanwhile may arrive before.
  ///
  /// - Throws: `timedOut` when there was no room within `limit`, `closed` when the mailbox has
  ///   ended. A cancelled task goes on waiting: for as long as `limit` says at most.
  public func send(
    _ message: consuming Message, priority: MessagePriority = .normal, within limit: Duration
  ) async throws(AloftError) {
    let block = message.take()
    let wait = UInt64(max(0, limit.milliseconds))
    let outcome = unsafe await withUnsafeContinuation { continuation in
      AloftEngine.EventLoop.send(
        Message(adopting: block), to: id, priority: priority.rawValue, withinMilliseconds: wait
      ) { outcome in unsafe continuation.resume(returning: outcome) }
    }
    switch outcome {
    case .accepted: return
    case .timedOut:
      throw AloftError(.timedOut, "the mailbox was full for \(limit)")
    case .closed: throw AloftError(.closed, "the mailbox has ended")
    }
  }

  /// Ends it. From here on senders are told `closed`; what waits is dropped, or with `drain`
  /// handled first, whatever event loops had sent before included. Idempotent. On the mailbox's
  /// own loop at once, from elsewhere when the loop comes to it.
  public func close(drain: Bool = false) {
    let id = id
    AloftEngine.EventLoop.withMailboxLoop(id) { $0.closeMailbox(id, drain: drain) }
  }

  /// Its counters; nil when it has ended. Suspends.
  public func statistics() async -> MailboxStatistics? {
    let id = id
    return unsafe await withUnsafeContinuation { continuation in
      let answer = unsafe StatisticsAnswer(continuation)
      AloftEngine.EventLoop.withMailboxLoop(id) { loop in
        answer.resume(loop.mailboxStatistics(id).map { MailboxStatistics($0) })
      }
    }
  }

  /// The word that it was opened with. On its own loop; elsewhere, and of one that has ended, 0.
  public var context: UInt64 {
    unsafe AloftEngine.EventLoop.unretainedOwner(of: id)?
      ._withUnsafeGuaranteedRef { $0.mailboxContext(id) } ?? 0
  }

  /// Has the connection pause its reads while the mailbox is above its high-water mark. A mailbox
  /// can have many such connections, and a connection several such mailboxes: it is read from while
  /// none of them is above.
  public func attach(_ connection: Connection) {
    let id = id
    AloftEngine.EventLoop.withMailboxLoop(id) { $0.attachFeeder(connection.id, to: id) }
  }

  public func detach(_ connection: Connection) {
    let id = id
    AloftEngine.EventLoop.withMailboxLoop(id) { $0.detachFeeder(connection.id, from: id) }
  }
}

/// Answers once; with nil if it is released unanswered, because the loop has ended.
@safe
private final class StatisticsAnswer: @unchecked Sendable {
  // @unchecked: answered by the mailbox's loop, or released.
  private var continuation: UnsafeContinuation<MailboxStatistics?, Never>?

  init(_ continuation: UnsafeContinuation<MailboxStatistics?, Never>) {
    unsafe self.continuation = unsafe continuation
  }

  deinit { resume(nil) }

  func resume(_ statistics: MailboxStatistics?) {
    guard let waiting = unsafe continuation else { return }
    unsafe continuation = nil
    unsafe waiting.resume(returning: statistics)
  }
}

extension EventLoop {
  /// Opens a mailbox here. On this loop's thread; O(1), some 100 bytes. The handler is kept until
  /// its `closed`.
  /// - Parameter context: a word of yours, to be had back from `Mailbox.context` and the batches.
  /// - Throws: `invalidOption`, `mailboxLimit` when 16,777,216 are open, `closed`.
  public func openMailbox(
    _ options: MailboxOptions = .init(), context: UInt64 = 0, handler: some MailboxHandler
  ) throws(AloftError) -> Mailbox {
    let key = ObjectIdentifier(handler)
    // One handler serves many mailboxes: what stands between it and the engine is made once.
    let made = core.handlerMade(of: key) ?? MailboxAdapter(handler)
    let mailbox = try openMailbox(options.engineOptions(), made, context: context)
    core.noteHandler(made, madeOf: key)
    return mailbox
  }

  /// Opens many alike at once, whose contexts are `contexts`: they share what they can.
  public func openMailboxes(
    _ options: MailboxOptions = .init(), contexts: Range<UInt64>, handler: some MailboxHandler
  ) throws(AloftError) -> [Mailbox] {
    let options = try options.engineOptions()
    let adapter = MailboxAdapter(handler)
    var mailboxes: [Mailbox] = []
    mailboxes.reserveCapacity(contexts.count)
    for context in contexts {
      mailboxes.append(try openMailbox(options, adapter, context: context))
    }
    return mailboxes
  }

  @inline(__always)
  func openMailbox(
    _ options: AloftEngine.MailboxOptions, _ handler: AloftEngine.MailboxHandler, context: UInt64
  ) throws(AloftError) -> Mailbox {
    do throws(EngineError) {
      return Mailbox(try core.openMailbox(options, handler: handler, context: context))
    } catch {
      throw AloftError(error)
    }
  }
}

extension Runtime {
  /// Opens a mailbox on `loop`, or on the loops in turn. See `EventLoop.openMailbox`.
  public func mailbox(
    _ options: MailboxOptions = .init(), on loop: EventLoop? = nil, context: UInt64 = 0,
    handler: some MailboxHandler
  ) async throws -> Mailbox {
    let loop = loop ?? nextEventLoop()
    let options = try options.engineOptions()
    let adapter = MailboxAdapter(handler)
    return try await loop.run { try loop.openMailbox(options, adapter, context: context) }
  }
}
