import AloftAtomics
package import AloftQueue
package import AloftSupervision
import Synchronization

/// A supervised handler with a mailbox. The handler may fail and be made anew; the mailbox stays,
/// with its ID and all that waits in it.
///
/// Its supervisor may live on another loop: then orders and answers are messages between the two,
/// in order. What the supervisor's loop touches and what the worker's loop touches are apart.
@safe
package final class MailboxWorker: MailboxHandler, SupervisedChild, @unchecked Sendable {
  // @unchecked: each property belongs to one of the two loops, as the marks say.
  package let name: String?
  package let loop: EventLoop
  package let options: WorkerOptions
  private let make: () throws -> any WorkerBehavior

  // The supervisor's loop.
  private weak var supervisor: Supervisor?
  private var id: ChildID?
  private var supervisorLoop: EventLoop?

  // The worker's loop.
  package private(set) var mailbox: MailboxID? {
    get {
      let word = mailboxWord.load(ordering: .relaxed)
      return word == 0 ? nil : MailboxID(rawValue: word)
    }
    set { mailboxWord.store(newValue?.rawValue ?? 0, ordering: .relaxed) }
  }
  /// For any thread to read.
  private let mailboxWord = Atomic<UInt64>(0)
  package private(set) var counts = WorkerCounts()
  private var behavior: (any WorkerBehavior)?
  /// Closing, because it was told to stop; `closed` follows.
  private var isStopping = false
  /// Its mailbox outlives its handler.
  private var isFailing = false
  /// The message that it failed at last, and how often.
  private var inHand: MessageBlock?
  private var deliveries: UInt8 = 0
  private var lastProgress: UInt64 = 0
  private var watch: TimerID?

  /// - Parameter mailbox: one that is open already on `loop`, without a handler of its own.
  package init(
    name: String? = nil, on loop: EventLoop, options: WorkerOptions = .init(),
    make: @escaping () throws -> any WorkerBehavior
  ) {
    self.name = name
    self.loop = loop
    self.options = options
    self.make = make
  }

  deinit {
    if let inHand { MessageBlock.release(inHand) }
  }

  // MARK: Orders, on the supervisor's loop

  package var place: (supervisor: Supervisor, id: ChildID)? {
    guard let supervisor, let id else { return nil }
    return (supervisor, id)
  }

  package func adopted(by supervisor: Supervisor, as id: ChildID) {
    self.supervisor = supervisor
    self.id = id
    supervisorLoop = supervisor.loop
  }

  package func start() { onOwnLoop { $0.startHere() } }
  package func stop(keep: Bool) { onOwnLoop { $0.stopHere(keep: keep) } }
  package func kill(keep: Bool) { onOwnLoop { $0.killHere(keep: keep) } }
  package func release() { onOwnLoop { $0.releaseHere() } }
  package func remove() { onOwnLoop { $0.releaseHere() } }

  private func onOwnLoop(_ body: @escaping @Sendable (MailboxWorker) -> Void) {
    if loop.isCurrent { return body(self) }
    loop.executeUnrefused({ [self] in body(self) })
  }

  // MARK: Answers, from the worker's loop

  private func answerStarted() {
    guard let supervisorLoop else { return }
    if supervisorLoop.isCurrent {
      if let id { supervisor?.childStarted(id) }
      return
    }
    supervisorLoop.executeUnrefused({ [self] in
      if let id { supervisor?.childStarted(id) }
    })
  }

  private func answerEnded(_ how: ChildEnd, _ error: (any Error)?) {
    guard let supervisorLoop else { return }
    if supervisorLoop.isCurrent {
      if let id { supervisor?.childEnded(id, how, error) }
      return
    }
    supervisorLoop.executeUnrefused({ [self] in
      if let id { supervisor?.childEnded(id, how, error) }
    })
  }

  // MARK: The worker's loop

  private func startHere() {
    guard behavior == nil else { return }
    do {
      let fresh = try make()
      if mailbox == nil {
        mailbox = try loop.openMailbox(options.mailbox, handler: self)
        if let mailbox { loop.suspendMailbox(mailbox) }
      }
      behavior = fresh
      isFailing = false
      lastProgress = loop.driver.now()
      try fresh.started(self)
    } catch {
      fail(error, how: .startFailure)
      return
    }
    // It may have ended itself in `started`.
    guard behavior != nil, let mailbox else { return }
    counts.starts += 1
    watchProgress()
    if let inHand {
      self.inHand = nil
      counts.redelivered += 1
      answerStarted()
      deliver(Message(adopting: inHand))
      if behavior != nil { loop.resumeMailbox(mailbox) }
      return
    }
    loop.resumeMailbox(mailbox)
    answerStarted()
  }

  private func stopHere(keep: Bool) {
    guard let behavior, !isStopping else { return }
    guard !keep, let mailbox else { return endHere() }
    _ = behavior
    isStopping = true
    loop.closeMailbox(mailbox, drain: true)
  }

  private func killHere(keep: Bool) {
    guard behavior != nil else { return }
    if keep { return endHere() }
    isStopping = true
    if let mailbox { loop.closeMailbox(mailbox) }
  }

  /// The handler ends and the mailbox stays, for the next one.
  private func endHere() {
    if let mailbox { loop.suspendMailbox(mailbox) }
    let last = behavior
    behavior = nil
    stopWatching()
    last?.stopping(self)
    answerEnded(.normal, nil)
  }

  private func releaseHere() {
    if let inHand { MessageBlock.release(inHand) }
    inHand = nil
    guard let mailbox else { return }
    self.mailbox = nil
    loop.closeMailbox(mailbox)
  }

  // MARK: Messages

  override package func received(_ batch: inout MessageBatch) throws {
    if options.messageLimit > 0 || options.redeliveriesMax > 0 {
      while let message = batch.next() { deliver(message) }
      return
    }
    if options.progressLimit > 0 { lastProgress = loop.driver.now() }
    while let message = batch.next() {
      guard let behavior else { return }
      do {
        try behavior.received(self, message)
      } catch {
        counts.dropped += 1
        fail(error, how: .failure)
      }
    }
  }

  /// The long way: with a clock, or a second reference to the message.
  private func deliver(_ message: consuming Message) {
    guard let behavior else { return }
    var kept: MessageBlock?
    if options.redeliveriesMax > 0 { kept = message.share().take() }
    let began = loop.driver.now()
    do {
      try behavior.received(self, message)
    } catch {
      keep(kept)
      return fail(error, how: .failure)
    }
    if let kept { MessageBlock.release(kept) }
    deliveries = 0
    let now = loop.driver.now()
    lastProgress = now
    let took = (now - began) / nanosecondsPerTick
    if options.messageLimit > 0, took > UInt64(options.messageLimit), self.behavior === behavior {
      fail(
        WorkerFailure.messageTookTooLong(milliseconds: took, limit: UInt64(options.messageLimit)),
        how: .failure)
    }
  }

  /// The message that the handler has failed at: for the next handler, or gone.
  private func keep(_ block: MessageBlock?) {
    guard let block, deliveries < options.redeliveriesMax else {
      if let block { MessageBlock.release(block) }
      deliveries = 0
      counts.dropped += 1
      return
    }
    deliveries += 1
    inHand = block
  }

  override package func drained(_ mailbox: MailboxID) {}

  override package func closed(_ mailbox: MailboxID, _ reason: MailboxCloseReason) {
    guard self.mailbox == mailbox else { return }
    self.mailbox = nil
    guard let last = behavior else {
      // Between two handlers: nothing is left to be started for.
      return
    }
    behavior = nil
    isStopping = false
    stopWatching()
    last.stopping(self)
    answerEnded(.normal, nil)
  }

  // MARK: Failures

  /// On the worker's loop: the handler has failed; its supervisor decides what comes of it. Does
  /// nothing while it is down.
  package func fail(_ error: any Error) { fail(error, how: .failure) }

  private func fail(_ error: any Error, how: ChildEnd) {
    guard behavior != nil || how == .startFailure else { return }
    let wasStopping = isStopping
    behavior = nil
    isStopping = false
    isFailing = true
    counts.failures += 1
    stopWatching()
    if let mailbox {
      loop.suspendMailbox(mailbox)
      loop.workers.ends.failed(mailbox)
      // It was on its way out already: that goes on without a handler.
      if wasStopping { loop.closeMailbox(mailbox) }
    }
    answerEnded(how, error)
  }

  /// On the worker's loop: its work is done. A permanent one is started again.
  package func finish() {
    guard let last = behavior else { return }
    behavior = nil
    isStopping = false
    stopWatching()
    if let mailbox { loop.suspendMailbox(mailbox) }
    last.stopping(self)
    answerEnded(.normal, nil)
  }

  package func linkEnded(_ other: MailboxID) {
    guard let behavior, !behavior.linkEnded(self, other) else { return }
    fail(WorkerFailure.linkEnded, how: .failure)
  }

  package func reportProgress() { lastProgress = loop.driver.now() }

  private func watchProgress() {
    guard options.progressLimit > 0 else { return }
    startWatch(after: UInt64(options.progressLimit))
  }

  private func startWatch(after milliseconds: UInt64) {
    watch = loop.startTimer(afterMilliseconds: milliseconds) { [weak self] in
      self?.lookForProgress()
    }
  }

  /// One timer, moved only when it fires: progress itself is one store.
  private func lookForProgress() {
    watch = nil
    let silent = (loop.driver.now() - lastProgress) / nanosecondsPerTick
    let limit = UInt64(options.progressLimit)
    if silent >= limit {
      fail(WorkerFailure.noProgress(milliseconds: silent), how: .failure)
    } else {
      startWatch(after: limit - silent)
    }
  }

  private func stopWatching() {
    if let watch { loop.cancelTimer(watch) }
    watch = nil
  }
}
