import AloftAtomics
package import AloftQueue
import Synchronization

/// Messages out: to mailboxes of this loop, of its siblings, and from foreign threads.
extension EventLoop {
  /// Any thread, never blocks: sends a message, which is released when it isn't accepted. Messages
  /// of one sender and priority arrive in the order in which they were sent.
  /// - Parameter priority: 0, served first, to 3.
  @discardableResult
  @inline(__always)
  package static func send(
    _ message: consuming Message, to id: MailboxID, priority: UInt8 = 1
  ) -> SendResult {
    let block = message.take()
    let result = send(block, to: id, priority: priority)
    if result != .accepted { MessageBlock.release(block) }
    return result
  }

  /// The same with a reference that stays the caller's when it isn't accepted.
  package static func send(
    _ block: MessageBlock, to id: MailboxID, priority: UInt8 = 1
  ) -> SendResult {
    let result = trySend(block, to: id, priority: priority)
    if result == .full, id.node == 0 { MailboxGates.place(id)?.countRefusals() }
    return result
  }

  /// The same with a copy of `bytes`. One for another node needs no block of its own.
  @inline(__always)
  package static func send(
    copying bytes: UnsafeRawBufferPointer, to id: MailboxID, priority: UInt8 = 1
  ) -> SendResult {
    if id.node != 0 {
      return unsafe RemoteGateways.send(copying: bytes, to: id, priority: priority)
    }
    return send(Message(adopting: unsafe newMessage(copying: bytes)), to: id, priority: priority)
  }

  /// The same without counting a refusal.
  /// - Parameter target: what the block is to name, if that is not where it goes: a mailbox of
  ///   another node, by way of one of this.
  @inline(__always)
  static func trySend(
    _ block: MessageBlock, to id: MailboxID, priority: UInt8, for target: MailboxID? = nil
  ) -> SendResult {
    guard let loop = unsafe unretainedCurrent else {
      return sendForeign(block, to: id, priority: priority, for: target ?? id)
    }
    return unsafe loop._withUnsafeGuaranteedRef {
      $0.send(block, to: id, priority: priority, for: target ?? id)
    }
  }

  /// On this loop's own thread.
  @inline(__always)
  func send(
    _ shared: MessageBlock, to id: MailboxID, priority: UInt8, for target: MailboxID
  ) -> SendResult {
    guard id.loop == number else {
      return sendAway(shared, to: id, priority: priority, for: target)
    }
    guard let state = unsafe findMailbox(id), unsafe !state.pointee.flags.contains(.draining)
    else {
      return id.node == 0 ? .closed : RemoteGateways.send(shared, to: id, priority: priority)
    }
    if unsafe state.pointee.flags.contains(.bounded) {
      let result = unsafe reserve(id, hot.pointee.mail.gates.gate(id.slot))
      if result != .accepted { return result }
    }
    let block = Self.address(shared, to: target, priority)
    if unsafe !hot.pointee.inTurn { readClockBetweenTurns() }
    unsafe block.header.pointee.arrived = UInt32(truncatingIfNeeded: hot.pointee.tick)
    unsafe enqueue(block, id.slot, state)
    return .accepted
  }

  /// Takes over the reference and writes the address. A block is linked through its own header, so
  /// one that others refer to as well goes in an envelope.
  @inline(__always)
  static func address(
    _ shared: MessageBlock, to id: MailboxID, _ priority: UInt8
  ) -> MessageBlock {
    let block = own(shared)
    if block != shared { MessageBlock.release(shared) }
    unsafe block.header.pointee.target = id
    unsafe block.header.pointee.priority = priority
    return block
  }

  /// The block itself if nobody else refers to it, else an envelope beside it.
  @inline(__always)
  static func own(_ block: MessageBlock) -> MessageBlock {
    if unsafe block.references.pointee.load(ordering: .acquiring) == 1 { return block }
    return MessageBlock.envelope(of: block)
  }

  /// Takes a credit: one that is kept, or from the gate, and a few more to keep.
  @inline(__always)
  func reserve(_ id: MailboxID, _ gate: MailboxGate) -> SendResult {
    if unsafe hot.pointee.mail.hoards.take(id) { return .accepted }
    return reserveMore(id, gate)
  }

  @inline(never)
  private func reserveMore(_ id: MailboxID, _ gate: MailboxGate) -> SendResult {
    let share = unsafe hot.pointee.mail.hoards.hasRoom ? gate.load().share : 1
    switch gate.reserve(generation: id.generation, wanted: share) {
    case .closed: return .closed
    case .full: return .full
    case .credits(let count):
      if count > 1 { unsafe hot.pointee.mail.hoards.keep(id, count - 1) }
      return .accepted
    }
  }

  @inline(__always)
  private func sendAway(
    _ shared: MessageBlock, to id: MailboxID, priority: UInt8, for target: MailboxID
  ) -> SendResult {
    guard let box = unsafe hot.pointee.mail.outboxes.find(id.loop) else {
      return Self.sendForeign(shared, to: id, priority: priority, for: target)
    }
    guard id.node == 0, id.generation & 1 != 0, let place = MailboxGates.place(id) else {
      return id.node == 0 ? .closed : RemoteGateways.send(shared, to: id, priority: priority)
    }
    let word = place.gate.load()
    guard word.isOpen(id.generation) else { return .closed }
    guard unsafe !box.pointee.isFull else { return .busy }
    if word.isBounded {
      let result = reserve(id, place.gate)
      if result != .accepted { return result }
    }
    let block = Self.address(shared, to: target, priority)
    unsafe gather(block.word | Tag.message, box)
    return .accepted
  }

  @inline(__always)
  private func gather(_ word: UInt, _ box: UnsafeMutablePointer<Outbox>) {
    unsafe box.pointee.append(word)
    if unsafe box.pointee.count % Outbox.gatherMax == 0 {
      unsafe flush(box)
    } else if unsafe !box.pointee.listed {
      unsafe list(box)
    }
  }

  private func list(_ box: UnsafeMutablePointer<Outbox>) {
    unsafe box.pointee.listed = true
    let number = unsafe box.pointee.target._withUnsafeGuaranteedRef { $0.number }
    let count = unsafe hot.pointee.mail.outboxes.pendingCount
    unsafe hot.pointee.mail.outboxes.pending[count] = UInt8(truncatingIfNeeded: number)
    unsafe hot.pointee.mail.outboxes.pendingCount = count + 1
  }

  /// Hands over as much as the sibling's lane takes; the rest stays, in order.
  @inline(never)
  private func flush(_ box: UnsafeMutablePointer<Outbox>) {
    let target = unsafe box.pointee.target
    unsafe target._withUnsafeGuaranteedRef { target in
      let result = unsafe target.inbox.push(
        contentsOf: box.pointee.pending, fromLoop: position)
      unsafe box.pointee.removeFirst(result.accepted)
      if result.mustWake { target.driver.wake() }
      if target.ended.load(ordering: .sequentiallyConsistent) {
        // Nobody drains that lane any more but who finds words in it.
        while unsafe box.pointee.count > 0 {
          target.serveLateWords()
          let more = unsafe target.inbox.push(
            contentsOf: box.pointee.pending, fromLoop: position)
          unsafe box.pointee.removeFirst(more.accepted)
        }
        target.serveLateWords()
      }
    }
    if unsafe box.pointee.count > 0 && !box.pointee.listed { unsafe list(box) }
  }

  /// Hands over what this turn has gathered. What a full lane leaves is tried again.
  @inline(__always)
  func flushOutboxes() {
    if unsafe hot.pointee.mail.outboxes.pendingCount > 0 { flushPending() }
  }

  @inline(never)
  private func flushPending() {
    let count = unsafe hot.pointee.mail.outboxes.pendingCount
    unsafe hot.pointee.mail.outboxes.pendingCount = 0
    var spilled = 0
    // What is listed anew goes to the places that were read already.
    for index in 0..<count {
      let number = unsafe Int(hot.pointee.mail.outboxes.pending[index])
      guard let box = unsafe hot.pointee.mail.outboxes.find(number) else { continue }
      unsafe box.pointee.listed = false
      if unsafe box.pointee.count > 0 { unsafe flush(box) }
      spilled += unsafe box.pointee.count
    }
    mailStatistics.spilled.store(UInt64(spilled), ordering: .relaxed)
  }

  /// A word for a sibling that must not overtake the messages gathered for it; false when it is for
  /// the caller to push.
  func sendBehindMessages(_ word: UInt, to target: EventLoop) -> Bool {
    guard let box = unsafe hot.pointee.mail.outboxes.find(target.number),
      unsafe box.pointee.count > 0
    else { return false }
    unsafe flush(box)
    if unsafe box.pointee.count == 0 { return false }
    unsafe gather(word, box)
    return true
  }

  /// Before the loop sleeps: hands over what is gathered and gives back what is not needed. False
  /// when there is more to do at once.
  var mailIsAtRest: Bool {
    flushOutboxes()
    if unsafe hot.pointee.mail.hoards.listedCount > 0 {
      unsafe hot.pointee.mail.hoards.giveAllBack()
    }
    return unsafe hot.pointee.mail.ready.count == 0 && !hot.pointee.mail.hasNews
      && hot.pointee.mail.outboxes.pendingCount == 0
  }

  // MARK: Foreign threads

  /// From a thread that is none of the target's siblings.
  static func sendForeign(
    _ shared: MessageBlock, to id: MailboxID, priority: UInt8, for target: MailboxID
  ) -> SendResult {
    guard id.node == 0, id.generation & 1 != 0, let place = MailboxGates.place(id) else {
      return id.node == 0 ? .closed : RemoteGateways.send(shared, to: id, priority: priority)
    }
    let word = place.gate.load()
    guard word.isOpen(id.generation) else { return .closed }
    if word.isBounded {
      switch place.gate.reserve(generation: id.generation, wanted: 1) {
      case .closed: return .closed
      case .full: return .full
      case .credits: break
      }
    }
    let result = ForeignThread.withLoop(id.loop) { loop in
      let block = own(shared)
      unsafe block.header.pointee.target = target
      unsafe block.header.pointee.priority = priority
      let isIn = loop.pushForeign(block.word | Tag.message)
      // The caller keeps its own when it is refused, and only then.
      if block != shared { MessageBlock.release(isIn ? shared : block) }
      return isIn ? SendResult.accepted : .busy
    }
    if result != .accepted, word.isBounded {
      place.gate.giveBack(generation: id.generation, credits: 1)
    }
    return result ?? .closed
  }

  private func pushForeign(_ word: UInt) -> Bool {
    let result = inbox.pushForeign(word)
    if result == .acceptedMustWake { driver.wake() }
    if ended.load(ordering: .sequentiallyConsistent) { serveLateWords() }
    return result != .full
  }
}
