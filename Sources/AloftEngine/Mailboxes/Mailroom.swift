import AloftAtomics
import AloftQueue

/// All that a loop's thread keeps for mailboxes: its own, and what it sends to those of others.
@safe
struct Mailroom: ~Copyable {
  var table: MailboxTable
  let gates: MailboxGates
  /// Slots of mailboxes with messages to be served, each at most once.
  var ready = WordQueue()
  /// Slots of mailboxes whose `closed` is to be told.
  var finished: [UInt32] = []
  /// What was made last of a user's handler, for as long as some mailbox keeps it.
  var madeOf: ObjectIdentifier?
  var made: Unmanaged<MailboxHandler>?
  /// Handlers that were replaced while they may still be on the stack.
  var retired: [Unmanaged<MailboxHandler>] = unsafe []
  /// Sets of options in use, which mailboxes name by their place here.
  var options: [MailboxOptions] = []
  /// What few mailboxes need, by slot.
  var extras: [UInt32: MailboxExtras] = [:]
  /// Drained ones whose siblings' last messages are still awaited, and those of the round that is
  /// under way.
  var unfenced: [MailboxID] = []
  var fencing: [MailboxID] = []
  var fencesLeft = 0
  /// How many mailboxes keep a connection's reads paused, by its ID.
  var pauses: [UInt64: Int] = [:]
  var outboxes: OutboxTable
  var hoards: HoardTable
  /// Marks that were crossed and not yet told.
  var pressed: [(MailboxID, Bool)] = []
  /// Slots of mailboxes for which senders wait.
  var waited: Set<UInt32> = []
  var watchesWaiters = false
  var closedHooks: [(MailboxID, MailboxCloseReason) -> Void] = []

  /// There is something that handlers have yet to be told.
  var hasNews: Bool { unsafe !finished.isEmpty || !pressed.isEmpty || !retired.isEmpty }

  init(driver: any Driver, number: Int, slotsMax: Int) {
    gates = MailboxGates(loop: number)
    table = MailboxTable(driver: driver, gates: gates, slotsMax: slotsMax)
    outboxes = OutboxTable()
    hoards = HoardTable()
  }
}

/// Messages that a loop has gathered for one sibling and not yet handed over.
@safe
struct Outbox: ~Copyable {
  /// Handed over when so many are gathered, at the latest.
  static let gatherMax = 64
  /// More than the lane takes waits here, in order, up to this many words.
  static let wordsMax = 1 << 16

  let target: Unmanaged<EventLoop>
  var words: UnsafeMutablePointer<UInt>
  var capacity = Outbox.gatherMax * 2
  /// The first of those that wait, and how many do.
  var head = 0
  var count = 0
  var listed = false

  init(_ target: EventLoop) {
    unsafe self.target = unsafe .passUnretained(target)
    unsafe words = .allocate(capacity: Outbox.gatherMax * 2)
  }

  deinit { unsafe words.deallocate() }

  @inline(__always)
  var isFull: Bool { count == Self.wordsMax }

  @inline(__always)
  mutating func append(_ word: UInt) {
    if head &+ count == capacity { makeRoom() }
    unsafe words[head &+ count] = word
    count &+= 1
  }

  @inline(never)
  private mutating func makeRoom() {
    if head >= capacity / 2 {
      unsafe words.update(from: words + head, count: count)
    } else {
      let larger = UnsafeMutablePointer<UInt>.allocate(capacity: capacity * 2)
      unsafe larger.update(from: words + head, count: count)
      unsafe words.deallocate()
      unsafe words = unsafe larger
      capacity *= 2
    }
    head = 0
  }

  var pending: UnsafeBufferPointer<UInt> {
    unsafe UnsafeBufferPointer(start: words + head, count: count)
  }

  mutating func removeFirst(_ taken: Int) {
    count -= taken
    head = count == 0 ? 0 : head + taken
  }
}

/// A loop's outboxes, by the number of the loop that they are for.
@safe
struct OutboxTable: ~Copyable {
  private let boxes: UnsafeMutablePointer<UnsafeMutablePointer<Outbox>?>
  /// Numbers of those that hold something.
  let pending: UnsafeMutablePointer<UInt8>
  var pendingCount = 0

  init() {
    unsafe boxes = .allocate(capacity: ConnectionID.loopsMax)
    unsafe boxes.initialize(repeating: nil, count: ConnectionID.loopsMax)
    unsafe pending = .allocate(capacity: ConnectionID.loopsMax)
  }

  deinit {
    removeAll()
    unsafe boxes.deallocate()
    unsafe pending.deallocate()
  }

  func removeAll() {
    for number in 0..<ConnectionID.loopsMax {
      guard let box = unsafe boxes[number] else { continue }
      unsafe box.deinitialize(count: 1)
      unsafe box.deallocate()
      unsafe boxes[number] = nil
    }
  }

  /// Before the loop starts.
  func add(_ target: EventLoop) {
    let box = UnsafeMutablePointer<Outbox>.allocate(capacity: 1)
    unsafe box.initialize(to: Outbox(target))
    unsafe boxes[target.number] = unsafe box
  }

  @inline(__always)
  func find(_ number: Int) -> UnsafeMutablePointer<Outbox>? { unsafe boxes[number] }
}

/// Credits for bounded mailboxes that a loop has taken and not yet used, by target.
@safe
struct HoardTable: ~Copyable {
  struct Hoard {
    var generation: UInt32
    var credits: UInt32
  }

  /// Mailboxes for which credits are kept at a time; for more, each is taken when it is needed.
  static let listedMax = 4_096
  private static let chunksMax = MailboxID.slotsMax >> MailboxTable.shift
  private static let chunkBytes = MailboxTable.chunkSlots * MemoryLayout<Hoard>.stride

  typealias Chunk = UnsafeMutablePointer<Hoard>
  private let loops: UnsafeMutablePointer<UnsafeMutablePointer<Chunk?>?>
  /// Raw IDs of mailboxes for which there may be credits here.
  private let listed: UnsafeMutablePointer<UInt64>
  private(set) var listedCount = 0

  init() {
    unsafe loops = .allocate(capacity: ConnectionID.loopsMax)
    unsafe loops.initialize(repeating: nil, count: ConnectionID.loopsMax)
    unsafe listed = .allocate(capacity: Self.listedMax)
  }

  deinit {
    for number in 0..<ConnectionID.loopsMax {
      guard let chunks = unsafe loops[number] else { continue }
      for index in 0..<Self.chunksMax { unsafe chunks[index]?.deallocate() }
      unsafe chunks.deallocate()
    }
    unsafe loops.deallocate()
    unsafe listed.deallocate()
  }

  /// Uses a credit that is kept for the mailbox.
  @inline(__always)
  func take(_ id: MailboxID) -> Bool {
    guard let chunks = unsafe loops[id.loop],
      let chunk = unsafe chunks[Int(id.slot) >> MailboxTable.shift]
    else { return false }
    let hoard = unsafe chunk + (Int(id.slot) & (MailboxTable.chunkSlots - 1))
    guard unsafe hoard.pointee.generation == id.generation, unsafe hoard.pointee.credits > 0
    else { return false }
    unsafe hoard.pointee.credits &-= 1
    return true
  }

  var hasRoom: Bool { listedCount < Self.listedMax }

  /// Keeps credits. Only while there is room.
  mutating func keep(_ id: MailboxID, _ credits: UInt32) {
    let hoard = unsafe find(id)
    if unsafe hoard.pointee.generation != id.generation {
      unsafe hoard.pointee = Hoard(generation: id.generation, credits: 0)
      unsafe listed[listedCount] = id.rawValue
      listedCount += 1
    }
    unsafe hoard.pointee.credits += credits
  }

  private func find(_ id: MailboxID) -> UnsafeMutablePointer<Hoard> {
    if unsafe loops[id.loop] == nil {
      let fresh = UnsafeMutablePointer<Chunk?>.allocate(capacity: Self.chunksMax)
      unsafe fresh.initialize(repeating: nil, count: Self.chunksMax)
      unsafe loops[id.loop] = unsafe fresh
    }
    let chunks = unsafe loops[id.loop].unsafelyUnwrapped
    let index = Int(id.slot) >> MailboxTable.shift
    if unsafe chunks[index] == nil {
      let fresh = Chunk.allocate(capacity: MailboxTable.chunkSlots)
      unsafe fresh.initialize(
        repeating: Hoard(generation: 0, credits: 0), count: MailboxTable.chunkSlots)
      unsafe chunks[index] = unsafe fresh
    }
    return unsafe chunks[index].unsafelyUnwrapped
      + (Int(id.slot) & (MailboxTable.chunkSlots - 1))
  }

  /// Gives all credits back to whom they belong.
  mutating func giveAllBack() {
    for index in 0..<listedCount {
      let id = unsafe MailboxID(rawValue: listed[index])
      let hoard = unsafe find(id)
      guard unsafe hoard.pointee.generation == id.generation else { continue }
      if unsafe hoard.pointee.credits > 0, let place = MailboxGates.place(id) {
        unsafe place.gate.giveBack(generation: id.generation, credits: hoard.pointee.credits)
      }
      unsafe hoard.pointee = Hoard(generation: 0, credits: 0)
    }
    listedCount = 0
  }
}

/// What only mailboxes with feeders, waiting senders or a drain under way have.
final class MailboxExtras {
  /// Connections whose reads pause while the mailbox is above its high-water mark.
  var feeders: [ConnectionID] = []
  var waiters: [WaitingSend?] = []
  var firstWaiter = 0
  /// No later than the first of the waiters' deadlines.
  var nextDeadline = UInt64.max
}
