package import AloftQueue
import AloftSupervision
import Synchronization

/// What a loop knows of supervision: the supervisors that live on it, the ends that somebody waits
/// for, and its processes. Touched on its thread only.
package final class WorkerRoom {
  /// Those at the top of their trees, kept alive while they run.
  package var supervisors: [ObjectIdentifier: Supervisor] = [:]
  package let ends = EndWatches()
  var processes: [UInt64: ChildProcess] = [:]
  var lastProcess: UInt64 = 0

  /// On the loop's thread, after its last turn. Supervisors that have not come to their end never
  /// will: they are let go of, for they hold the loop.
  func loopEnded() {
    let left = supervisors
    supervisors = [:]
    for supervisor in left.values { supervisor.loopEnded() }
    ends.loopEnded()
  }
}

/// Who waits for the end of what, on the loop of that.
///
/// A watch is told once. When nobody can tell it any more, because the loop has ended, its own
/// deinitialisation does.
package final class EndWatches {
  private var mailboxes: [UInt64: Watchers] = [:]
  private var connections: [UInt64: Watchers] = [:]
  private var ofLoop = Watchers()
  private var isHooked = false

  /// Those who watch one thing. Those that are over are left out when there are twice as many as
  /// the last time, so that it costs each watch the same.
  private struct Watchers {
    var all: [EndWatch] = []
    private var pruneAt = 8

    mutating func append(_ watch: EndWatch) {
      if all.count >= pruneAt {
        all.removeAll(where: \.isOver)
        pruneAt = max(8, 2 * all.count)
      }
      all.append(watch)
    }
  }

  /// On the mailbox's loop.
  package func add(_ watch: EndWatch, mailbox id: MailboxID, on loop: EventLoop) {
    loop.preconditionOnLoop()
    if !isHooked {
      isHooked = true
      loop.addMailboxClosedHook { [weak self] id, reason in self?.ended(id, reason) }
    }
    // Once watched it can't end unheard.
    guard EventLoop.watchMailbox(id) else { return watch.tell(.gone) }
    mailboxes[id.rawValue, default: Watchers()].append(watch)
  }

  /// On the connection's loop.
  package func add(_ watch: EndWatch, connection id: ConnectionID, on loop: EventLoop) {
    loop.preconditionOnLoop()
    guard loop.watchConnection(id) else { return watch.tell(.gone) }
    connections[id.rawValue, default: Watchers()].append(watch)
  }

  /// On the loop: has `watch` told of its end, by the loop's own thread.
  package func add(_ watch: EndWatch, endOf loop: EventLoop) {
    loop.preconditionOnLoop()
    ofLoop.append(watch)
  }

  /// On the loop's thread, after its last turn.
  func loopEnded() {
    let told = ofLoop.all
    ofLoop = Watchers()
    for watch in told { watch.tell(.shutdown) }
  }

  private func ended(_ id: MailboxID, _ reason: MailboxCloseReason) {
    guard let told = mailboxes.removeValue(forKey: id.rawValue) else { return }
    let end: EndReason =
      switch reason {
      case .closed: .closed
      case .failed: .failed
      case .shutdown: .shutdown
      }
    for watch in told.all { watch.tell(end) }
  }

  /// A worker's handler has failed, and its mailbox goes on: links hear of it, monitors don't.
  func failed(_ id: MailboxID) {
    guard let all = mailboxes[id.rawValue]?.all, all.contains(where: \.hearsFailures) else {
      return
    }
    mailboxes[id.rawValue]?.all = all.filter { !$0.hearsFailures }
    for watch in all where watch.hearsFailures { watch.tell(.failed) }
  }

  func ended(_ id: ConnectionID, _ reason: CloseReason) {
    guard let told = connections.removeValue(forKey: id.rawValue) else { return }
    for watch in told.all { watch.tell(.connection(reason)) }
  }
}

/// How what was watched has ended.
package enum EndReason: Hashable, Sendable {
  /// It had ended before the watch began, or never was.
  case gone
  case closed
  case failed
  case shutdown
  case connection(CloseReason)
}

/// One who waits for an end. Told once, whatever happens; nothing is told after `cancel`.
package final class EndWatch: @unchecked Sendable {
  // @unchecked: the flag is atomic; the action is immutable and called once.
  private let isTold = Atomic<Bool>(false)
  let hearsFailures: Bool
  private let isMoot: (() -> Bool)?
  private let action: (EndReason) -> Void

  /// - Parameter isMoot: whether nobody would care any more; any thread.
  package init(
    hearsFailures: Bool = false, isMoot: (() -> Bool)? = nil,
    _ action: @escaping (EndReason) -> Void
  ) {
    self.hearsFailures = hearsFailures
    self.isMoot = isMoot
    self.action = action
  }

  deinit { tell(.shutdown) }

  var isOver: Bool { isTold.load(ordering: .relaxed) || isMoot?() ?? false }

  package func tell(_ reason: EndReason) {
    guard !isTold.exchange(true, ordering: .acquiringAndReleasing) else { return }
    action(reason)
  }

  /// False when it has been told.
  @discardableResult
  package func cancel() -> Bool {
    !isTold.exchange(true, ordering: .acquiringAndReleasing)
  }
}

extension EventLoop {
  /// Has `EndWatches` told of the connection's end. False when that has begun.
  func watchConnection(_ id: ConnectionID) -> Bool {
    guard id.loop == number, isAlive(id), let state = unsafe find(id) else { return false }
    unsafe state.pointee.isWatched = true
    return true
  }
}
