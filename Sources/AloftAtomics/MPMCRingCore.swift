/// The algorithm of ``MPMCRing``: a bounded queue of words from any threads to any threads.
///
/// Vyukov's ring ("Bounded MPMC queue", 1024cores, 2010): each slot has a sequence word beside its
/// item, which says whose turn it is. A producer that finds the slot at `tail` free claims it by
/// moving `tail` with a compare-and-exchange, fills it, and then turns the sequence to "filled"; a
/// consumer does the same at `head` and turns it to "free" for the next lap. One exchange an
/// operation, and producers and consumers meet on no common word while the ring is neither full
/// nor empty.
///
/// Indices count by two. The sequence of a slot is the number of the lap that may fill it, in the
/// bits that an index has above the slot's, and 1 more once it is filled. So free and filled differ
/// even in a ring of one slot, and zeroed memory is an empty ring.
///
/// Who may call: any thread, everything. Nothing waits or allocates: a thread tries again only
/// when another one succeeded meanwhile. One that is taken off its core between its claim and its
/// turning hides what comes behind it until it runs again.
///
/// A refusal is cheap: it looks at the slot alone. Whoever wants to know why asks `exactly` and
/// learns whether the ring was `empty` (or `full`) at a moment within the call, or somebody is
/// under way (`busy`). That reads the other side's line, which its owners then have to fetch back:
/// polled that way a hop costs 30 ns here instead of 5.
///
/// Which orders pair:
/// - a slot's sequence, stored with release by the producer after it has written the item, loaded
///   with acquire by the consumer before it reads: no item is read too early.
/// - the same word, stored with release by the consumer after it has read the item, loaded with
///   acquire by the producer before it writes: no item is overwritten too early.
/// - `tail` and `head` decide who gets a slot and order nothing else. Their values grow, so one
///   that was loaded before and is there still has been there all the time.
///
/// Two bits above the index of `tail` and one above that of `head` tell whoever moves it
/// something without a further load: `closed`, after which nobody claims a slot, and `waiting`,
/// for whoever keeps a list of those that wait for an item (at `tail`) or for room (at `head`).
/// `waiting` is set by an exchange that succeeds only while the ring is empty (or full) and no
/// push (or pop) is under way; so whoever pushes (or pops) from then on is told to serve that list.
public struct MPMCRingCore<Memory: AtomicMemory> {
  // The producers' line, the consumers' line, and the slots: a sequence and an item each.
  @usableFromInline static var tail: Int { 0 }
  @usableFromInline static var head: Int { 16 }
  @usableFromInline static var slots: Int { 32 }

  @usableFromInline static var closed: UInt { 1 << 63 }
  @usableFromInline static var waiting: UInt { 1 << 62 }
  @usableFromInline static var indices: UInt { waiting - 1 }

  @usableFromInline let memory: Memory
  /// From an index to its slot.
  @usableFromInline let mask: UInt

  /// Words that a ring of `capacity` items needs.
  public static func words(capacity: Int) -> Int {
    slots + MemoryLine.roundedUp(2 * capacity)
  }

  /// `memory` holds `words(capacity:)` zeroed words; `capacity` is a power of two.
  @inlinable @inline(__always)
  public init(memory: Memory, capacity: Int) {
    self.memory = memory
    self.mask = 2 &* UInt(bitPattern: capacity) &- 1
  }

  @inlinable @inline(__always)
  func slot(_ index: UInt) -> Int { Self.slots &+ Int(bitPattern: index & mask) }

  /// The sequence of a slot that is free for `index`; 1 more when it is filled.
  @inlinable @inline(__always)
  func free(for index: UInt) -> UInt { index & ~mask }

  /// How far an index moves in one lap.
  @inlinable @inline(__always)
  var lap: UInt { mask &+ 1 }

  // MARK: Producers

  /// A refusal is `full` or `closed`, or exact.
  @inlinable @inline(__always)
  public func push(_ item: UInt, exactly: Bool = false) -> RingPush {
    var tail = memory.loadRelaxed(Self.tail)
    while true {
      let index = tail & Self.indices
      let slot = slot(index)
      if memory.loadAcquire(slot) == free(for: index) && tail < Self.closed {
        let found = memory.compareExchangeSequential(Self.tail, tail, tail &+ 2)
        if found == tail {
          memory.write(slot &+ 1, item)
          memory.storeRelease(slot, free(for: index) &+ 1)
          return tail == index ? .accepted : .acceptedMustServe
        }
        tail = found
      } else if let refusal = refusal(&tail, exactly) {
        return refusal
      }
    }
  }

  /// Why no slot can be claimed at `tail`; nil, with a fresh `tail`, when it was only stale.
  @inlinable @inline(__always)
  func refusal(_ tail: inout UInt, _ exactly: Bool) -> RingPush? {
    if tail >= Self.closed { return .closed }
    let head = exactly ? memory.loadAcquire(Self.head) & Self.indices : 0
    let now = memory.loadAcquire(Self.tail)
    guard now == tail else {
      tail = now
      return nil
    }
    return exactly && (tail & Self.indices) &- head != lap ? .busy : .full
  }

  /// Claims as many slots for `items`, from the first on, as are free one after the other, in one
  /// exchange, so that they come out one after the other. The answer is how many; `mustServe` is
  /// set when the caller has to serve those who wait for an item, and never cleared.
  @inlinable @inline(__always)
  public func push(contentsOf items: UnsafeBufferPointer<UInt>, mustServe: inout Bool) -> Int {
    let wanted = min(items.count, Int(bitPattern: lap &>> 1))
    var tail = memory.loadRelaxed(Self.tail)
    while wanted > 0 && tail < Self.closed {
      let index = tail & Self.indices
      let count = run(from: index, wanted, 0)
      if count == 0 {
        let now = memory.loadAcquire(Self.tail)
        if now == tail { return 0 }
        tail = now
        continue
      }
      let found = memory.compareExchangeSequential(
        Self.tail, tail, tail &+ 2 &* UInt(bitPattern: count))
      if found != tail {
        tail = found
        continue
      }
      for i in 0..<count {
        let own = index &+ 2 &* UInt(bitPattern: i)
        unsafe memory.write(slot(own) &+ 1, items[i])
        memory.storeRelease(slot(own), free(for: own) &+ 1)
      }
      if tail != index { mustServe = true }
      return count
    }
    return 0
  }

  /// How many slots from `index` on, up to `limit`, are free (`state` 0) or filled (1).
  @inlinable @inline(__always)
  func run(from index: UInt, _ limit: Int, _ state: UInt) -> Int {
    var count = 0
    while count < limit {
      let own = index &+ 2 &* UInt(bitPattern: count)
      if memory.loadAcquire(slot(own)) != free(for: own) &+ state { break }
      count &+= 1
    }
    return count
  }

  // MARK: Consumers

  /// An absence is `empty`, or exact. `item` is set when there is one.
  @inlinable @inline(__always)
  public func pop(_ item: inout UInt, exactly: Bool = false) -> RingPop {
    var head = memory.loadRelaxed(Self.head)
    while true {
      let index = head & Self.indices
      let slot = slot(index)
      if memory.loadAcquire(slot) == free(for: index) &+ 1 {
        let found = memory.compareExchangeSequential(Self.head, head, head &+ 2)
        if found == head {
          item = memory.read(slot &+ 1)
          memory.storeRelease(slot, free(for: index) &+ lap)
          return head == index ? .item : .itemMustServe
        }
        head = found
      } else if let absence = absence(&head, exactly) {
        return absence
      }
    }
  }

  /// The same in short: whether there was one.
  @inlinable @inline(__always)
  public func isItem(_ item: inout UInt) -> Bool { pop(&item).isItem }

  /// Why nothing can be taken at `head`; nil, with a fresh `head`, when it was only stale.
  @inlinable @inline(__always)
  func absence(_ head: inout UInt, _ exactly: Bool) -> RingPop? {
    let tail = exactly ? memory.loadAcquire(Self.tail) : 0
    let now = memory.loadAcquire(Self.head)
    guard now == head else {
      head = now
      return nil
    }
    if !exactly { return .empty }
    if tail & Self.indices != head & Self.indices { return .busy }
    return tail >= Self.closed ? .closed : .empty
  }

  /// Takes up to `limit` items that lie ready one after the other to `target`, oldest first, in
  /// one exchange. The answer is how many; `mustServe` is set when the caller has to serve those
  /// who wait for room, and never cleared.
  @inlinable @inline(__always)
  public func pop(
    into target: UnsafeMutablePointer<UInt>, limit: Int, mustServe: inout Bool
  ) -> Int {
    let wanted = min(limit, Int(bitPattern: lap &>> 1))
    var head = memory.loadRelaxed(Self.head)
    while wanted > 0 {
      let index = head & Self.indices
      let count = run(from: index, wanted, 1)
      if count == 0 {
        let now = memory.loadAcquire(Self.head)
        if now == head { return 0 }
        head = now
        continue
      }
      let found = memory.compareExchangeSequential(
        Self.head, head, head &+ 2 &* UInt(bitPattern: count))
      if found != head {
        head = found
        continue
      }
      for i in 0..<count {
        let own = index &+ 2 &* UInt(bitPattern: i)
        unsafe target[i] = memory.read(slot(own) &+ 1)
        memory.storeRelease(slot(own), free(for: own) &+ lap)
      }
      if head != index { mustServe = true }
      return count
    }
    return 0
  }
}

extension MPMCRingCore: Sendable where Memory: Sendable {}
