import AloftAtomics
package import AloftQueue
import Synchronization

/// Sends from one thread that is no loop's, and gathers: up to 256 messages for a loop take one
/// exchange on its inbox instead of one each. Keeps the loops alive.
///
/// One thread at a time. What was accepted is on its way when `flush` says so, or 256 messages
/// later at the latest; `deinit` flushes, and then nothing is refused.
@safe
package final class ForeignSender {
  /// Handed over when so many are gathered for a loop, at the latest. More than between loops: to
  /// wake a loop that sleeps costs as much as some fifty messages, and it may take the core.
  static let gatherMax = 256
  private let loops: [EventLoop]
  /// In memory of its own: an access to a variable of an object is checked for exclusivity.
  private let desk: UnsafeMutablePointer<Desk>

  private struct Desk: ~Copyable {
    /// By the loop's number.
    var outboxes = OutboxTable()
    var hoards = HoardTable()
  }

  package init(_ loops: [EventLoop]) {
    self.loops = loops
    unsafe desk = .allocate(capacity: 1)
    unsafe desk.initialize(to: Desk())
    for loop in loops { unsafe desk.pointee.outboxes.add(loop) }
  }

  deinit {
    flushFinally()
    unsafe desk.deinitialize(count: 1)
    unsafe desk.deallocate()
  }

  private func flushFinally() {
    for loop in loops {
      guard let box = unsafe desk.pointee.outboxes.find(loop.number) else { continue }
      let isDone = unsafe push(box)
      if isDone { continue }
      for index in 0..<(unsafe box.pointee.count) {
        loop.sendUnrefused(unsafe box.pointee.pending[index])
      }
    }
    unsafe desk.pointee.hoards.giveAllBack()
  }

  /// A reference that stays the caller's when it isn't accepted.
  package func send(
    _ shared: MessageBlock, to id: MailboxID, priority: UInt8 = 1
  ) -> SendResult {
    guard let box = unsafe desk.pointee.outboxes.find(id.loop) else {
      return EventLoop.send(shared, to: id, priority: priority)
    }
    guard id.node == 0, id.generation & 1 != 0, let place = MailboxGates.place(id) else {
      return id.node == 0 ? .closed : EventLoop.send(shared, to: id, priority: priority)
    }
    let word = place.gate.load()
    guard word.isOpen(id.generation) else { return .closed }
    if unsafe box.pointee.count >= Self.gatherMax {
      guard unsafe push(box) else { return .busy }
    }
    if word.isBounded {
      let result = reserve(id, place.gate)
      guard result == .accepted else {
        if result == .full { place.countRefusals() }
        return result
      }
    }
    let block = EventLoop.address(shared, to: id, priority)
    unsafe box.pointee.append(block.word | EventLoop.Tag.message)
    if unsafe box.pointee.count == Self.gatherMax { unsafe push(box) }
    return .accepted
  }

  private func reserve(_ id: MailboxID, _ gate: MailboxGate) -> SendResult {
    if unsafe desk.pointee.hoards.take(id) { return .accepted }
    let share = unsafe desk.pointee.hoards.hasRoom ? gate.load().share : 1
    switch gate.reserve(generation: id.generation, wanted: share) {
    case .closed: return .closed
    case .full: return .full
    case .credits(let count):
      if count > 1 { unsafe desk.pointee.hoards.keep(id, count - 1) }
      return .accepted
    }
  }

  /// Hands over what is gathered, and gives back what it kept of bounded mailboxes' room. False
  /// when an inbox is full: the rest is kept, in order.
  @discardableResult
  package func flush() -> Bool {
    var isDone = true
    for loop in loops {
      guard let box = unsafe desk.pointee.outboxes.find(loop.number) else { continue }
      if unsafe box.pointee.count > 0 { isDone = unsafe push(box) && isDone }
    }
    if unsafe desk.pointee.hoards.listedCount > 0 { unsafe desk.pointee.hoards.giveAllBack() }
    return isDone
  }

  @discardableResult
  private func push(_ box: UnsafeMutablePointer<Outbox>) -> Bool {
    unsafe box.pointee.target._withUnsafeGuaranteedRef { loop in
      let result = unsafe loop.inbox.pushForeign(contentsOf: box.pointee.pending)
      unsafe box.pointee.removeFirst(result.accepted)
      if result.mustWake { loop.driver.wake() }
      if loop.ended.load(ordering: .sequentiallyConsistent) { loop.serveLateWords() }
    }
    return unsafe box.pointee.count == 0
  }
}
