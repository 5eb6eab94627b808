/// Closing, counting, and the protocol of those who wait for an item or for room.
///
/// The lists of waiters are somebody else's, under a lock: each function for them is called with
/// that lock held. Waiters for items and waiters for room are two lists with the same rules:
///
/// - A waiter that is the first of its list asks `expectItems` (or `expectRoom`). `true`: it is
///   entered and sleeps. `false`: things have changed, and it tries again. One that finds others
///   waiting is entered behind them.
/// - Whoever pushes (or pops) and is told `mustServe` takes the lock and calls `serveItems` (or
///   `serveRoom`), which hands items over in the order of the list until none is left to take or
///   nobody waits. So does whoever has closed the ring.
///
/// Why no wake-up is lost: the bit that says that somebody waits and the index are one word. The
/// exchange that sets the bit succeeds only while the ring is empty and no push is under way; each
/// later claim is an exchange upon a word with the bit. So each item that comes after the waiter
/// has a pusher that serves the list after it has filled its slot, and the last of them to take the
/// lock finds all of them filled.
extension MPMCRingCore {
  /// Any thread, once or more. No push claims a slot from now on; those that have claimed theirs
  /// are delivered. The answer is `true` for the one call that closed it; it then serves both
  /// lists, which nobody else will.
  @inlinable
  public func close() -> Bool {
    var tail = memory.loadRelaxed(Self.tail)
    while tail < Self.closed {
      let found = memory.compareExchangeSequential(Self.tail, tail, tail | Self.closed)
      if found == tail { return true }
      tail = found
    }
    return false
  }

  @inlinable
  public var isClosed: Bool { memory.loadAcquire(Self.tail) >= Self.closed }

  /// How many words were ever accepted, a push under way included. Sequential, as `taken`, for
  /// those who set a flag and look again (``QueueCounters``).
  @inlinable
  public var accepted: UInt { (memory.loadSequential(Self.tail) & Self.indices) &>> 1 }

  /// How many words were ever taken, a pop under way included.
  @inlinable
  public var taken: UInt { (memory.loadSequential(Self.head) & Self.indices) &>> 1 }

  /// How many words are inside: exact while nobody pushes or pops, else as of a moment ago. Never
  /// below 0 or above the capacity.
  @inlinable
  public var count: Int {
    // `head` first: it can't overtake a `tail` that is read later.
    let taken = taken
    return min(Int(bitPattern: accepted &- taken), Int(bitPattern: lap &>> 1))
  }

  /// The word that comes next, which stays inside. Only where one thread alone ever pops.
  @inlinable
  public func peek() -> UInt? {
    let index = memory.loadRelaxed(Self.head) & Self.indices
    let slot = slot(index)
    return memory.loadAcquire(slot) == free(for: index) &+ 1 ? memory.read(slot &+ 1) : nil
  }

  // MARK: Waiters, with their lock held

  /// `true` when the ring is empty and open, and every push from now on serves the waiters.
  @inlinable
  public func expectItems() -> Bool {
    let tail = memory.loadAcquire(Self.tail)
    if tail >= Self.closed { return false }
    let head = memory.loadAcquire(Self.head)
    if tail & Self.indices != head & Self.indices { return false }
    return memory.compareExchangeSequential(Self.tail, tail, tail | Self.waiting) == tail
  }

  /// Nobody waits for items any more.
  @inlinable
  public func expectNoItems() { clear(Self.tail) }

  /// `true` when the ring is full and open, and every pop from now on serves the waiters.
  @inlinable
  public func expectRoom() -> Bool {
    let head = memory.loadAcquire(Self.head)
    let tail = memory.loadAcquire(Self.tail)
    if tail >= Self.closed || (tail &- head) & Self.indices != lap { return false }
    return memory.compareExchangeSequential(Self.head, head, head | Self.waiting) == head
  }

  /// Nobody waits for room any more.
  @inlinable
  public func expectNoRoom() { clear(Self.head) }

  @inlinable
  func clear(_ word: Int) {
    var value = memory.loadRelaxed(word)
    while value & Self.waiting != 0 {
      let found = memory.compareExchangeSequential(word, value, value & ~Self.waiting)
      if found == value { return }
      value = found
    }
  }

  /// Hands what is inside to those who wait for it: `give` with each item. Once the ring is closed
  /// and empty, `give` with nil for each waiter that is left. `waiting` is how many wait.
  ///
  /// `true` when somebody has to serve those who wait for room.
  @inlinable
  public func serveItems(_ waiting: inout Int, _ give: (UInt?) -> Void) -> Bool {
    var mustServe = false
    var item: UInt = 0
    while waiting > 0 {
      switch pop(&item, exactly: true) {
      case .itemMustServe:
        mustServe = true
        fallthrough
      case .item:
        waiting -= 1
        give(item)
      case .closed:
        waiting -= 1
        give(nil)
      // Who is under way has claimed a slot upon the bit, and serves when it is through.
      case .empty, .busy: return mustServe
      }
    }
    expectNoItems()
    return mustServe
  }

  /// Lets those in who wait for room: `next` is the item of the first, `entered` is told whether
  /// it went in, `false` once the ring is closed. `waiting` is how many wait.
  ///
  /// `true` when somebody has to serve those who wait for items.
  @inlinable
  public func serveRoom(
    _ waiting: inout Int, _ next: () -> UInt, entered: (Bool) -> Void
  ) -> Bool {
    var mustServe = false
    while waiting > 0 {
      switch push(next(), exactly: true) {
      case .acceptedMustServe:
        mustServe = true
        fallthrough
      case .accepted:
        waiting -= 1
        entered(true)
      case .closed:
        waiting -= 1
        entered(false)
      case .full, .busy: return mustServe
      }
    }
    expectNoRoom()
    return mustServe
  }
}
