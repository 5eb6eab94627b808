import AloftAtomics
package import AloftQueue
import Synchronization

/// Messages in: from the inbox to their mailboxes, and from there to the handlers.
extension EventLoop {
  /// A message has come to this loop, and its `arrived` says when.
  @inline(__always)
  func deliver(_ block: MessageBlock) {
    let id = unsafe block.header.pointee.target
    if id.node != 0 { return deliverToWay(block) }
    guard let state = unsafe hot.pointee.mail.table.find(id),
      unsafe !state.pointee.flags.contains(.dead)
    else { return deadLetter(block) }
    unsafe enqueue(block, id.slot, state)
  }

  @inline(never)
  func deadLetter(_ block: MessageBlock) {
    mailStatistics.deadLetters.add(1)
    MessageBlock.release(block)
  }

  @inline(__always)
  func enqueue(
    _ block: MessageBlock, _ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>
  ) {
    unsafe state.pointee.queue.push(block)
    let flags = unsafe state.pointee.flags
    if flags.isDisjoint(with: [.ready, .suspended]) {
      unsafe state.pointee.flags.insert(.ready)
      unsafe hot.pointee.mail.ready.append(UInt(slot))
    }
    if !flags.isDisjoint(with: [.dropsOldest, .marked, .measured]) {
      unsafe enqueuedMore(slot, state)
    }
  }

  @inline(never)
  private func enqueuedMore(_ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>) {
    let options = unsafe hot.pointee.mail.options[Int(state.pointee.options)]
    if unsafe state.pointee.flags.contains(.dropsOldest),
      unsafe state.pointee.queue.depth > Int(options.capacity),
      let oldest = unsafe state.pointee.queue.dropOldest()
    {
      drop(oldest, slot)
    }
    if unsafe state.pointee.flags.contains(.measured) { unsafe publishDepth(slot, state) }
    if unsafe state.pointee.flags.intersection([.marked, .aboveHigh]) == .marked,
      unsafe state.pointee.queue.depth >= Int(options.highWater)
    {
      unsafe pressureChanged(slot, state, isHigh: true)
    }
  }

  /// Has the loop serve the mailbox, if there is anything to serve.
  func makeReady(_ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>) {
    guard unsafe !state.pointee.queue.isEmpty,
      unsafe state.pointee.flags.isDisjoint(with: [.ready, .suspended])
    else { return }
    unsafe state.pointee.flags.insert(.ready)
    unsafe hot.pointee.mail.ready.append(UInt(slot))
  }

  /// Gives each mailbox that has messages its share, in turn, up to `limit` messages in all.
  /// Answers how many, or 1 where a handler took none.
  func serveMailboxes(_ limit: Int) -> Int {
    var left = limit
    // Those that become ready meanwhile have their turn in the next round.
    var round = unsafe hot.pointee.mail.ready.count
    var ahead = 0
    while left > 0, round > 0 {
      if ahead == 0 {
        ahead = min(Self.aheadMax, round)
        if ahead > 1 { lookAhead(ahead) }
      }
      guard let word = unsafe hot.pointee.mail.ready.popFirst() else { break }
      ahead -= 1
      round -= 1
      let slot = UInt32(truncatingIfNeeded: word)
      let state = unsafe hot.pointee.mail.table.state(slot)
      unsafe state.pointee.flags.remove(.ready)
      guard unsafe state.pointee.isServed, unsafe !state.pointee.queue.isEmpty else { continue }
      left -= max(unsafe serve(slot, state, left), 1)
    }
    return max(limit - left, 1)
  }

  /// So many loads a core keeps under way, by and large.
  private static let aheadMax = 16

  /// Reads what the next mailboxes' turns will want first: their counters and the first bytes of
  /// their first messages. One after the other each would be waited for.
  private func lookAhead(_ count: Int) {
    var touched: UInt = 0
    for place in 0..<min(count, unsafe hot.pointee.mail.ready.count) {
      let slot = UInt32(truncatingIfNeeded: unsafe hot.pointee.mail.ready[place])
      touched ^= unsafe UInt(hot.pointee.mail.table.counts(slot).pointee.handled)
      let state = unsafe hot.pointee.mail.table.state(slot)
      if let first = unsafe state.pointee.queue.first, unsafe first.header.pointee.count > 0 {
        touched ^= unsafe UInt(first.header.pointee.bytes.load(as: UInt8.self))
      }
    }
    unsafe hot.pointee.touched = touched
  }

  /// Answers how many the handler has taken.
  private func serve(
    _ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>, _ left: Int
  ) -> Int {
    let options = unsafe Int(state.pointee.options)
    let limit = unsafe min(left, Int(hot.pointee.mail.options[options].turnMax))
    var batch = unsafe MessageBatch(mailboxID(slot, state), state, limit: limit)
    var failure: (any Error)?
    if let handler = unsafe state.pointee.handler {
      do {
        try unsafe handler._withUnsafeGuaranteedRef { try $0.received(&batch) }
      } catch {
        failure = error
      }
    }
    // The slot is the mailbox's until the end of the turn, whatever the handler did.
    let taken = limit - batch.left
    unsafe hot.pointee.mail.table.counts(slot).pointee.handled &+= UInt64(taken)
    mailStatistics.handled.add(UInt64(taken))
    if let failure { unsafe failed(slot, state, failure) }
    unsafe madeRoom(slot, state, taken)
    if unsafe state.pointee.isServed { unsafe makeReady(slot, state) }
    return taken
  }

  /// So many messages have been taken: lets others in, and feeders go on.
  private func madeRoom(
    _ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>, _ taken: Int
  ) {
    let flags = unsafe state.pointee.flags
    if flags.isDisjoint(with: [.bounded, .aboveHigh, .draining, .measured]) { return }
    if flags.contains(.measured) { unsafe publishDepth(slot, state) }
    if flags.contains(.bounded), taken > 0 { unsafe giveBack(slot, state, UInt32(taken)) }
    if flags.contains(.aboveHigh) {
      let low = unsafe hot.pointee.mail.options[Int(state.pointee.options)].lowWater
      if unsafe state.pointee.queue.depth <= Int(low) {
        unsafe pressureChanged(slot, state, isHigh: false)
      }
    }
    if flags.contains(.draining) { unsafe finishDrain(slot, state) }
  }

  private func giveBack(
    _ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>, _ credits: UInt32
  ) {
    var credits = credits
    if unsafe state.pointee.flags.contains(.extras) {
      credits = unsafe admitWaiters(slot, state, credits)
    }
    guard credits > 0 else { return }
    unsafe hot.pointee.mail.gates.gate(slot).giveBack(
      generation: state.pointee.generation, credits: credits)
  }

  /// A handler threw: its mailbox waits for whoever restarts it, or ends.
  private func failed(
    _ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>, _ error: any Error
  ) {
    mailStatistics.failed.add(1)
    guard unsafe !state.pointee.flags.contains(.dead) else { return }
    unsafe state.pointee.flags.insert(.suspended)
    if let onMailboxFailed {
      onMailboxFailed(unsafe mailboxID(slot, state), error)
    } else {
      unsafe endMailbox(slot, state, reason: .failed)
    }
  }
}

extension EventLoop {
  /// The next message of a mailbox, suspended or not, handed to the caller with its reference; nil
  /// when none waits.
  package func takeMessage(_ id: MailboxID) -> MessageBlock? {
    preconditionOnLoop()
    guard let state = unsafe findMailbox(id), let block = unsafe state.pointee.queue.pop() else {
      return nil
    }
    unsafe hot.pointee.mail.table.counts(id.slot).pointee.handled &+= 1
    mailStatistics.handled.add(1)
    unsafe madeRoom(id.slot, state, 1)
    return block
  }

  /// For threads that choose among mailboxes by what waits.
  private func publishDepth(_ slot: UInt32, _ state: UnsafeMutablePointer<MailboxState>) {
    let depth = unsafe UInt32(truncatingIfNeeded: state.pointee.queue.depth)
    unsafe hot.pointee.mail.gates.depth(slot).pointee.store(depth, ordering: .relaxed)
  }
}
