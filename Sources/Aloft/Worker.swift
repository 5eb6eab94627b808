internal import AloftEngine
public import AloftQueue
internal import AloftSupervision

/// The work of a supervised worker: made anew for each start, so that whatever state its
/// predecessor had spoilt is gone. It lives on one event loop, where all its calls come, one at a
/// time, and must not block.
///
/// ```swift
/// final class Orders: WorkerHandler {
///   var open: [UInt64: Order] = [:]
///   func received(_ worker: Worker, _ message: consuming Message) throws {
///     let order = try Order(message)      // what throws here ends this object, not the mailbox
///     open[order.number] = order
///   }
/// }
/// ```
public protocol WorkerHandler: AnyObject {
  /// Before the first message. Throwing fails the start.
  func started(_ worker: Worker) throws
  /// A message. Throwing fails the worker: its supervisor makes a new handler, and messages that
  /// wait are handed to that one.
  func received(_ worker: Worker, _ message: consuming Message) throws
  /// It is stopped in order; nothing follows. Not called when it has failed, or is ended by force.
  func stopping(_ worker: Worker)
  /// One that it is linked to has ended. True traps that; false, the default, fails the worker.
  func linkEnded(_ worker: Worker, _ other: Mailbox) -> Bool
}

extension WorkerHandler {
  public func started(_ worker: Worker) throws {}
  public func stopping(_ worker: Worker) {}
  public func linkEnded(_ worker: Worker, _ other: Mailbox) -> Bool { false }
}

/// How a worker's mailbox is served, and what counts as a failure beside an error thrown.
public struct WorkerOptions: Sendable {
  public var mailbox = MailboxOptions()
  /// How long one message may take. A loop can't take a handler off its thread: one that took too
  /// long fails when it has returned. Nil for no limit.
  public var messageLimit: Duration?
  /// Within how long the worker must report progress: by handling a message, or by
  /// `Worker.reportProgress`. For workers that always have something to do. Nil for never.
  public var progressLimit: Duration?
  /// How often a message at which the handler failed is handed to the next one. With 0 it is
  /// dropped, and counted.
  public var redeliveriesMax = 0

  public init() {}

  func engineOptions() throws(AloftError) -> AloftEngine.WorkerOptions {
    var options = AloftEngine.WorkerOptions()
    options.mailbox = try mailbox.engineOptions()
    options.messageLimit = try messageLimit.milliseconds("messageLimit")
    options.progressLimit = try progressLimit.milliseconds("progressLimit")
    guard 0...254 ~= redeliveriesMax else {
      throw AloftError(
        .invalidOption, "redeliveriesMax is \(redeliveriesMax); 0 to 254 are possible")
    }
    options.redeliveriesMax = UInt8(redeliveriesMax)
    return options
  }
}

/// A supervised worker, whatever handler it has at the moment. A value to copy and keep; it costs
/// a reference.
public struct Worker: Sendable, Hashable {
  let core: MailboxWorker

  /// The name that it was given, unique among its supervisor's children.
  public var name: String? { core.name }
  /// The loop on which its handlers live.
  public var eventLoop: EventLoop { EventLoop(core.loop) }

  /// Its mailbox, which stays the same while its supervisor restarts it; nil before the first start
  /// and when it is down for good. Any thread.
  public var mailbox: Mailbox? { core.mailbox.map { Mailbox($0) } }

  /// Sends it a message, which waits if it is being restarted; see `Mailbox.send`. Any thread.
  @discardableResult
  public func send(
    _ message: consuming Message, priority: MessagePriority = .normal
  ) -> SendResult {
    guard let mailbox else { return .closed }
    return mailbox.send(message, priority: priority)
  }

  @discardableResult
  public func send(_ bytes: RawSpan, priority: MessagePriority = .normal) -> SendResult {
    mailbox?.send(bytes, priority: priority) ?? .closed
  }

  /// Its work is done: the handler ends, and a worker that is not permanent stays down. On its own
  /// loop; nothing elsewhere.
  public func finish() { if core.loop.isCurrent { core.finish() } }

  /// It has failed, though nothing was thrown. On its own loop; nothing elsewhere.
  public func fail(_ error: any Error) { if core.loop.isCurrent { core.fail(error) } }

  /// See `WorkerOptions.progressLimit`. On its own loop; nothing elsewhere.
  public func reportProgress() { if core.loop.isCurrent { core.reportProgress() } }

  /// Its counters. Suspends.
  public func statistics() async throws -> WorkerStatistics {
    let core = core
    return try await eventLoop.run { WorkerStatistics(core.counts) }
  }

  public static func == (a: Worker, b: Worker) -> Bool { a.core === b.core }
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(core)) }
}

/// Counters of a worker over all its handlers.
public struct WorkerStatistics: Sendable, Hashable {
  /// Starts that came up.
  public let starts: UInt64
  public let failures: UInt64
  /// Messages at which a handler failed, and that are gone.
  public let dropped: UInt64
  /// The same, handed to the next handler.
  public let redelivered: UInt64

  init(_ counts: WorkerCounts) {
    starts = counts.starts
    failures = counts.failures
    dropped = counts.dropped
    redelivered = counts.redelivered
  }
}

/// Between the engine's class and the user's protocol.
final class WorkerAdapter<Handler: WorkerHandler>: WorkerBehavior {
  private let handler: Handler

  init(_ handler: Handler) { self.handler = handler }

  func started(_ worker: MailboxWorker) throws {
    try handler.started(Worker(core: worker))
  }

  func received(_ worker: MailboxWorker, _ message: consuming Message) throws {
    try handler.received(Worker(core: worker), message)
  }

  func stopping(_ worker: MailboxWorker) { handler.stopping(Worker(core: worker)) }

  func linkEnded(_ worker: MailboxWorker, _ id: MailboxID) -> Bool {
    handler.linkEnded(Worker(core: worker), Mailbox(id))
  }
}
