internal import AloftMembership

/// What is known of a session, two cache lines of it: what a look-up reads is in the first. Its
/// variable parts are blocks of the slabs.
@safe
struct Record {
  var high: UInt64 = 0
  var low: UInt64 = 0
  var version: UInt64 = 0
  /// The name and the state behind it.
  var block: UnsafeMutableRawPointer?
  var stateLength: UInt32 = 0
  var place: UInt16 = 0
  var phase = SessionPhase.active
  var durability = SessionDurability.replicated
  /// The principal's number in the store's own list.
  var principal: UInt32 = 0
  /// Operations of this node that are on their way through the log. Its own, as are the next three.
  var inFlight: UInt16 = 0
  /// Requests of the application.
  var holds: UInt16 = 0
  /// When the session was last used, in the milliseconds of the wheel.
  var activeAt: UInt64 = 0
  var idleMs: UInt32 = 0
  var timer: UInt32 = 0

  /// In milliseconds since 1970; 0 for none.
  var deadline: UInt64 = 0
  var keys: UnsafeMutableRawPointer?
  var outbox: UnsafeMutableRawPointer?
  /// The number of the oldest event that is not acknowledged, or of the next one.
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
  /// The first connection that is attached, this node's own.
  var attachment: UInt32 = 0
  /// The last snapshot that has it.
  var mark: UInt32 = 0

  static let inUse: UInt8 = 1
  /// No longer to be found, and kept until what is in flight has come back.
  static let unlinked: UInt8 = 2

  init() {}

  var id: SessionID {
    SessionID(high: high, low: low, place: place) ?? SessionID(high: high, low: low, slot: Slot(rawValue: 0))
  }

  var isInUse: Bool { flags & Self.inUse != 0 }
  var blockBytes: Int { Int(nameLength) + Int(stateLength) }
}

/// Records by number, from 1 on: slabs of 512, which never move.
@safe
struct Records: ~Copyable {
  private static let shift: UInt32 = 9
  private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Record>?>
  let max: Int
  /// Numbers up to this one were ever used.
  private(set) var last: UInt32 = 0
  private var free: UInt32 = 0
  private(set) var count = 0

  init(max: Int) {
    precondition(max > 0 && max < 1 << 31)
    self.max = max
    let capacity = max >> Int(Self.shift) + 1
    unsafe chunks = .allocate(capacity: capacity)
    unsafe chunks.initialize(repeating: nil, count: capacity)
  }

  deinit { unsafe chunks.deallocate() }

  @inline(__always)
  private func address(_ number: UInt32) -> UnsafeMutablePointer<Record> {
    unsafe chunks[Int(number &>> Self.shift)].unsafelyUnwrapped
      + Int(number & (1 &<< Self.shift &- 1))
  }

  subscript(number: UInt32) -> Record {
    @inline(__always) unsafeAddress { unsafe UnsafePointer(address(number)) }
    @inline(__always) nonmutating unsafeMutableAddress { unsafe address(number) }
  }

  /// A fresh record's number; nil when there are as many as may be.
  mutating func take(_ pages: inout Pages) -> UInt32? {
    guard count < max else { return nil }
    count += 1
    if free != 0 {
      let number = free
      free = self[number].nextOfPrincipal
      self[number] = Record()
      return number
    }
    last += 1
    let chunk = Int(last &>> Self.shift)
    if unsafe chunks[chunk] == nil {
      unsafe chunks[chunk] = pages.take().bindMemory(to: Record.self, capacity: 512)
    }
    unsafe address(last).initialize(to: Record())
    return last
  }

  mutating func give(_ number: UInt32) {
    count -= 1
    self[number].flags = 0
    self[number].nextOfPrincipal = free
    free = number
  }
}
