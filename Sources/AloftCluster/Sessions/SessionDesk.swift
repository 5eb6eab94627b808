import AloftEngine
import AloftMembership
package import AloftSession

/// What a program does for a session that this node serves is to begin, to go on, or to end.
package enum SessionHandling: Hashable, Sendable {
  /// This node serves it from now on: it was made, or another node served it before.
  case started(SessionID, isNew: Bool)
  /// Its state or its phase.
  case changed(SessionID)
  case published(SessionID, UInt64)
  /// It's over.
  case ended(SessionID, isExpired: Bool)
  /// Another node serves it, or will.
  case stopped(SessionID)
}

/// Which sessions of this node's slots the program has been told of. Slots come with many sessions
/// at a time, at a failover: those are told of some at a time, so that the loop does other work
/// between.
@safe
final class SessionDesk: @unchecked Sendable {
  // @unchecked: used on the home loop alone.
  private unowned let sessions: ClusterSessions
  private let told: (SessionHandling) -> Void
  /// By the place in their numbers: a slot, or this node.
  private var running: [UInt16: Set<SessionID>] = [:]
  /// Slots whose sessions are yet to be told of, and those of the first of them.
  private var slots: [Slot] = []
  private var ids: [SessionID] = []
  private var isStarting = false
  private var isOver = false

  /// Told of between two turns of the loop.
  private static let startsPerTurn = 256

  init(_ sessions: ClusterSessions, _ told: @escaping (SessionHandling) -> Void) {
    self.sessions = sessions
    self.told = told
  }

  // MARK: Slots

  func ready(_ slot: Slot) {
    slots.append(slot)
    goOnLater()
  }

  func lost(_ slot: Slot) {
    slots.removeAll { $0 == slot }
    for id in running.removeValue(forKey: slot.rawValue) ?? [] { told(.stopped(id)) }
  }

  private func goOnLater() {
    if isStarting || isOver { return }
    isStarting = true
    sessions.node.loop.executeUnrefused { [weak self] in
      guard let self else { return }
      isStarting = false
      goOn()
    }
  }

  private func goOn() {
    var left = Self.startsPerTurn
    while left > 0, !isOver {
      if let id = ids.popLast() {
        left -= 1
        // Its slot may have been lost in between, or itself.
        if let slot = id.slot, sessions.isReady(slot), sessions.isThere(id) {
          start(id, isNew: false)
        }
      } else if let slot = slots.popLast() {
        ids = sessions.store.list(slot: slot)
      } else {
        return
      }
    }
    goOnLater()
  }

  private func start(_ id: SessionID, isNew: Bool) {
    guard running[id.place, default: []].insert(id).inserted else { return }
    told(.started(id, isNew: isNew))
  }

  // MARK: Sessions

  func happened(_ news: SessionNews) {
    switch news {
    case .created(let id): start(id, isNew: true)
    case .changed(let id): if isRunning(id) { told(.changed(id)) }
    case .published(let id, let number): if isRunning(id) { told(.published(id, number)) }
    case .closed(let id, let isExpired): end(id, isExpired: isExpired)
    }
  }

  private func isRunning(_ id: SessionID) -> Bool { running[id.place]?.contains(id) == true }

  private func end(_ id: SessionID, isExpired: Bool) {
    guard running[id.place]?.remove(id) != nil else { return }
    if running[id.place]?.isEmpty == true { running[id.place] = nil }
    told(.ended(id, isExpired: isExpired))
  }

  /// The store is another one: some have ended, and others are new.
  func restored() {
    for id in running.values.flatMap({ $0 }) where !sessions.isThere(id) {
      end(id, isExpired: false)
    }
    for number in 0..<UInt16(Slot.count) {
      let slot = Slot(rawValue: number)
      if sessions.isReady(slot) { slots.append(slot) }
    }
    goOnLater()
  }

  /// The node has come to its end, or somebody else is to be told.
  func stop() {
    isOver = true
    let all = running
    running = [:]
    for id in all.values.flatMap({ $0 }) { told(.stopped(id)) }
  }
}

extension ClusterSessions {
  /// Has `told` told of the sessions that this node serves: of those that it does already at first.
  /// Nil: of none any more.
  package func serve(_ told: ((SessionHandling) -> Void)?) {
    desk?.stop()
    desk = nil
    onNews = nil
    guard let told, !hasStopped else { return }
    let made = SessionDesk(self, told)
    desk = made
    onNews = { [weak made] in made?.happened($0) }
    made.restored()
  }

  func isReady(_ slot: Slot) -> Bool { readySlots[Int(slot.rawValue)] }

  /// It's known here, and not over.
  func isThere(_ id: SessionID) -> Bool {
    guard let ref = store.find(id) else { return false }
    return store.info(ref).phase != .closed
  }

  /// A session of this node's as it is, with whose it is; nil when there is none.
  package func look(
    _ id: SessionID, _ body: (Principal, SessionView) -> Void
  ) {
    guard let ref = store.find(id) else { return }
    let principal = store.info(ref).principal
    view(ref) { _, view in
      if let view { body(principal, view) }
    }
  }
}
