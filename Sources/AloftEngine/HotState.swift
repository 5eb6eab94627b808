import AloftAtomics
import AloftQueue

/// What a loop's thread alone reads and writes, in one place behind one pointer: class properties
/// would pay for an exclusivity check at each access.
@safe
struct HotState: ~Copyable {
  /// Nanoseconds at the start of this turn, and the same in ticks of a millisecond.
  var now: UInt64
  var tick: UInt64
  var table: ConnectionTable
  var wheel: TimerWheel
  var batch = OperationBatch()
  /// The batch that is being carried out; the two take turns.
  var spare = OperationBatch()
  /// Numbers the batches, so that a connection's `pending` needs no clearing.
  var batchNumber: UInt32 = 1
  /// Slots whose driver side is closed, or about to be, and whose handlers don't know yet.
  var finished: [UInt32] = []
  /// Slots whose handlers wait to hear that there is room.
  var writable: [UInt32] = []
  /// Handlers that were replaced while they may still be on the stack.
  var retired: [Unmanaged<ConnectionHandler>] = unsafe []
  /// Who wants to be told when the turn ends, and the array's other half.
  var turnEnds: [TurnEndHandler] = []
  var spareTurnEnds: [TurnEndHandler] = []
  var jobs = JobQueue()
  var frames = PartialFramePool()
  var listeners: [ConnectionHandler?] = []
  /// Per listener: the last turned-away connection has been told of and none was accepted since.
  var toldRefused: [Bool] = []
  var timers: UserTimers
  var lastGeneration: UInt32
  var onEmpty: (() -> Void)?
  /// False while a host's own callbacks run on the thread, who may call us between turns.
  var inTurn = false
  var stopped = false
  var draining = false
  /// Whose turn it is to be handed a connection.
  var nextSibling = 0
  /// When the loop last had something to do, and for how long it polls before it sleeps.
  var lastWork: UInt64 = 0
  var spin: UInt64 = 0
  var slept = false
  var arena = ReceiveArena()
  /// The memory of the frame that a handler is being told of, if it arrived in parts.
  var frameTold: MessageBlock?
  var mail: Mailroom
  var ways = RemoteWays()
  /// Told of the ends of connections that have names.
  var connectionClosedHooks: [(ConnectionID) -> Void] = []
  /// The tick at which message memory that is not needed goes back.
  var nextTrim: UInt64 = 0
  /// The message pool that the thread used before it was the loop's.
  var poolBefore: UInt = 0
  /// What was read ahead, of no meaning: it is kept so that the reading is not left out.
  var touched: UInt = 0
  /// Pools whose home this is.
  var pools: [PoolEntry] = []

  init(
    driver: any Driver, timersMax: Int, generation: UInt32, lives: UInt32, number: Int,
    mailboxesMax: Int
  ) {
    mail = Mailroom(driver: driver, number: number, slotsMax: mailboxesMax)
    now = driver.now()
    tick = now / nanosecondsPerTick
    table = ConnectionTable(driver: driver)
    wheel = TimerWheel(timersMax: timersMax, now: tick)
    lastGeneration = generation
    // Far from those of earlier loops with this number, whose timers may still be named.
    timers = UserTimers(firstGeneration: lives << 20 | 1)
  }
}

@inlinable package var nanosecondsPerTick: UInt64 { 1_000_000 }

/// Operations of one batch, and the bytes that they carry.
@safe
struct OperationBatch: ~Copyable {
  static let operationsMax = 1_024
  /// Room for copies of small writes; a larger write than is left ends the batch.
  static let stagingBytes = 128 << 10

  let operations: UnsafeMutablePointer<Operation>
  let staging: UnsafeMutablePointer<UInt8>
  /// Messages that operations point into, a reference each.
  let held: UnsafeMutablePointer<MessageBlock>
  var heldCount = 0
  var count = 0
  var staged = 0
  /// Operations among them that close.
  var closes = 0

  init() {
    unsafe operations = .allocate(capacity: Self.operationsMax)
    unsafe staging = .allocate(capacity: Self.stagingBytes)
    unsafe held = .allocate(capacity: Self.operationsMax)
  }

  deinit {
    for index in 0..<heldCount { unsafe MessageBlock.release(held[index]) }
    unsafe held.deallocate()
    unsafe operations.deallocate()
    unsafe staging.deallocate()
  }

  /// The driver has taken what it needs of them.
  @inline(__always)
  mutating func releaseHeld() {
    for index in 0..<heldCount { unsafe MessageBlock.release(held[index]) }
    heldCount = 0
  }

  mutating func clear() {
    count = 0
    staged = 0
    closes = 0
  }
}

/// A queue of words that grows: the loop's own jobs.
@safe
struct WordQueue: ~Copyable {
  private var words: UnsafeMutablePointer<UInt>
  private var capacity = 64
  private var head = 0
  private(set) var count = 0

  init() { unsafe words = .allocate(capacity: 64) }

  deinit { unsafe words.deallocate() }

  mutating func append(_ word: UInt) {
    if count == capacity { grow() }
    unsafe words[(head + count) & (capacity - 1)] = word
    count += 1
  }

  mutating func popFirst() -> UInt? {
    guard count > 0 else { return nil }
    let word = unsafe words[head]
    head = (head + 1) & (capacity - 1)
    count -= 1
    return word
  }

  /// One that waits, counted from the first.
  @inline(__always)
  subscript(_ place: Int) -> UInt { unsafe words[(head &+ place) & (capacity &- 1)] }

  private mutating func grow() {
    let larger = UnsafeMutablePointer<UInt>.allocate(capacity: capacity * 2)
    for index in 0..<count { unsafe larger[index] = words[(head + index) & (capacity - 1)] }
    unsafe words.deallocate()
    unsafe words = unsafe larger
    capacity *= 2
    head = 0
  }
}
