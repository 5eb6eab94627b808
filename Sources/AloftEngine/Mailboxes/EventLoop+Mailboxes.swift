import AloftAtomics
package import AloftQueue
import Synchronization

/// Mailboxes: their beginning, their end, and what is asked of them in between.
extension EventLoop {
  /// Opens a mailbox on this loop, whose thread calls. The handler is kept until `closed`.
  /// - Throws: `invalidOption`; `mailboxLimit` when `mailboxesMax` are open; `closed`.
  package func openMailbox(
    _ options: MailboxOptions = MailboxOptions(), handler: MailboxHandler, context: UInt64 = 0
  ) throws(EngineError) -> MailboxID {
    preconditionOnLoop()
    if unsafe hot.pointee.stopped { throw EngineError(.closed, "the event loop has ended") }
    let index = try place(of: options)
    guard let (slot, generation) = unsafe hot.pointee.mail.table.insert() else {
      throw EngineError(
        .mailboxLimit, "the event loop's \(self.options.mailboxesMax) mailboxes are all in use")
    }
    let state = unsafe hot.pointee.mail.table.state(slot)
    // The slot may still be in the list of those to be served.
    var flags: MailboxFlags = unsafe state.pointee.flags.intersection(.ready).union(.open)
    if options.capacity > 0 {
      flags.insert(options.overflow == .refuse ? .bounded : .dropsOldest)
    }
    if options.highWater > 0 { flags.insert(.marked) }
    unsafe state.initialize(
      to: MailboxState(
        generation: generation, flags: flags, options: index, queue: MailboxQueue(),
        handler: .passRetained(handler), context: context))
    unsafe hot.pointee.mail.table.counts(slot).initialize(to: MailboxCounts())
    unsafe hot.pointee.mail.gates.refusals(slot).pointee.store(0, ordering: .relaxed)
    unsafe hot.pointee.mail.gates.depth(slot).pointee.store(0, ordering: .relaxed)
    unsafe hot.pointee.mail.gates.gate(slot).open(
      generation: generation, capacity: flags.contains(.bounded) ? options.capacity : nil,
      shareLog2: options.shareLog2(loops: max(siblings.count, 1)))
    mailStatistics.opened.add(1)
    return MailboxID(loop: number, slot: slot, generation: generation)
  }

  /// Options are few and mailboxes many: each set is kept once.
  private func place(of options: MailboxOptions) throws(EngineError) -> UInt16 {
    if let last = unsafe hot.pointee.mail.options.indices.last,
      unsafe hot.pointee.mail.options[last] == options
    {
      return UInt16(last)
    }
    if let index = unsafe hot.pointee.mail.options.firstIndex(of: options) {
      return UInt16(index)
    }
    try options.check()
    guard unsafe hot.pointee.mail.options.count <= UInt16.max else {
      throw EngineError(.invalidOption, "more than 65,536 different sets of mailbox options")
    }
    unsafe hot.pointee.mail.options.append(options)
    return unsafe UInt16(hot.pointee.mail.options.count - 1)
  }

  @inline(__always)
  func mailboxID(_ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>) -> MailboxID {
    unsafe MailboxID(loop: number, slot: slot, generation: state.pointee.generation)
  }

  /// The mailbox behind an ID of this loop, unless its end has begun.
  @inline(__always)
  func findMailbox(_ id: MailboxID) -> UnsafeMutablePointer<MailboxState>? {
    guard id.node == 0, id.loop == number, let state = unsafe hot.pointee.mail.table.find(id),
      unsafe !state.pointee.flags.contains(.dead)
    else { return nil }
    return unsafe state
  }

  // MARK: The end

  /// Ends a mailbox: at once, and what waits is dropped; or with `drain` when the handler has been
  /// given all that was sent before. From here on senders are told `closed`. Idempotent.
  package func closeMailbox(_ id: MailboxID, drain: Bool = false) {
    preconditionOnLoop()
    guard let state = unsafe findMailbox(id) else { return }
    guard drain else { return unsafe endMailbox(id.slot, state, reason: []) }
    guard unsafe !state.pointee.flags.contains(.draining) else { return }
    unsafe state.pointee.flags.insert(.draining)
    unsafe closeGate(id.slot, state)
    unsafe refuseWaiters(id.slot, state)
    fence(id)
    unsafe finishDrain(id.slot, state)
  }

  /// `reason` empty: closed.
  func endMailbox(
    _ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>, reason: MailboxFlags
  ) {
    guard unsafe !state.pointee.flags.contains(.dead) else { return }
    unsafe closeGate(slot, state)
    unsafe state.pointee.flags.formUnion(reason.union(.dead))
    unsafe state.pointee.flags.remove(.draining)
    unsafe hot.pointee.mail.finished.append(slot)
    unsafe refuseWaiters(slot, state)
  }

  /// Nobody gets in from here on.
  private func closeGate(_ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>) {
    let gate = unsafe hot.pointee.mail.gates.gate(slot)
    guard unsafe gate.load().isOpen(state.pointee.generation) else { return }
    if unsafe gate.close(generation: state.pointee.generation) {
      unsafe state.pointee.flags.insert(.watched)
    }
  }

  /// When a drained mailbox has nothing left and nothing more can come, it ends.
  func finishDrain(_ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>) {
    let flags = unsafe state.pointee.flags
    guard flags.isSuperset(of: [.draining, .fenced]), !flags.contains(.dead),
      unsafe state.pointee.queue.isEmpty, let handler = unsafe state.pointee.handler
    else { return }
    let id = unsafe mailboxID(slot, state)
    unsafe handler._withUnsafeGuaranteedRef { $0.drained(id) }
    unsafe endMailbox(slot, state, reason: [])
  }

  /// What siblings sent before they saw the gate closed is on its way: each is asked to answer, and
  /// its answer comes behind its messages.
  private func fence(_ id: MailboxID) {
    unsafe hot.pointee.mail.unfenced.append(id)
    if unsafe hot.pointee.mail.fencesLeft == 0 { startFences() }
  }

  private func startFences() {
    guard unsafe !hot.pointee.mail.unfenced.isEmpty else { return }
    unsafe hot.pointee.mail.fencing = unsafe hot.pointee.mail.unfenced
    unsafe hot.pointee.mail.unfenced.removeAll(keepingCapacity: true)
    unsafe hot.pointee.mail.fencesLeft = 1
    for sibling in siblings where sibling !== self {
      unsafe hot.pointee.mail.fencesLeft += 1
      // Released unrun by a loop that has ended, whose messages have arrived or never will.
      let answer = FenceAnswer(self)
      sibling.executeUnrefused { answer.send() }
    }
    fenceAnswered()
  }

  fileprivate func fenceAnswered() {
    unsafe hot.pointee.mail.fencesLeft -= 1
    guard unsafe hot.pointee.mail.fencesLeft == 0 else { return }
    let fenced = unsafe hot.pointee.mail.fencing
    unsafe hot.pointee.mail.fencing = []
    for id in fenced {
      guard let state = unsafe hot.pointee.mail.table.find(id) else { continue }
      unsafe state.pointee.flags.insert(.fenced)
      unsafe finishDrain(id.slot, state)
    }
    startFences()
  }

  /// Answers once, if only because it was released.
  private final class FenceAnswer: @unchecked Sendable {
    // @unchecked: used by one thread, then released.
    private var loop: EventLoop?
    init(_ loop: EventLoop) { self.loop = loop }
    deinit { send() }

    func send() {
      guard let loop else { return }
      self.loop = nil
      loop.executeUnrefused { loop.fenceAnswered() }
    }
  }

  /// Tells `closed` to those whose end has come, and forgets them.
  func deliverFinishedMailboxes() {
    deliverPressure()
    while unsafe !hot.pointee.mail.finished.isEmpty {
      let slots = unsafe hot.pointee.mail.finished
      unsafe hot.pointee.mail.finished.removeAll(keepingCapacity: true)
      for slot in slots { finishMailbox(slot) }
    }
    while let handler = unsafe hot.pointee.mail.retired.popLast() { unsafe handler.release() }
  }

  private func finishMailbox(_ slot: UInt32) {
    let state = unsafe hot.pointee.mail.table.state(slot)
    let id = unsafe mailboxID(slot, state)
    let flags = unsafe state.pointee.flags
    while let block = unsafe state.pointee.queue.pop() { drop(block, slot) }
    unsafe forgetFeeders(slot, state)
    let reason: MailboxCloseReason =
      flags.contains(.failed) ? .failed : flags.contains(.shutdown) ? .shutdown : .closed
    mailStatistics.closed.add(1)
    let handler = unsafe state.pointee.handler
    unsafe forgetMade(handler)
    unsafe handler?._withUnsafeGuaranteedRef { $0.closed(id, reason) }
    unsafe hot.pointee.mail.table.remove(slot)
    unsafe handler?.release()
    if flags.contains(.watched) {
      for hook in unsafe hot.pointee.mail.closedHooks { hook(id, reason) }
    }
  }

  func drop(_ block: MessageBlock, _ slot: UInt32) {
    unsafe hot.pointee.mail.table.counts(slot).pointee.dropped += 1
    mailStatistics.dropped.add(1)
    MessageBlock.release(block)
  }

  /// Has `hook` called on this loop at the end of every mailbox of this loop that is watched,
  /// behind its handler's `closed`. Before the loop starts, or on its thread.
  package func addMailboxClosedHook(
    _ hook: @escaping (MailboxID, MailboxCloseReason) -> Void
  ) {
    unsafe hot.pointee.mail.closedHooks.append(hook)
  }

  /// Any thread: asks that the hooks of the mailbox's loop be told of its end, which they are once,
  /// however often this is asked. False when the end has begun already: they may not be told then.
  package static func watchMailbox(_ id: MailboxID) -> Bool {
    guard id.node == 0, id.generation & 1 != 0, let place = MailboxGates.place(id) else {
      return false
    }
    return place.gate.watch(generation: id.generation)
  }

  /// For tests, which put this mistake in: a credit comes back that nobody took.
  package static func giveBackCredit(_ id: MailboxID) {
    guard let place = MailboxGates.place(id), place.gate.load().isBounded else { return }
    place.gate.giveBack(generation: id.generation, credits: 1)
  }

  /// Any thread: whether the mailbox takes messages.
  package static func isOpen(_ id: MailboxID) -> Bool {
    guard id.node == 0, id.generation & 1 != 0, let place = MailboxGates.place(id) else {
      return false
    }
    return place.gate.load().isOpen(id.generation)
  }

  // MARK: In between

  /// Messages wait from here on, until `resumeMailbox`. Idempotent.
  package func suspendMailbox(_ id: MailboxID) {
    preconditionOnLoop()
    guard let state = unsafe findMailbox(id) else { return }
    unsafe state.pointee.flags.insert(.suspended)
  }

  /// Goes on serving what waits, with another handler if one is given.
  package func resumeMailbox(_ id: MailboxID, handler: MailboxHandler? = nil) {
    preconditionOnLoop()
    guard let state = unsafe findMailbox(id) else { return }
    if let handler {
      if let old = unsafe state.pointee.handler {
        unsafe forgetMade(old)
        unsafe hot.pointee.mail.retired.append(old)
      }
      unsafe state.pointee.handler = .passRetained(handler)
    }
    unsafe state.pointee.flags.remove(.suspended)
    unsafe makeReady(id.slot, state)
  }

  /// What the rim made of a user's handler when it last opened a mailbox, to use it once more.
  package func handlerMade(of key: ObjectIdentifier) -> MailboxHandler? {
    preconditionOnLoop()
    guard unsafe hot.pointee.mail.madeOf == key else { return nil }
    return unsafe hot.pointee.mail.made?.takeUnretainedValue()
  }

  /// The handler is some mailbox's, who keeps it.
  package func noteHandler(_ handler: MailboxHandler, madeOf key: ObjectIdentifier) {
    unsafe hot.pointee.mail.madeOf = key
    unsafe hot.pointee.mail.made = unsafe .passUnretained(handler)
  }

  private func forgetMade(_ handler: Unmanaged<MailboxHandler>?) {
    guard unsafe handler?.toOpaque() == hot.pointee.mail.made?.toOpaque() else { return }
    unsafe hot.pointee.mail.madeOf = nil
    unsafe hot.pointee.mail.made = nil
  }

  /// The word that the mailbox was opened with; 0 when the ID is stale.
  package func mailboxContext(_ id: MailboxID) -> UInt64 {
    unsafe findMailbox(id)?.pointee.context ?? 0
  }

  package func setMailboxContext(_ id: MailboxID, _ context: UInt64) {
    unsafe findMailbox(id)?.pointee.context = context
  }

  /// Nil when the ID is stale.
  package func mailboxStatistics(_ id: MailboxID) -> MailboxStatistics? {
    preconditionOnLoop()
    guard let state = unsafe findMailbox(id) else { return nil }
    let counts = unsafe hot.pointee.mail.table.counts(id.slot).pointee
    let depth = unsafe state.pointee.queue.depth
    let now = UInt32(truncatingIfNeeded: driver.now() / nanosecondsPerTick)
    let age = unsafe state.pointee.queue.oldestArrival.map { now &- $0 } ?? 0
    return unsafe MailboxStatistics(
      received: counts.handled + counts.dropped + UInt64(depth), handled: counts.handled,
      dropped: counts.dropped,
      refused: UInt64(hot.pointee.mail.gates.refusals(id.slot).pointee.load(ordering: .relaxed)),
      depth: depth, oldestAge: age, isSuspended: state.pointee.flags.contains(.suspended))
  }

  package var mailboxCount: Int { unsafe hot.pointee.mail.table.count }
}

extension EventLoop {
  /// Any thread: has `body` run on the mailbox's loop, at once if this is its thread. Released
  /// unrun when there is no such loop.
  package static func withMailboxLoop(
    _ id: MailboxID, _ body: @escaping @Sendable (EventLoop) -> Void
  ) {
    withLoop(numbered: id.loop, body)
  }

  /// Any thread: the same for the loop of a connection, or of anything else.
  package static func withLoop(
    numbered number: Int, _ body: @escaping @Sendable (EventLoop) -> Void
  ) {
    if let loop = current, loop.number == number { return body(loop) }
    _ = ForeignThread.withLoop(number) { loop in
      loop.executeUnrefused { body(loop) }
    }
  }

  /// The loop of a mailbox, if this is its thread.
  @inline(__always)
  package static func unretainedOwner(of id: MailboxID) -> Unmanaged<EventLoop>? {
    unsafe LoopTable.owner(loop: id.loop)
  }
}
