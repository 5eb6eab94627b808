package import AloftQueue

/// How a worker's mailbox is served, and what counts as a failure of its handler.
package struct WorkerOptions: Sendable {
  package var mailbox = MailboxOptions()
  /// Milliseconds that one message may take; 0 for no limit. A loop can't take a handler off its
  /// thread: what took too long has ended, and fails then.
  package var messageLimit: UInt32 = 0
  /// Milliseconds within which the worker must report progress, which handling a message does,
  /// too; 0 for never.
  package var progressLimit: UInt32 = 0
  /// How often a message that its handler has failed at is handed to the next one. 0 drops it.
  package var redeliveriesMax: UInt8 = 0

  package init() {}
}

/// What a worker does: made anew for each start, used on the worker's loop only.
package protocol WorkerBehavior: AnyObject {
  /// Before the first message. Throwing fails the start.
  func started(_ worker: MailboxWorker) throws
  func received(_ worker: MailboxWorker, _ message: consuming Message) throws
  /// It is being stopped in order; nothing follows.
  func stopping(_ worker: MailboxWorker)
  /// One that it is linked to has ended, and it traps that. False: it does not, and fails.
  func linkEnded(_ worker: MailboxWorker, _ id: MailboxID) -> Bool
}

/// Counters of one worker, on its loop.
package struct WorkerCounts: Sendable, Hashable {
  /// Starts that came up.
  package var starts: UInt64 = 0
  package var failures: UInt64 = 0
  /// Messages that were being handled when the handler failed, and are gone.
  package var dropped: UInt64 = 0
  /// The same, handed to the next handler.
  package var redelivered: UInt64 = 0
}
