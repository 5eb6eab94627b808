import AloftAtomics
package import AloftQueue

/// What came of a send that may wait.
package enum WaitOutcome: Hashable, Sendable {
  case accepted
  /// There was no room in time.
  case timedOut
  /// The mailbox has ended, or never was.
  case closed
}

/// A message on its way to a mailbox that is full, and whom to tell what came of it. If it is
/// released untold, because a loop has ended, the answer is `closed`.
final class WaitingSend: @unchecked Sendable {
  // @unchecked: handed from thread to thread, and used by the one that has it.
  /// Where there is to be room, and what the block is to name.
  let id: MailboxID
  let target: MailboxID
  let block: MessageBlock
  let priority: UInt8
  /// The tick from which on it is too late.
  let deadline: UInt64
  private var completion: ((WaitOutcome) -> Void)?

  init(
    _ block: MessageBlock, to id: MailboxID, for target: MailboxID, priority: UInt8,
    deadline: UInt64, _ completion: @escaping @Sendable (WaitOutcome) -> Void
  ) {
    self.id = id
    self.target = target
    self.block = block
    self.priority = priority
    self.deadline = deadline
    self.completion = completion
  }

  deinit { finish(.closed) }

  func finish(_ outcome: WaitOutcome) {
    guard let completion else { return }
    self.completion = nil
    if outcome != .accepted { MessageBlock.release(block) }
    completion(outcome)
  }
}

/// Sends that wait for room: in order, each with a deadline, and no loop's thread is held up.
extension EventLoop {
  /// Any thread, never blocks: sends when there is room, in the order of those who wait.
  ///
  /// `completion` is called once: at once on the calling thread, or later on the mailbox's loop. It
  /// must not block. What the same sender sends meanwhile may arrive before.
  package static func send(
    _ message: consuming Message, to id: MailboxID, priority: UInt8 = 1,
    withinMilliseconds limit: UInt64, _ completion: @escaping @Sendable (WaitOutcome) -> Void
  ) {
    let block = message.take()
    switch trySend(block, to: id, priority: priority) {
    case .accepted: completion(.accepted)
    case .closed:
      MessageBlock.release(block)
      completion(.closed)
    case .full, .busy:
      // To another node: by way of the mailbox that leads there.
      guard let mailbox = id.node == 0 ? id : RemoteGateways.mailbox(for: id.node) else {
        MessageBlock.release(block)
        return completion(.closed)
      }
      // Released unrun by a loop that ends, which answers `closed`.
      _ = withLoop(mailbox.loop) { loop in
        let waiting = WaitingSend(
          block, to: mailbox, for: id, priority: priority, deadline: loop.tick(after: limit),
          completion)
        loop.executeUnrefused { loop.await(waiting) }
      }
    // Without a loop of that number the gate would have said `closed`.
    }
  }

  private static func withLoop(_ number: Int, _ body: (EventLoop) -> Void) -> Bool {
    if let loop = current, loop.number == number {
      body(loop)
      return true
    }
    return ForeignThread.withLoop(number, body) != nil
  }

  private func await(_ waiting: WaitingSend) {
    guard let state = unsafe findMailbox(waiting.id),
      unsafe !state.pointee.flags.contains(.draining)
    else { return waiting.finish(.closed) }
    let slot = waiting.id.slot
    guard unsafe state.pointee.flags.contains(.bounded) else {
      return unsafe admit(waiting, slot, state)
    }
    let extras = unsafe extras(slot, state)
    if extras.waitersCount == 0, unsafe takeCredit(slot, state) {
      return unsafe admit(waiting, slot, state)
    }
    extras.append(waiting)
    unsafe hot.pointee.mail.waited.insert(slot)
    watchWaiters()
  }

  private func takeCredit(_ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>) -> Bool {
    if unsafe hot.pointee.mail.hoards.take(mailboxID(slot, state)) { return true }
    let gate = unsafe hot.pointee.mail.gates.gate(slot)
    if case .credits = unsafe gate.reserve(generation: state.pointee.generation, wanted: 1) {
      return true
    }
    return false
  }

  private func admit(
    _ waiting: WaitingSend, _ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>
  ) {
    let block = Self.address(waiting.block, to: waiting.target, waiting.priority)
    unsafe block.header.pointee.arrived = UInt32(truncatingIfNeeded: hot.pointee.tick)
    unsafe enqueue(block, slot, state)
    waiting.finish(.accepted)
  }

  /// Lets in those who wait, oldest first, for so many credits; answers how many are left.
  func admitWaiters(
    _ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>, _ credits: UInt32
  ) -> UInt32 {
    var left = credits
    guard let extras = unsafe hot.pointee.mail.extras[slot] else { return left }
    while left > 0, unsafe !state.pointee.flags.contains(.dead), let next = extras.popFirst() {
      left -= 1
      unsafe admit(next, slot, state)
    }
    if extras.waitersCount == 0 { unsafe hot.pointee.mail.waited.remove(slot) }
    return left
  }

  /// The mailbox takes no more.
  func refuseWaiters(_ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>) {
    guard unsafe state.pointee.flags.contains(.extras),
      let extras = unsafe hot.pointee.mail.extras[slot]
    else { return }
    while let next = extras.popFirst() { next.finish(.closed) }
    unsafe hot.pointee.mail.waited.remove(slot)
  }

  /// While anybody waits, the loop looks once a tick: for those whose time is over, and for credits
  /// that others have given back.
  private func watchWaiters() {
    guard unsafe !hot.pointee.mail.watchesWaiters else { return }
    unsafe hot.pointee.mail.watchesWaiters = true
    let timer = startTimer(afterMilliseconds: 1, period: 0, beyondLimit: true) { [unowned self] in
      unsafe hot.pointee.mail.watchesWaiters = false
      for slot in unsafe hot.pointee.mail.waited { lookAfterWaiters(slot) }
      if unsafe !hot.pointee.mail.waited.isEmpty { watchWaiters() }
    }
    precondition(timer != nil, "the wheel has room for the loop's own timers")
  }

  private func lookAfterWaiters(_ slot: UInt32) {
    let state = unsafe hot.pointee.mail.table.state(slot)
    guard let extras = unsafe hot.pointee.mail.extras[slot] else {
      unsafe hot.pointee.mail.waited.remove(slot)
      return
    }
    while extras.waitersCount > 0, unsafe takeCredit(slot, state) {
      _ = unsafe admitWaiters(slot, state, 1)
    }
    for late in extras.removeLate(unsafe hot.pointee.tick) { late.finish(.timedOut) }
    if extras.waitersCount == 0 { unsafe hot.pointee.mail.waited.remove(slot) }
  }
}

extension MailboxExtras {
  var waitersCount: Int { waiters.count - firstWaiter }

  func append(_ waiting: WaitingSend) {
    waiters.append(waiting)
    nextDeadline = min(nextDeadline, waiting.deadline)
  }

  func popFirst() -> WaitingSend? {
    guard firstWaiter < waiters.count else { return nil }
    let first = waiters[firstWaiter]
    waiters[firstWaiter] = nil
    firstWaiter += 1
    if firstWaiter == waiters.count {
      waiters.removeAll(keepingCapacity: true)
      firstWaiter = 0
      nextDeadline = .max
    } else if firstWaiter >= 64, firstWaiter * 2 >= waiters.count {
      waiters.removeFirst(firstWaiter)
      firstWaiter = 0
    }
    return first
  }

  /// Those whose time is over, oldest first.
  func removeLate(_ tick: UInt64) -> [WaitingSend] {
    guard nextDeadline <= tick else { return [] }
    var late: [WaitingSend] = []
    var kept: [WaitingSend?] = []
    nextDeadline = .max
    for case let waiting? in waiters[firstWaiter...] {
      if waiting.deadline <= tick {
        late.append(waiting)
      } else {
        kept.append(waiting)
        nextDeadline = min(nextDeadline, waiting.deadline)
      }
    }
    waiters = kept
    firstWaiter = 0
    return late
  }
}
