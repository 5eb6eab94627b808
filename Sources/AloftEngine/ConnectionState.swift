/// What a loop knows of one connection: a cache line, beside the driver's three.
@safe
struct ConnectionState {
  enum Phase: UInt8 {
    case free = 0
    case connecting
    case open
    /// `close` was called; what is queued is still being sent, and nothing is read.
    case closing
    /// The driver has been told to close; `closed` is still to be delivered.
    case dead
  }

  struct Flags: OptionSet {
    let rawValue: UInt8
    /// Reads are paused by the user.
    static let pausedByUser = Flags(rawValue: 1)
    /// Reads are paused because the output is above its high-water mark.
    static let pausedByOutput = Flags(rawValue: 2)
    /// A write was answered `wouldBlock`.
    static let blocked = Flags(rawValue: 4)
    /// The peer has ended.
    static let peerEnded = Flags(rawValue: 8)
    /// `finishWriting` was called.
    static let ending = Flags(rawValue: 16)
    static let inFrame = Flags(rawValue: 32)
    /// Reads are paused because a mailbox that they feed is above its high-water mark.
    static let pausedByMailbox = Flags(rawValue: 64)
    /// The registry has names for it.
    static let named = Flags(rawValue: 128)
  }

  /// 0 while the slot is free.
  var generation: UInt32
  var phase: Phase
  var flags: Flags
  /// A `CloseReason`, packed.
  var reason: UInt8
  /// Somebody wants to hear of the end.
  var isWatched: Bool
  /// What goes with the reason.
  var detail: UInt32
  /// Bytes in the driver's queue, those included that it has sent and not yet reported: what
  /// writes have added less what `progress` events have taken off, in whatever order they come.
  var queued: UInt32
  /// Bytes and last operation in the batch under way; of no meaning unless `batch` is that batch.
  var pending: UInt32
  var batch: UInt32
  var tail: UInt32
  /// Node in the timer wheel, 0 for none.
  var timer: UInt32
  /// Low bits of the tick at which a byte last passed in either direction.
  var activity: UInt32
  /// Low bits of the tick at which the peer last took something of a queue, or the phase began.
  var progress: UInt32
  /// Retained while the slot is in use.
  var handler: Unmanaged<ConnectionHandler>?
  /// The user's word.
  var context: UInt
  /// A frame of which only a part has arrived.
  var frame: UnsafeMutablePointer<PartialFrame>?

  init(generation: UInt32, phase: Phase, handler: Unmanaged<ConnectionHandler>, tick: UInt32) {
    self.generation = generation
    self.phase = phase
    flags = []
    reason = 0
    isWatched = false
    detail = 0
    queued = 0
    pending = 0
    batch = 0
    tail = 0
    timer = 0
    activity = tick
    progress = tick
    unsafe self.handler = unsafe handler
    context = 0
    unsafe frame = nil
  }

  @inline(__always)
  var isPaused: Bool {
    !flags.isDisjoint(with: [.pausedByUser, .pausedByOutput, .pausedByMailbox])
  }
}

extension ConnectionState {
  mutating func setReason(_ value: CloseReason) {
    guard reason == 0 else { return }  // The first one is the cause.
    (reason, detail) =
      switch value {
      case .local: (1, 0)
      case .peer: (2, 0)
      case .system(let errno): (3, UInt32(bitPattern: errno))
      case .idleTimeout: (4, 0)
      case .connectTimeout: (5, 0)
      case .writeStalled: (6, 0)
      case .frameTooLarge(let bytes): (7, bytes)
      case .shutdown: (8, 0)
      }
  }

  var closeReason: CloseReason {
    switch reason {
    case 2: .peer
    case 3: .system(Int32(bitPattern: detail))
    case 4: .idleTimeout
    case 5: .connectTimeout
    case 6: .writeStalled
    case 7: .frameTooLarge(detail)
    case 8: .shutdown
    default: .local
    }
  }
}
