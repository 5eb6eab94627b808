import AloftAtomics
import AloftQueue
import Synchronization

/// Work from elsewhere, a word each. The low bits say what the word is.
extension EventLoop {
  package enum Tag {
    /// A retained `Job`.
    static let job: UInt = 0
    /// A Swift concurrency job of an actor.
    static let executor: UInt = 1
    /// A descriptor and its listener: an accepted connection handed from loop to loop.
    static let descriptor: UInt = 2
    /// A message and the reference to it.
    static let message: UInt = 3
    /// A Swift concurrency job of a task that prefers the loop.
    static let task: UInt = 4
    /// A retained `Job` that is run even when the loop has ended.
    static let sureJob: UInt = 5
    static let mask: UInt = 7
  }

  final class Job {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  /// Any thread: has `body` run on the loop, after what the same thread sent before. Never blocks.
  /// - Throws: `inboxFull` with the capacity, `closed` when the loop has ended.
  package func execute(_ body: sending @escaping () -> Void) throws(EngineError) {
    let job = unsafe Unmanaged.passRetained(Job(body))
    let word = unsafe UInt(bitPattern: job.toOpaque())
    guard !stopRequested.load(ordering: .acquiring) || isCurrent else {
      unsafe job.release()
      throw EngineError(.closed, "the event loop has ended")
    }
    guard send(word) else {
      unsafe job.release()
      throw EngineError(
        .inboxFull,
        "the event loop's inbox is full: \(options.inboxCapacity) from foreign threads, "
          + "\(options.laneCapacity) from each sibling")
    }
  }

  /// Any thread: the same without a limit, for callers of whom each has at most one such job under
  /// way, such as a suspended task. After the loop's end the job is released unrun.
  package func executeUnrefused(_ body: sending @escaping () -> Void) {
    let word = unsafe UInt(bitPattern: Unmanaged.passRetained(Job(body)).toOpaque())
    sendUnrefused(word)
  }

  /// Any thread: the same, and after the loop's end `body` is run all the same: by the thread that
  /// sends it or by the loop's own, one at a time with all else that comes late.
  package func executeSurely(_ body: sending @escaping () -> Void) {
    let word = unsafe UInt(bitPattern: Unmanaged.passRetained(Job(body)).toOpaque())
    sendUnrefused(word | Tag.sureJob)
  }

  /// Any thread: runs a job of Swift concurrency, which can't be refused. After the loop's end such
  /// jobs run on the threads that enqueue them, still one at a time.
  func enqueueJob(_ job: UnownedJob, _ tag: UInt) {
    let word = unsafe unsafeBitCast(job, to: UInt.self) | tag
    // Executors are unowned: the job may hold the last reference to this loop, and after the end
    // it runs, and drops it, before this call has returned.
    let hold = isCurrent ? nil : unsafe Unmanaged.passRetained(self)
    sendUnrefused(word)
    unsafe hold?.release()
  }

  func sendUnrefused(_ word: UInt) {
    if isCurrent, !ended.load(ordering: .relaxed) {
      unsafe hot.pointee.jobs.append(word)
      return
    }
    if overflow.isEmpty, send(word) { return }
    overflow.push(word)
    driver.wake()
    if ended.load(ordering: .sequentiallyConsistent) { serveLateWords() }
  }

  /// False when there is no room.
  private func send(_ word: UInt) -> Bool {
    if isCurrent, !ended.load(ordering: .relaxed) {
      unsafe hot.pointee.jobs.append(word)
      return true
    }
    defer {
      if ended.load(ordering: .sequentiallyConsistent) { serveLateWords() }
    }
    let result =
      // What runs late on a loop's own thread is nobody's lane.
      if let from = EventLoop.current, from !== self, from.position < siblings.count,
        siblings[from.position] === from
      {
        from.sendBehindMessages(word, to: self)
          ? .accepted : inbox.push(word, fromLoop: from.position)
      } else {
        inbox.pushForeign(word)
      }
    switch result {
    case .accepted: return true
    case .acceptedMustWake:
      driver.wake()
      return true
    case .full: return false
    }
  }

  /// On the loop: tasks that are resumed until `endHandOver` run before the other jobs.
  func beginHandOver() { unsafe hot.pointee.jobs.handsOver += 1 }
  func endHandOver() { unsafe hot.pointee.jobs.handsOver -= 1 }

  var hasJobs: Bool {
    unsafe hot.pointee.jobs.count > 0 || hot.pointee.mail.ready.count > 0 || !inbox.isEmpty
      || !overflow.isEmpty
  }

  /// Runs what waits, and what that adds, up to a turn's fair share: jobs, what has come in, and
  /// mailboxes, in rounds, so that none of them waits until another has no more to do.
  func runJobs() {
    var jobs = Self.jobsPerTurn
    var messages = Self.messagesPerTurn
    repeat {
      var round = unsafe min(hot.pointee.jobs.count, jobs)
      jobs -= round
      while round > 0, let word = unsafe hot.pointee.jobs.popFirst() {
        round -= 1
        run(word)
      }
      let received = drainInbox()
      if unsafe hot.pointee.mail.ready.count > 0 { messages -= serveMailboxes(messages) }
      flushOutboxes()
      if received == 0 {
        overflow.drain { word in unsafe hot.pointee.jobs.append(word) }
        if unsafe hot.pointee.jobs.count == 0 && hot.pointee.mail.ready.count == 0 { break }
      }
    } while jobs > 0 && messages > 0
    if jobs < Self.jobsPerTurn || messages < Self.messagesPerTurn {
      unsafe hot.pointee.lastWork = unsafe hot.pointee.now
    }
  }

  /// Answers how many words came.
  private func drainInbox() -> Int {
    unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: Self.drainMax) { words in
      var received = 0
      repeat {
        let count = unsafe inbox.drain(into: words)
        unsafe sort(words, count)
        received += count
        if count < Self.drainMax { break }
      } while received < Self.wordsPerRound
      return received
    }
  }

  /// Messages go to their mailboxes at once, jobs wait their turn.
  private func sort(_ words: UnsafeMutableBufferPointer<UInt>, _ count: Int) {
    // Each header's line is in the sender's cache. Writing to all of them first has the lines come
    // at the same time; one after the other, each would be waited for.
    let tick = unsafe UInt32(truncatingIfNeeded: hot.pointee.tick)
    for index in 0..<count {
      let word = unsafe words[index]
      if word & Tag.mask == Tag.message {
        let block = MessageBlock(address: word & ~Tag.mask)
        unsafe block.header.pointee.arrived = tick
      }
    }
    // The mailboxes that they are for are many, too, and may be in no cache.
    var touched: UInt = 0
    for index in 0..<count {
      let word = unsafe words[index]
      if word & Tag.mask == Tag.message {
        let block = MessageBlock(address: word & ~Tag.mask)
        touched ^= unsafe hot.pointee.mail.table.touch(block.header.pointee.target)
      }
    }
    unsafe hot.pointee.touched = touched
    for index in 0..<count {
      let word = unsafe words[index]
      if word & Tag.mask == Tag.message {
        deliver(MessageBlock(address: word & ~Tag.mask))
      } else {
        unsafe hot.pointee.jobs.append(word)
      }
    }
  }

  private static let jobsPerTurn = 4_096
  private static let messagesPerTurn = 16_384
  /// Words taken in before the mailboxes they are for are served.
  private static let wordsPerRound = 1_024
  /// Words of a temporary buffer: above 1,024 bytes it would come from the heap, each turn.
  private static let drainMax = 128

  private func run(_ word: UInt) {
    switch word & Tag.mask {
    case Tag.job, Tag.sureJob: runJob(word)
    case Tag.executor, Tag.task: runTaskJob(word)
    case Tag.message:
      let block = MessageBlock(address: word & ~Tag.mask)
      unsafe block.header.pointee.arrived = UInt32(truncatingIfNeeded: hot.pointee.tick)
      deliver(block)
    default:
      adopt(descriptor: Int32(truncatingIfNeeded: word >> 16), listener: UInt16(word >> 3 & 0xFF))
    }
  }

  private func runJob(_ word: UInt) {
    let pointer = unsafe UnsafeRawPointer(bitPattern: word & ~Tag.mask)!
    unsafe Unmanaged<Job>.fromOpaque(pointer).takeRetainedValue().body()
  }

  // MARK: Connections from a listener that all loops share

  /// Deals accepted descriptors out in turn.
  func handed(descriptor: Int32, listener: UInt16) {
    let target = siblings.isEmpty ? self : siblings[nextTarget()]
    let word = UInt(UInt32(bitPattern: descriptor)) << 16 | UInt(listener) << 3 | Tag.descriptor
    if target === self || !target.send(word) { adopt(descriptor: descriptor, listener: listener) }
  }

  private func adopt(descriptor: Int32, listener: UInt16) {
    guard unsafe Int(listener) < hot.pointee.listeners.count,
      unsafe hot.pointee.listeners[Int(listener)] != nil
    else {
      driver.discard(descriptor: descriptor)
      return
    }
    switch driver.adopt(descriptor: descriptor) {
    case .success(let slot): accepted(slot, listener: listener)
    case .failure(let status), .invalidAddress(let status):
      driver.discard(descriptor: descriptor)
      unsafe refused(Event(.refused, tag: listener, status: status))
    }
  }

  private func nextTarget() -> Int {
    let target = unsafe hot.pointee.nextSibling
    unsafe hot.pointee.nextSibling = target + 1 == siblings.count ? 0 : target + 1
    return target
  }

  private func runTaskJob(_ word: UInt) {
    let job = unsafe unsafeBitCast(word & ~Tag.mask, to: UnownedJob.self)
    if word & Tag.mask == Tag.task {
      unsafe job.runSynchronously(on: asUnownedTaskExecutor())
    } else {
      unsafe job.runSynchronously(
        isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
    }
  }

  /// What becomes of a word that came after the end. Whoever waits for a job sees to it that its
  /// release answers them.
  func serveLate(_ word: UInt) {
    switch word & Tag.mask {
    case Tag.job:
      let pointer = unsafe UnsafeRawPointer(bitPattern: word)!
      unsafe Unmanaged<Job>.fromOpaque(pointer).release()
    case Tag.sureJob: runJob(word)
    case Tag.executor, Tag.task: runTaskJob(word)
    case Tag.message:
      deadLetter(MessageBlock(address: word & ~Tag.mask))
    default:
      driver.discard(descriptor: Int32(truncatingIfNeeded: word >> 16))
    }
  }
}
