package import AloftQueue
package import AloftSupervision
import Glibc
import Synchronization

/// How a process worker is started and stopped.
package struct ProcessWorkerOptions: Sendable {
  package enum Readiness: Sendable, Hashable {
    /// Up as soon as it has become its program.
    case started
    /// Up when it has sent its first message.
    case firstMessage
  }

  package var mailbox = MailboxOptions()
  package var readiness = Readiness.started
  /// The first message that each incarnation is sent, a promoted spare too: what it is to do.
  package var assignment: [UInt8]?
  package var stopSignal = SIGTERM
  /// Milliseconds within which the process must send something; 0 for never.
  package var progressLimit: UInt32 = 0

  package init() {}
}

/// What a process worker's owner is told, on the worker's loop. One for all incarnations.
package protocol ProcessBehavior: AnyObject {
  func started(_ worker: ProcessWorker, pid: Int32)
  /// A message from the process; valid until the call returns.
  func received(_ worker: ProcessWorker, _ bytes: UnsafeRawBufferPointer)
  func ended(_ worker: ProcessWorker, _ end: ProcessEnd)
}

/// A supervised operating-system process, which lives on its supervisor's loop. What is sent to its
/// mailbox is passed on to the process; while there is none, it waits.
@safe
package final class ProcessWorker: MailboxHandler, SupervisedChild, ChildProcessOwner,
  @unchecked Sendable
{
  // @unchecked: everything that changes is touched on the loop's thread only.
  package let name: String?
  package let loop: EventLoop
  private let stock: ProcessStock
  private let options: ProcessWorkerOptions
  private let behavior: any ProcessBehavior
  private weak var supervisor: Supervisor?
  private var id: ChildID?
  package private(set) var mailbox: MailboxID? {
    get {
      let word = mailboxWord.load(ordering: .relaxed)
      return word == 0 ? nil : MailboxID(rawValue: word)
    }
    set { mailboxWord.store(newValue?.rawValue ?? 0, ordering: .relaxed) }
  }
  /// For any thread to read.
  private let mailboxWord = Atomic<UInt64>(0)
  private var process: ChildProcess?
  private var isUp = false
  private var isStopping = false
  /// A message that did not fit into the channel.
  private var waiting: MessageBlock?
  private var lastProgress: UInt64 = 0
  private var watch: TimerID?

  package init(
    name: String? = nil, stock: ProcessStock, options: ProcessWorkerOptions = .init(),
    behavior: any ProcessBehavior, on loop: EventLoop
  ) {
    self.name = name
    self.loop = loop
    self.stock = stock
    self.options = options
    self.behavior = behavior
  }

  deinit {
    if let waiting { MessageBlock.release(waiting) }
  }

  package var pid: Int32? { process?.pid }

  package var place: (supervisor: Supervisor, id: ChildID)? {
    guard let supervisor, let id else { return nil }
    return (supervisor, id)
  }

  // MARK: Orders

  package func adopted(by supervisor: Supervisor, as id: ChildID) {
    precondition(supervisor.loop === loop, "a process worker lives on its supervisor's loop")
    self.supervisor = supervisor
    self.id = id
  }

  package func start() {
    guard process == nil else { return }
    do throws(EngineError) {
      if mailbox == nil {
        let fresh = try loop.openMailbox(options.mailbox, handler: self)
        loop.suspendMailbox(fresh)
        mailbox = fresh
      }
      let process = try stock.take()
      process.owner = self
      self.process = process
    } catch {
      answerEnded(.startFailure, error)
      return
    }
    isUp = false
    isStopping = false
    lastProgress = loop.driver.now()
    if let assignment = options.assignment {
      _ = unsafe assignment.withUnsafeBytes { unsafe process?.write($0) }
    }
    if let process { behavior.started(self, pid: process.pid) }
    if options.readiness == .started { cameUp() }
  }

  private func cameUp() {
    guard !isUp, process != nil, let id else { return }
    isUp = true
    watchProgress()
    passOn()
    supervisor?.childStarted(id)
  }

  package func stop(keep: Bool) {
    guard let process else { return }
    isStopping = true
    suspend()
    process.signal(options.stopSignal)
  }

  package func kill(keep: Bool) {
    isStopping = true
    process?.signal(SIGKILL)
  }

  package func release() {
    if let waiting { MessageBlock.release(waiting) }
    waiting = nil
    guard let mailbox else { return }
    self.mailbox = nil
    loop.closeMailbox(mailbox)
  }

  package func remove() {
    if let process {
      self.process = nil
      process.end()
    }
    stopWatching()
    release()
  }

  /// Sends the process a signal; false when there is none.
  package func signal(_ number: Int32) -> Bool { process?.signal(number) ?? false }

  private func answerEnded(_ how: ChildEnd, _ error: (any Error)?) {
    if let id { supervisor?.childEnded(id, how, error) }
  }

  private func suspend() {
    if let mailbox { loop.suspendMailbox(mailbox) }
  }

  // MARK: The process

  package func received(_ process: ChildProcess, _ bytes: UnsafeRawBufferPointer) {
    lastProgress = loop.driver.now()
    cameUp()
    unsafe behavior.received(self, bytes)
  }

  package func writable(_ process: ChildProcess) { passOn() }

  package func ended(_ process: ChildProcess, _ end: ProcessEnd) {
    self.process = nil
    let wasStarting = !isUp
    isUp = false
    stopWatching()
    suspend()
    behavior.ended(self, end)
    if isStopping {
      answerEnded(.normal, nil)
    } else if wasStarting {
      answerEnded(.startFailure, end.failure ?? .exited(code: 0))
    } else {
      answerEnded(end.failure == nil ? .normal : .failure, end.failure)
    }
  }

  // MARK: Messages to it

  /// What waited for room first, then the others.
  private func passOn() {
    guard isUp, !isStopping, let mailbox else { return }
    if let block = waiting {
      waiting = nil
      guard write(Message(adopting: block)) else { return }
    }
    loop.resumeMailbox(mailbox)
  }

  override package func received(_ batch: inout MessageBatch) throws {
    while let message = batch.next() {
      if !write(message) { return }
    }
  }

  /// False when it has to wait, for room or for the next process.
  private func write(_ message: consuming Message) -> Bool {
    let block = message.take()
    let result: WriteResult
    if let process, block.byteCount <= Int(ChildProcess.frameMax) {
      result = unsafe block.withBytes { unsafe process.write($0) }
    } else {
      result = process == nil ? .wouldBlock : .accepted
    }
    switch result {
    case .accepted:
      MessageBlock.release(block)
      return true
    case .wouldBlock, .closed:
      waiting = block
      suspend()
      return false
    }
  }

  override package func closed(_ mailbox: MailboxID, _ reason: MailboxCloseReason) {
    guard self.mailbox == mailbox else { return }
    self.mailbox = nil
    // Closed by somebody else: the process is asked to end, as its handler would be.
    if let process { process.signal(options.stopSignal) }
  }

  // MARK: Progress

  private func watchProgress() {
    guard options.progressLimit > 0 else { return }
    startWatch(after: UInt64(options.progressLimit))
  }

  private func startWatch(after milliseconds: UInt64) {
    watch = loop.startTimer(afterMilliseconds: milliseconds) { [weak self] in
      self?.lookForProgress()
    }
  }

  /// One that is silent for too long is killed, and its end is its failure.
  private func lookForProgress() {
    watch = nil
    let silent = (loop.driver.now() - lastProgress) / nanosecondsPerTick
    let limit = UInt64(options.progressLimit)
    if silent >= limit { process?.signal(SIGKILL) } else { startWatch(after: limit - silent) }
  }

  private func stopWatching() {
    if let watch { loop.cancelTimer(watch) }
    watch = nil
  }
}

extension MessageBlock {
  var byteCount: Int { unsafe Int(header.pointee.count) }

  func withBytes<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
    unsafe body(
      UnsafeRawBufferPointer(start: header.pointee.bytes, count: Int(header.pointee.count)))
  }
}
