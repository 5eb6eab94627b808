internal import AloftMembership

/// What is known of a session, two cache lines of it: what a look-up reads is in the first. Its
/// variable parts are blocks of the slabs.
@safe
struct Record: SlabElement {
  var high: UInt64 = 0
  var low: UInt64 = 0
  var version: UInt64 = 0
  /// The name, and the state behind it.
  var block: UnsafeMutableRawPointer?
  var stateLength: UInt32 = 0
  var place: UInt16 = 0
  var phase = SessionPhase.active
  var durability = SessionDurability.replicated
  /// The principal's number in the store's list.
  var principal: UInt32 = 0
  // What the owner alone knows.
  /// Operations that are on their way through the log.
  var inFlight: UInt16 = 0
  /// Requests of the application.
  var holds: UInt16 = 0
  /// When it was last used, in milliseconds of the owner's clock.
  var activeAt: UInt64 = 0
  var idleMs: UInt32 = 0
  var timer: UInt32 = 0

  /// In milliseconds since 1970; 0 for none.
  var deadline: UInt64 = 0
  var keys: UnsafeMutableRawPointer?
  var outbox: UnsafeMutableRawPointer?
  /// The number of the oldest event that isn't acknowledged, or of the next one.
  var firstEvent: UInt64 = 1
  var eventCount: UInt16 = 0
  var outboxEventsMax: UInt16 = 0
  var outboxBytesMax: UInt32 = 0
  var stateMax: UInt32 = 0
  var keyCount: UInt8 = 0
  var keysMax: UInt8 = 0
  var nameLength: UInt8 = 0
  var flags: UInt8 = 0
  var previousOfPrincipal: UInt32 = 0
  var nextOfPrincipal: UInt32 = 0
  /// The first of its connections.
  var attachment: UInt32 = 0
  /// The last snapshot that has it.
  var mark: UInt32 = 0

  /// It can be found.
  static let linked: UInt8 = 1
  /// It can't any more, and is kept until what is in flight has come back.
  static let leaving: UInt8 = 2
  /// It was its time that closed it.
  static let expired: UInt8 = 4
  /// Its owner has put its end into the log, and doesn't know yet what came of it.
  static let ending: UInt8 = 8

  init() {}

  var nextFree: UInt32 {
    get { nextOfPrincipal }
    set {
      nextOfPrincipal = newValue
      flags = 0
    }
  }

  var id: SessionID {
    SessionID(high: high, low: low, place: place)
      ?? SessionID(high: high, low: low, slot: Slot(rawValue: place))
  }

  var blockBytes: Int { Int(nameLength) &+ Int(stateLength) }
  var isLinked: Bool { flags & Self.linked != 0 }
  var nextEvent: UInt64 { firstEvent &+ UInt64(eventCount) }

  @inline(__always)
  func isNamed(_ id: SessionID) -> Bool { high == id.high && low == id.low && place == id.place }
}

/// Whose sessions they are.
struct PrincipalRecord: SlabElement {
  var high: UInt64 = 0
  var low: UInt64 = 0
  /// Of states and events.
  var bytes: UInt64 = 0
  var first: UInt32 = 0
  var sessions: UInt32 = 0

  init() {}

  var nextFree: UInt32 {
    get { first }
    set { first = newValue }
  }

  var principal: Principal { Principal(high: high, low: low) }
}

/// A connection that is attached to a session.
struct Attachment: SlabElement {
  var number: UInt64 = 0
  var incarnation: UInt64 = 0
  var next: UInt32 = 0
  var node: UInt8 = 0

  init() {}

  var nextFree: UInt32 {
    get { next }
    set { next = newValue }
  }
}
