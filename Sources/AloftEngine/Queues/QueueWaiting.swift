package import AloftAtomics
package import AloftQueue
import Synchronization

/// Those who wait at a queue, in the order in which they came. The lock guards the lists; the
/// counts are looked at without it, so that whoever comes later doesn't overtake.
///
/// Why no wake-up is lost is told at `MPMCRingCore`'s functions for those who wait.
package final class QueueWaiting: @unchecked Sendable {
  // @unchecked: the lock.
  private let lock = QueueLock()
  private var poppers = QueueWaiterList()
  private var pushers = QueueWaiterList()
  private let poppersCount = Atomic<Int>(0)
  private let pushersCount = Atomic<Int>(0)

  package init() {}

  /// How many wait for a message, and how many for room.
  package var counts: (forMessage: Int, forRoom: Int) {
    (poppersCount.load(ordering: .relaxed), pushersCount.load(ordering: .relaxed))
  }

  /// With the lock held, after the lists have changed.
  private func publishCounts() {
    poppersCount.store(poppers.count, ordering: .relaxed)
    pushersCount.store(pushers.count, ordering: .relaxed)
  }

  /// What a push or pop leaves to be done, without the lock.
  package enum After {
    case nothing
    case pushed(RingPush)
    case popped(RingPop)
  }

  /// One try to push, or to pop when `block` is nil. No outcome when it has to wait.
  package func tryOnce(
    _ block: MessageBlock?, at queue: borrowing MPMCQueue
  ) -> (QueueWaiter.Outcome?, After) {
    if let block {
      let answer = queue.offer(block, exactly: true)
      switch answer {
      case .accepted, .acceptedMustServe: return (.served(nil), .pushed(answer))
      case .full: return (nil, .nothing)
      case .busy: return (.again, .nothing)
      case .closed: return (.closed, .nothing)
      }
    }
    var block: MessageBlock?
    let answer = queue.pop(&block, exactly: true)
    switch answer {
    case .item, .itemMustServe: return (.served(block), .popped(answer))
    case .empty: return (nil, .nothing)
    case .busy: return (.again, .nothing)
    case .closed: return (.closed, .nothing)
    }
  }

  /// The same for one who waits behind the others, if there are any: it tries only while nobody
  /// else of its kind waits.
  package func tryInTurn(
    _ block: MessageBlock?, at queue: borrowing MPMCQueue
  ) -> (QueueWaiter.Outcome?, After) {
    let others = block == nil ? counts.forMessage : counts.forRoom
    return others == 0 ? tryOnce(block, at: queue) : (nil, .nothing)
  }

  /// No outcome when it is entered and will be resumed by somebody else.
  package func enter(
    _ waiter: QueueWaiter, at queue: borrowing MPMCQueue
  ) -> (QueueWaiter.Outcome?, After) {
    lock.lock()
    defer { lock.unlock() }
    if let early = waiter.early { return (early, .nothing) }
    let isPopper = waiter.block == nil
    if isPopper ? poppers.count == 0 : pushers.count == 0 {
      let (outcome, after) = tryOnce(waiter.block, at: queue)
      if outcome != nil { return (outcome, after) }
      // From now on whoever pushes, or pops, serves the list. `false`: things have changed.
      if !(isPopper ? queue.ring.expectItems() : queue.ring.expectRoom()) { return (.again, after) }
    }
    if isPopper { poppers.append(waiter) } else { pushers.append(waiter) }
    publishCounts()
    return (nil, .nothing)
  }

  /// Gives up, unless it has been served already; then the answer is false. One that has not come
  /// to wait yet won't.
  @discardableResult
  package func leave(
    _ waiter: QueueWaiter, _ outcome: QueueWaiter.Outcome, at queue: borrowing MPMCQueue
  ) -> Bool {
    let wasListed = strikeOut(waiter, outcome, at: queue)
    if wasListed { waiter.resume(outcome) }
    return wasListed
  }

  private func strikeOut(
    _ waiter: QueueWaiter, _ outcome: QueueWaiter.Outcome, at queue: borrowing MPMCQueue
  ) -> Bool {
    lock.lock()
    defer { lock.unlock() }
    guard waiter.isListed else {
      waiter.early = outcome
      return false
    }
    if waiter.block == nil {
      poppers.remove(waiter)
      if poppers.count == 0 { queue.ring.expectNoItems() }
    } else {
      pushers.remove(waiter)
      if pushers.count == 0 { queue.ring.expectNoRoom() }
    }
    publishCounts()
    return true
  }

  /// Hands out what there is to those who wait, until nobody waits or nothing is left to give.
  package func serve(at queue: borrowing MPMCQueue) {
    // Without the lock: who is resumed may run at once, and come back here.
    for served in takeReady(at: queue) { served.waiter.resume(served.outcome) }
  }

  private typealias Served = (waiter: QueueWaiter, outcome: QueueWaiter.Outcome)

  private func takeReady(at queue: borrowing MPMCQueue) -> [Served] {
    lock.lock()
    defer { lock.unlock() }
    var ready: [Served] = []
    var more = true
    while more {
      var count = poppers.count
      _ = queue.ring.serveItems(&count) { word in
        let outcome = word.map { QueueWaiter.Outcome.served(MessageBlock(address: $0)) }
        ready.append((poppers.removeFirst(), outcome ?? .closed))
      }
      count = pushers.count
      more = queue.ring.serveRoom(&count) {
        unsafe pushers.first.unsafelyUnwrapped.block.unsafelyUnwrapped.word
      } entered: { entered in
        ready.append((pushers.removeFirst(), entered ? .served(nil) : .closed))
      }
    }
    publishCounts()
    return ready
  }
}
