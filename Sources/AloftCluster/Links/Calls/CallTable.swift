import AloftAtomics

/// Who hears of a call's end: a closure, or the table's taker, by a word that says which call it
/// is. The word costs no memory.
enum CallOwner {
  case closure((CallOutcome) -> Void)
  case word(UInt32)
}

/// Calls that wait for their answers, by number; and the wheel that ends them.
@safe
struct CallTable: ~Copyable {
  struct Slot {
    var generation: UInt32 = 1
    var peer: UInt32 = 0
    var link: UInt32 = 0
    /// Runs on when the call is over, for the next call's deadline: to put a timer off is a store.
    var timer: UInt32 = 0
    var nextFree: UInt32 = 0
    var stream: UInt16 = 0
    var isOpen = false
    var owner = CallOwner.word(0)
  }

  let capacity: Int
  let slots: UnsafeMutablePointer<Slot>
  /// Slots that were ever used, and those free among them; 0 is none.
  private var used: UInt32 = 1
  private var firstFree: UInt32 = 0
  private(set) var count = 0
  var wheel: TimerWheel
  /// When the loop's timer for the wheel is due, in ticks.
  var armed = UInt64.max

  init(capacity: Int, now: UInt64) {
    self.capacity = capacity
    unsafe slots = .allocate(capacity: capacity + 1)
    wheel = TimerWheel(timersMax: capacity, now: now / 1_000_000)
  }

  deinit {
    unsafe (slots + 1).deinitialize(count: Int(used) - 1)
    unsafe slots.deallocate()
  }

  /// Nil when all are in use.
  mutating func insert(
    peer: UInt32, link: UInt32, stream: UInt16, due: UInt64,
    _ owner: consuming CallOwner
  ) -> CallID? {
    var index = firstFree
    if index != 0 {
      firstFree = unsafe slots[Int(index)].nextFree
    } else {
      guard Int(used) <= capacity else { return nil }
      index = used
      used += 1
      unsafe (slots + Int(index)).initialize(to: Slot())
    }
    let slot = unsafe slots + Int(index)
    unsafe slot.pointee.peer = peer
    unsafe slot.pointee.link = link
    unsafe slot.pointee.stream = stream
    unsafe slot.pointee.owner = owner
    unsafe slot.pointee.isOpen = true
    let timer = unsafe TimerIndex(rawValue: slot.pointee.timer)
    if timer.rawValue == 0 || !wheel.rearm(timer, payload: index, to: due) {
      // There is a node for each slot.
      unsafe slot.pointee.timer = wheel.start(at: due, payload: index)?.rawValue ?? 0
    }
    count += 1
    return unsafe CallID(rawValue: UInt64(slot.pointee.generation) << 32 | UInt64(index))
  }

  func find(_ call: CallID) -> UnsafeMutablePointer<Slot>? {
    let index = Int(truncatingIfNeeded: call.rawValue & 0xFFFF_FFFF)
    guard index > 0, index < Int(used), unsafe slots[index].isOpen,
      unsafe slots[index].generation == UInt32(truncatingIfNeeded: call.rawValue >> 32)
    else { return nil }
    return unsafe slots + index
  }

  /// Takes a call away; answers whom to tell.
  @discardableResult
  mutating func remove(_ slot: UnsafeMutablePointer<Slot>) -> CallOwner {
    let index = UInt32(unsafe slot - slots)
    var owner = CallOwner.word(0)
    unsafe swap(&owner, &slot.pointee.owner)
    unsafe slot.pointee.isOpen = false
    unsafe slot.pointee.generation &+= 1
    if unsafe slot.pointee.generation == 0 { unsafe slot.pointee.generation = 1 }
    unsafe slot.pointee.nextFree = firstFree
    firstFree = index
    count -= 1
    return owner
  }

  /// The calls of a peer.
  func calls(of peer: UInt32) -> [CallID] {
    (1..<max(Int(used), 1)).compactMap { index in
      guard unsafe slots[index].isOpen, unsafe slots[index].peer == peer else { return nil }
      return unsafe CallID(rawValue: UInt64(slots[index].generation) << 32 | UInt64(index))
    }
  }

  /// The next call whose time is over, if it is at this tick.
  mutating func popDue() -> UnsafeMutablePointer<Slot>? {
    while let due = wheel.popDue() {
      let slot = unsafe slots + Int(due.payload)
      unsafe slot.pointee.timer = 0
      if unsafe slot.pointee.isOpen { return unsafe slot }
    }
    return nil
  }
}
