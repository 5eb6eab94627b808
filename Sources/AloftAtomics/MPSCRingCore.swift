/// The algorithm of ``MPSCRing``: a bounded queue of words from any threads to one.
///
/// A producer claims slots by moving `tail` with a compare-and-exchange, after it has seen that
/// they are free, and then fills them; the consumer takes slots in order as long as they are
/// filled. A slot's word is its own flag: 0 is "not filled", so items are words other than 0.
///
/// Who may call: `push` any thread, `pop` and `isEmpty` one thread. Neither waits: a producer
/// tries again only when another producer succeeded meanwhile. One that is taken off its core
/// between its claim and its filling hides the later items until it runs again; `isEmpty` says
/// `false` all that time, so the consumer polls and doesn't sleep on them.
///
/// Which orders pair:
/// - a slot, filled with release by a producer, loaded with acquire by the consumer: what the
///   producer wrote before is seen by whoever gets the item.
/// - `head`, stored with release by the consumer after it has emptied the slots, loaded with
///   acquire by a producer before it claims: the emptying can't fall upon the next filling.
/// - `headSeen` hands that on from the producer that looked to the others, so it is stored with
///   release and loaded with acquire as well.
/// - `tail`, moved sequentially by a producer, loaded sequentially by the consumer in `isEmpty`:
///   the producer's look at the ``SleepFlagCore`` that follows needs no fence of its own.
public struct MPSCRingCore<Memory: AtomicMemory> {
  // The producers' line: the next index to claim, and the consumer's index as last seen.
  @usableFromInline static var tail: Int { 0 }
  @usableFromInline static var headSeen: Int { 1 }
  // The consumer's line.
  @usableFromInline static var head: Int { 16 }
  @usableFromInline static var slots: Int { 32 }

  @usableFromInline let memory: Memory
  @usableFromInline let mask: UInt

  /// Words that a ring of `capacity` items needs.
  public static func words(capacity: Int) -> Int {
    slots + MemoryLine.roundedUp(capacity)
  }

  /// `memory` holds `words(capacity:)` zeroed words; `capacity` is a power of two.
  @inlinable @inline(__always)
  public init(memory: Memory, capacity: Int) {
    self.memory = memory
    self.mask = UInt(bitPattern: capacity &- 1)
  }

  // MARK: Producers

  @inlinable @inline(__always)
  public func push(_ item: UInt) -> Bool {
    assert(item != 0, "0 marks an empty slot")
    var tail = memory.loadRelaxed(Self.tail)
    while true {
      if room(after: tail, orMore: 1) < 1 { return false }
      let found = memory.compareExchangeSequential(Self.tail, tail, tail &+ 1)
      if found == tail { break }
      tail = found
    }
    memory.storeRelease(Self.slots &+ Int(bitPattern: tail & mask), item)
    return true
  }

  /// Claims room for as many of `items` as fit in one exchange and fills it, so they come out
  /// one after the other. The answer is how many.
  @inlinable @inline(__always)
  public func push(contentsOf items: UnsafeBufferPointer<UInt>) -> Int {
    if items.count == 0 { return 0 }
    var tail = memory.loadRelaxed(Self.tail)
    var count = 0
    while true {
      count = min(room(after: tail, orMore: items.count), items.count)
      if count < 1 { return 0 }
      let found = memory.compareExchangeSequential(
        Self.tail, tail, tail &+ UInt(bitPattern: count))
      if found == tail { break }
      tail = found
    }
    for i in 0..<count {
      let index = tail &+ UInt(bitPattern: i)
      unsafe assert(items[i] != 0, "0 marks an empty slot")
      unsafe memory.storeRelease(Self.slots &+ Int(bitPattern: index & mask), items[i])
    }
    return count
  }

  /// Free slots from `tail` on; looks at the consumer's line when fewer than `wanted` are known.
  ///
  /// Signed: a `tail` loaded long ago may lie behind a `head` loaded just now. It then counts as
  /// room and the exchange, which such a `tail` can't pass, brings the new one.
  @inlinable @inline(__always)
  func room(after tail: UInt, orMore wanted: Int) -> Int {
    let capacity = Int(bitPattern: mask &+ 1)
    let known = capacity &- Int(bitPattern: tail &- memory.loadAcquire(Self.headSeen))
    if known >= wanted { return known }
    let head = memory.loadAcquire(Self.head)
    memory.storeRelease(Self.headSeen, head)
    return capacity &- Int(bitPattern: tail &- head)
  }

  // MARK: Consumer

  @inlinable @inline(__always)
  public func pop() -> UInt? {
    let head = memory.loadOwn(Self.head)
    let slot = Self.slots &+ Int(bitPattern: head & mask)
    let item = memory.loadAcquire(slot)
    if item == 0 { return nil }
    memory.storeRelaxed(slot, 0)
    memory.storeRelease(Self.head, head &+ 1)
    return item
  }

  /// Pops up to `limit` items to `target`, oldest first, and gives their slots back at once.
  /// The answer is how many.
  @inlinable @inline(__always)
  public func pop(into target: UnsafeMutablePointer<UInt>, limit: Int) -> Int {
    let head = memory.loadOwn(Self.head)
    var count = 0
    while count < limit {
      let index = head &+ UInt(bitPattern: count)
      let slot = Self.slots &+ Int(bitPattern: index & mask)
      let item = memory.loadAcquire(slot)
      if item == 0 { break }
      memory.storeRelaxed(slot, 0)
      unsafe target[count] = item
      count &+= 1
    }
    if count > 0 { memory.storeRelease(Self.head, head &+ UInt(bitPattern: count)) }
    return count
  }

  /// Whether nothing is left or under way, for certain, in the one order of all sequential
  /// operations.
  @inlinable @inline(__always)
  public var isEmpty: Bool {
    memory.loadSequential(Self.tail) == memory.loadOwn(Self.head)
  }
}

extension MPSCRingCore: Sendable where Memory: Sendable {}
