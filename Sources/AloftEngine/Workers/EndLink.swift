package import AloftQueue
import Synchronization

/// Two mailboxes of which neither is to go on without the other.
package enum EndLink {
  /// Any thread. The first end, or failure of a worker's handler, undoes the link and ends the
  /// other: a worker fails, unless it traps that; a mailbox is closed. A mailbox that has ended
  /// already ends the other at once.
  @discardableResult
  package static func make(_ a: MailboxID, _ b: MailboxID) -> @Sendable () -> Void {
    let pair = Pair()
    let first = watch(a, pair, ends: b)
    let second = watch(b, pair, ends: a)
    pair.watches = [first, second]
    EventLoop.monitor(a, first)
    EventLoop.monitor(b, second)
    return { _ = pair.undo() }
  }

  private final class Pair: @unchecked Sendable {
    // @unchecked: set before the first watch begins, and emptied by the one who undoes it.
    var watches: [EndWatch] = []
    private let isUndone = Atomic<Bool>(false)

    /// False for all but the first.
    func undo() -> Bool {
      guard !isUndone.exchange(true, ordering: .acquiringAndReleasing) else { return false }
      for watch in watches { watch.cancel() }
      // The watches hold the pair.
      watches = []
      return true
    }
  }

  private static func watch(_ id: MailboxID, _ pair: Pair, ends other: MailboxID) -> EndWatch {
    EndWatch(hearsFailures: true) { reason in
      guard pair.undo(), reason != .shutdown else { return }
      EventLoop.withMailboxLoop(other) { loop in loop.endLinked(other, because: id) }
    }
  }
}

/// Carries a watch to the loop where it belongs; when it doesn't get there, there is nothing left
/// to watch.
private final class MonitorErrand: Sendable {
  private let watch: EndWatch
  private let hasArrived = Atomic<Bool>(false)

  init(_ watch: EndWatch) { self.watch = watch }

  deinit {
    if !hasArrived.load(ordering: .acquiring) { watch.tell(.gone) }
  }

  func run(_ add: (EndWatch) -> Void) {
    hasArrived.store(true, ordering: .releasing)
    add(watch)
  }
}

extension EventLoop {
  /// Any thread: has `watch` told of the mailbox's end, or that it has ended before.
  package static func monitor(_ id: MailboxID, _ watch: EndWatch) {
    // A job that finds no loop, or one that has ended, is released unrun.
    let errand = MonitorErrand(watch)
    withMailboxLoop(id) { loop in
      errand.run { loop.workers.ends.add($0, mailbox: id, on: loop) }
    }
  }

  /// The same for a connection.
  package static func monitor(_ id: ConnectionID, _ watch: EndWatch) {
    let errand = MonitorErrand(watch)
    withLoop(numbered: id.loop) { loop in
      errand.run { loop.workers.ends.add($0, connection: id, on: loop) }
    }
  }

  /// The same for this loop: it is told on its thread when that has no more turn.
  package func monitorEnd(_ watch: EndWatch) {
    let errand = MonitorErrand(watch)
    let add = { @Sendable [self] in errand.run { workers.ends.add($0, endOf: self) } }
    if isCurrent, !ended.load(ordering: .relaxed) { return add() }
    executeUnrefused(add)
  }

  fileprivate func endLinked(_ id: MailboxID, because other: MailboxID) {
    guard let state = unsafe findMailbox(id) else { return }
    if let worker = unsafe state.pointee.handler?.takeUnretainedValue() as? MailboxWorker {
      worker.linkEnded(other)
    } else {
      closeMailbox(id)
    }
  }
}
