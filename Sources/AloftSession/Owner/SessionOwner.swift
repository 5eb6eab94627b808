package import AloftMembership

/// What a node does for the sessions of its slots: takes what is asked of them, makes entries of
/// it, answers when they have come back, and ends what nobody uses. Events in, actions out: it
/// sends nothing and waits for nothing.
///
/// Only the owner of a slot puts operations of its sessions into the log, one entry a turn, several
/// on their way. What an operation does is decided when its entry is applied, by all nodes alike.
/// The owner refuses at once what it can: when nothing of a session is in flight, it knows all
/// there is to know of it.
///
/// **Threads**: one, the home loop's. **Time**: nanoseconds of a clock that never jumps.
package final class SessionOwner {
  package let store: SessionStore
  package let limits: SessionLimits
  /// Milliseconds since 1970 less those of the clock; set once, so a clock that is set jumps nobody
  /// out of his session.
  let wallOffsetMs: UInt64
  let lease: UInt64

  /// This node may accept: it's a member, and its lease has not run out.
  package var isAccepting = false
  /// Nodes whose disks count.
  package var voters = 1
  /// News are kept for ``nextNews()``.
  package var tellsNews = false

  /// Which life of which node this is.
  package internal(set) var identity = NodeIdentity.none
  /// The last change of members or slots that was applied: to be announced.
  package internal(set) var epoch = Epoch(rawValue: 0)
  var slots = OwnedSlots()
  /// A snapshot has brought another fence.
  var isFenceNew = false
  /// By slot: operations that are on their way.
  var slotInFlight = Array(repeating: UInt32(0), count: Slot.count)

  // What is on its way.
  var building = RawWriter(capacity: 64 << 10)
  var buildingOperations: [PendingOperation] = []
  /// In order: those that were given out, and those that wait for room.
  var entries: [OwnEntry] = []
  /// The first one that is to be given out.
  var nextToSend = 0
  var lastSequence: UInt64 = 0
  var retryAt: UInt64 = 0
  /// Bytes that wait or are on their way, and how many operations.
  var pendingBytes = 0
  package internal(set) var pendingOperations = 0
  var pendingCreates = 0
  var room = PrincipalRoom()

  var answers = Drain<SessionAnswer>()
  var news = Drain<SessionNews>()
  var scratch = RawWriter()
  /// Slots whose sessions have no timers yet.
  var unarmed: [Slot] = []
  var placer = SlotPlacer()
  var now: UInt64 = 0
  /// Sessions that were expired.
  package internal(set) var expiries: UInt64 = 0

  /// - Parameters:
  ///   - wallOffsetMs: milliseconds since 1970 at the clock's 0.
  ///   - lease: for how long a node may go on accepting that a majority has turned away from.
  package init(
    store: SessionStore, limits: SessionLimits = SessionLimits(), wallOffsetMs: UInt64,
    lease: UInt64
  ) {
    self.store = store
    self.limits = limits
    self.wallOffsetMs = wallOffsetMs
    self.lease = lease
  }

  /// Until nil, after whatever was called.
  package func nextAnswer() -> SessionAnswer? { answers.next() }

  package func nextNews() -> SessionNews? { news.next() }

  /// Until nil, after `clusterChanged`, `announced`, `isGone` and `tick`.
  package func nextSlotEvent() -> SlotEvent? { slots.events.next() }

  var nowMs: UInt64 { now / 1_000_000 }
}

/// What has become of this node's sessions.
package enum SessionNews: Hashable, Sendable {
  case created(SessionID)
  /// Its state or its phase.
  case changed(SessionID)
  /// It has this event for its client.
  case published(SessionID, UInt64)
  case closed(SessionID, isExpired: Bool)
}

/// What was put in, in order, until it is empty.
struct Drain<Element> {
  private var elements: [Element] = []
  private var first = 0

  var isEmpty: Bool { first == elements.count }

  @inline(__always)
  mutating func add(_ element: Element) { elements.append(element) }

  @inline(__always)
  mutating func next() -> Element? {
    guard first < elements.count else { return nil }
    first &+= 1
    let element = elements[first &- 1]
    if first == elements.count {
      elements.removeAll(keepingCapacity: elements.count < 1 << 16)
      first = 0
    }
    return element
  }
}
