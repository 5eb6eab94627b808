package import AloftAtomics
package import AloftQueue
import Glibc
import Synchronization

/// How one loop is made.
package struct EventLoopOptions: Sendable {
  /// Timers of the user, beside one for each connection.
  package var timersMax = 1 << 20
  package var connectionsMax = 1 << 20
  /// Costs 8 bytes for each 1,024 until they are used.
  package var mailboxesMax = 1 << 24
  /// Words that wait from each sibling loop, and from all foreign threads together.
  package var laneCapacity = 1_024
  package var inboxCapacity = 4_096
  /// For how long at most to poll before sleeping, in nanoseconds; 0 sleeps at once.
  package var busyPollMax: UInt64 = 0

  package init() {}
}

/// One event loop: its connections, timers and jobs, and the turn that serves them.
///
/// Everything here belongs to the loop's thread, but for what says "any thread". It does no I/O of
/// its own: a `Driver` hands events in and carries operations out, so the same code runs on sockets
/// and in a simulation.
@safe
package final class EventLoop: @unchecked Sendable {
  // @unchecked: `hot` is touched by the loop's thread only, which every entry checks; the inbox,
  // the statistics and the flags are atomic; the rest is written before the loop starts.

  /// The loop's number in the process, as IDs carry it.
  package let number: Int
  /// Its place among its siblings.
  package let position: Int
  package let options: EventLoopOptions
  package let driver: any Driver
  package let inbox: LoopInbox
  package let statistics = LoopStatistics()
  let epochs = Epochs.shared
  let epochSlot: Epochs.Slot
  package let mailStatistics = MailStatistics()
  /// Touched on the loop's thread only.
  package let workers = WorkerRoom()
  /// Told on the loop that a mailbox's handler threw; the mailbox is suspended by then. Without it
  /// the mailbox ends. Set on the loop, or before it starts.
  package var onMailboxFailed: ((MailboxID, any Error) -> Void)?
  /// All loops of the runtime, this one included; set before any of them starts.
  package private(set) var siblings: [EventLoop] = []
  /// Jobs that found the inbox full: rare, unbounded, and in order among themselves.
  let overflow = OverflowStack()
  let stopRequested = Atomic<Bool>(false)
  /// Nobody drains the inbox any more.
  let ended = Atomic<Bool>(false)
  private let servingLate = Atomic<Bool>(false)
  let hot: UnsafeMutablePointer<HotState>
  /// Memory of the messages that are made on the loop's thread.
  package let messages: MessagePool

  package init(position: Int, loops: Int, options: EventLoopOptions, driver: any Driver)
    throws(EngineError)
  {
    guard let number = LoopTable.claim() else {
      throw EngineError(
        .loopLimit, "no more event loops: \(ConnectionID.loopsMax) live in this process")
    }
    Self.keyMade
    Fork.isWatched
    self.number = number
    self.position = position
    self.options = options
    self.driver = driver
    messages = unsafe MessageMemory.makeLoopPool(arenaBytes: driver.arena.count)
    epochSlot = epochs.slot(loop: number)
    inbox = LoopInbox(
      owner: position, loops: loops, laneCapacity: options.laneCapacity,
      foreignCapacity: options.inboxCapacity)
    let generation = unsafe LoopTable.entries[number].generation
    unsafe LoopTable.entries[number].lives &+= 1
    let lives = unsafe LoopTable.entries[number].lives
    unsafe hot = .allocate(capacity: 1)
    unsafe hot.initialize(
      to: HotState(
        driver: driver,
        timersMax: options.timersMax + options.connectionsMax + Self.ownTimersMax,
        generation: generation, lives: lives, number: number,
        mailboxesMax: options.mailboxesMax))
    beginArena()
    let address = unsafe UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque())
    unsafe LoopTable.entries[number].receiver.store(address, ordering: .releasing)
  }

  /// One for each listener, the end of draining, and senders that wait for room.
  private static let ownTimersMax = 64 + 2

  deinit {
    closeDoor()
    unsafe LoopTable.entries[number].generation = unsafe hot.pointee.lastGeneration
    endArena()
    unsafe hot.deinitialize(count: 1)
    unsafe hot.deallocate()
    messages.end()
    LoopTable.release(number)
  }

  package func setSiblings(_ loops: [EventLoop]) {
    siblings = loops
    for loop in loops where loop !== self { unsafe hot.pointee.mail.outboxes.add(loop) }
  }

  /// Loops know each other in a circle; the runtime opens it when they have ended.
  package func forgetSiblings() {
    closeDoor()
    unsafe hot.pointee.mail.outboxes.removeAll()
    siblings = []
  }

  /// No thread finds the loop by its number any more, and none that has found it is still with it.
  private func closeDoor() {
    unsafe LoopTable.entries[number].receiver.store(0, ordering: .sequentiallyConsistent)
    ForeignThread.waitUntilGone(from: number)
  }

  // MARK: The thread

  // Atomic and not lazy, which would cost each message a call. No key has the number of this.
  private static let currentKey = Atomic<pthread_key_t>(.max)

  /// Made with the first loop.
  private static let keyMade: Void = {
    var key = pthread_key_t()
    precondition(unsafe pthread_key_create(&key, nil) == 0, "no thread-specific key left")
    currentKey.store(key, ordering: .releasing)
  }()

  /// Where the loop whose thread this is lies in memory; 0 elsewhere. Counts no reference.
  static var currentAddress: UInt {
    unsafe UInt(bitPattern: pthread_getspecific(currentKey.load(ordering: .relaxed)))
  }

  /// The loop whose thread this is.
  package static var current: EventLoop? {
    unsafe unretainedCurrent?.takeUnretainedValue()
  }

  /// The same, unretained: for what happens with each message.
  @inline(__always)
  static var unretainedCurrent: Unmanaged<EventLoop>? {
    guard let pointer = unsafe pthread_getspecific(currentKey.load(ordering: .relaxed)) else {
      return nil
    }
    return unsafe Unmanaged<EventLoop>.fromOpaque(pointer)
  }

  @inline(__always)
  package var isCurrent: Bool {
    unsafe LoopTable.entries[number].thread.load(ordering: .relaxed) == UInt(pthread_self())
  }

  /// Makes the calling thread the loop's, before the driver runs.
  package func enterThread() {
    unsafe LoopTable.entries[number].loop = unsafe .passUnretained(self)
    unsafe LoopTable.entries[number].thread.store(UInt(pthread_self()), ordering: .releasing)
    unsafe pthread_setspecific(
      Self.currentKey.load(ordering: .relaxed), Unmanaged.passUnretained(self).toOpaque())
    unsafe hot.pointee.poolBefore = MessageMemory.enter(messages.address)
  }

  /// The thread is no loop's any more: it is a forked child's.
  static func forgetCurrent() {
    pthread_setspecific(currentKey.load(ordering: .relaxed), nil)
  }

  /// The reverse, after the driver has run.
  package func leaveThread() {
    leaveEpoch()
    pthread_setspecific(Self.currentKey.load(ordering: .relaxed), nil)
    messages.giveBorrowedBack()
    _ = unsafe MessageMemory.enter(hot.pointee.poolBefore)
    unsafe LoopTable.entries[number].thread.store(0, ordering: .releasing)
    unsafe LoopTable.entries[number].loop = nil
  }

  @inline(__always)
  func preconditionOnLoop() {
    precondition(isCurrent, "called off the event loop's own thread")
  }

  /// On the loop's thread, after the driver has run for the last time.
  package func end() {
    // Those first who have to do with a pool while it is there.
    workers.loopEnded()
    for pool in unsafe hot.pointee.pools { pool.home?.loopEnded() }
    unsafe hot.pointee.pools.removeAll()
    // What timers keep often keeps this loop in turn.
    withExtendedLifetime(unsafe hot.pointee.timers.removeAll()) {}
    // Nobody else serves what comes late before this thread is through with its own.
    _ = servingLate.exchange(true, ordering: .sequentiallyConsistent)
    ended.store(true, ordering: .sequentiallyConsistent)
    flushOutboxes()
    while let word = unsafe hot.pointee.jobs.popFirst() { serveLate(word) }
    _ = servingLate.exchange(false, ordering: .sequentiallyConsistent)
    serveLateWords()
  }

  /// Whoever sends and then finds the loop ended does this, so that no word stays behind: one
  /// thread at a time, and whoever comes meanwhile leaves its word to that one.
  func serveLateWords() {
    // What is served may drop the last reference to this loop.
    let hold = unsafe Unmanaged.passRetained(self)
    defer { unsafe hold.release() }
    repeat {
      guard !servingLate.exchange(true, ordering: .sequentiallyConsistent) else { return }
      unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: 64) { words in
        while true {
          let count = unsafe inbox.drain(into: words)
          if count == 0 { break }
          for index in 0..<count { unsafe serveLate(words[index]) }
        }
      }
      overflow.drain { serveLate($0) }
      _ = servingLate.exchange(false, ordering: .sequentiallyConsistent)
    } while !inbox.isEmpty || !overflow.isEmpty
  }

  // MARK: The turn

  /// Takes a turn: events in, handlers called, operations out. `final` is false for a turn in the
  /// middle of a poll, which serves the events alone.
  package func turn(_ events: UnsafePointer<Event>, count: Int, final: Bool) {
    inbox.awake()
    enterEpoch()
    readClock()
    unsafe hot.pointee.inTurn = true
    defer { unsafe hot.pointee.inTurn = false }
    if count > 0 { unsafe hot.pointee.lastWork = unsafe hot.pointee.now }
    for index in 0..<count { unsafe dispatch(events + index) }
    // Answers leave before anything else is seen to: somebody waits for them.
    tellTurnEnds()
    submit()
    flushOutboxes()
    if final {
      statistics.turns.add(1)
      if hasJobs { runJobs() }
      if unsafe hot.pointee.wheel.count > 0 { fireTimers() }
      if stopRequested.load(ordering: .acquiring) { shutDown() }
    }
    settle()
    if final, unsafe hot.pointee.table.count == 0 { reportEmpty() }
    flushOutboxes()
    settleMessages(final: final)
  }

  private func readClock() {
    let now = driver.now()
    unsafe hot.pointee.now = now
    unsafe hot.pointee.tick = now / nanosecondsPerTick
  }

  /// A host's own callbacks may ask for things between two turns, when the clock that time-outs
  /// count from is as old as the last turn.
  @inline(__always)
  func readClockBetweenTurns() {
    if unsafe !hot.pointee.inTurn { readClock() }
  }

  /// Milliseconds that the loop may sleep: 0 for not at all, -1 for without bound.
  package func prepareToSleep() -> Int64 {
    announceEpoch()
    if unsafe hot.pointee.jobs.count > 0 || hot.pointee.stopped { return 0 }
    // Asked for between turns, by a host's own callbacks: the turn after the poll sees to it.
    if unsafe hot.pointee.batch.count > 0 || !hot.pointee.finished.isEmpty
      || !hot.pointee.turnEnds.isEmpty
    {
      return 0
    }
    if !mailIsAtRest { return 0 }
    var sleep: Int64 = -1
    if let deadline = unsafe hot.pointee.wheel.nextDeadline() {
      let now = driver.now() / nanosecondsPerTick
      if deadline <= now { return 0 }
      sleep = Int64(min(deadline - now, UInt64(Int32.max)))
    }
    sleep = boundedByTrim(sleep)
    if options.busyPollMax > 0, keepsPolling() { return 0 }
    guard inbox.prepareToSleep() else { return 0 }
    if !overflow.isEmpty {
      inbox.awake()
      return 0
    }
    leaveEpoch()
    statistics.sleeps.add(1)
    unsafe hot.pointee.slept = true
    return sleep
  }

  /// Adaptive polling, as the kernel's halt-polling does it: the window grows when a sleep turned
  /// out short enough to have been polled through, and shrinks when polling was in vain.
  private func keepsPolling() -> Bool {
    let now = driver.now()
    let idle = unsafe now &- hot.pointee.lastWork
    if unsafe hot.pointee.slept {
      unsafe hot.pointee.slept = false
      // Work came just now, after a sleep: polling would have met it if it was near.
      let window = unsafe max(hot.pointee.spin * 2, options.busyPollMax / 8)
      unsafe hot.pointee.spin = min(window, options.busyPollMax)
    }
    if unsafe idle < hot.pointee.spin { return true }
    unsafe hot.pointee.spin = unsafe hot.pointee.spin / 2
    return false
  }

  /// Carries out what the handlers asked for, and tells them what came of it, until nothing is
  /// left. Nothing may be left: the driver gives closed slots to new connections, and its arena to
  /// new bytes, as soon as the turn is over. It comes to an end, since every round closes a
  /// connection, and no slot is used twice in a turn.
  func settle() {
    repeat {
      tellTurnEnds()
      submit()
      deliverFinished()
      deliverWritable()
      if unsafe hot.pointee.mail.hasNews { deliverFinishedMailboxes() }
    } while unsafe hot.pointee.batch.count > 0 || !hot.pointee.finished.isEmpty
      || hot.pointee.mail.hasNews || !hot.pointee.turnEnds.isEmpty
    while let handler = unsafe hot.pointee.retired.popLast() { unsafe handler.release() }
  }

  private func reportEmpty() {
    guard let onEmpty = unsafe hot.pointee.onEmpty else { return }
    unsafe hot.pointee.onEmpty = nil
    onEmpty()
    settle()
  }

  // MARK: The end

  /// Any thread: has the loop close what is open and end its driver's run.
  package func requestStop() {
    stopRequested.store(true, ordering: .releasing)
    driver.wake()
  }

  private func shutDown() {
    guard unsafe !hot.pointee.stopped else { return }
    // From here on nothing begins, whatever handlers and jobs ask for.
    unsafe hot.pointee.stopped = true
    for index in unsafe hot.pointee.listeners.indices { closeListener(UInt16(index)) }
    unsafe hot.pointee.table.forEach { slot, state in
      unsafe drop(slot, state, .shutdown)
    }
    unsafe hot.pointee.mail.table.forEach { slot, state in
      unsafe endMailbox(slot, state, reason: .shutdown)
    }
    settle()
    // Swift's jobs must run somewhere; a task that goes on for ever is not waited for.
    for _ in 0..<Self.lastRounds {
      runJobs()
      settle()
      if unsafe hot.pointee.jobs.count == 0 && inbox.isEmpty && overflow.isEmpty { break }
    }
    driver.stop()
  }

  private static let lastRounds = 1_024

  /// Calls `action` once when no connection is left: at the end of this turn, or of a later one.
  package func whenEmpty(_ action: @escaping () -> Void) {
    preconditionOnLoop()
    unsafe hot.pointee.onEmpty = action
  }

  package var connectionCount: Int { unsafe hot.pointee.table.count }
}
