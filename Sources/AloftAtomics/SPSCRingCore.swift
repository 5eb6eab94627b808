/// How a ring makes its new items known.
public enum Publication {
  /// The consumer polls: a plain store on x86.
  case release
  /// The producer goes on to look at a ``SleepFlag``: a locked store on x86 (6 ns), which keeps
  /// that look from running ahead of the items.
  case sequential
}

/// The algorithm of ``SPSCRing``: a bounded queue of words from one thread to one other.
///
/// Lamport's ring with each side's view of the other side cached (Lee, Bu, Chandranmenon:
/// "A lock-free, cache-efficient multi-core synchronization mechanism", 2010): the line of the
/// other side is fetched only when the cached index says that there is no room, or no item, so
/// once per lap or batch.
///
/// Who may call: `push` one thread, `pop` one thread; neither ever waits.
///
/// Which orders pair:
/// - `tail`, stored with release (or sequential) by the producer after the slots are written,
///   loaded with acquire by the consumer before it reads them: no slot is read too early.
/// - `head`, stored with release by the consumer after the slots are read, loaded with acquire
///   by the producer before it writes them anew: no slot is overwritten too early.
/// - `isEmpty` loads `tail` sequentially, for the loop's last look before it sleeps; see
///   ``SleepFlagCore``.
///
/// Indices count items since the beginning and wrap around at 2^64; the slot is `index & mask`.
public struct SPSCRingCore<Memory: AtomicMemory> {
  // The producer's line: its index, and the consumer's index as last seen.
  @usableFromInline static var tail: Int { 0 }
  @usableFromInline static var headSeen: Int { 1 }
  // The consumer's line.
  @usableFromInline static var head: Int { 16 }
  @usableFromInline static var tailSeen: Int { 17 }
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

  // MARK: Producer

  @inlinable @inline(__always)
  public func push(_ item: UInt, _ publication: Publication) -> Bool {
    let tail = memory.loadOwn(Self.tail)
    if tail &- memory.read(Self.headSeen) > mask {
      let head = memory.loadAcquire(Self.head)
      memory.write(Self.headSeen, head)
      if tail &- head > mask { return false }
    }
    memory.write(Self.slots &+ Int(bitPattern: tail & mask), item)
    publish(tail &+ 1, publication)
    return true
  }

  /// Pushes as many of `items` as there is room for, from the first on, and publishes them at
  /// once. The answer is how many.
  @inlinable @inline(__always)
  public func push(
    contentsOf items: UnsafeBufferPointer<UInt>, _ publication: Publication
  ) -> Int {
    guard let source = items.baseAddress else { return 0 }
    let tail = memory.loadOwn(Self.tail)
    var room = mask &+ 1 &- (tail &- memory.read(Self.headSeen))
    if room < UInt(bitPattern: items.count) {
      let head = memory.loadAcquire(Self.head)
      memory.write(Self.headSeen, head)
      room = mask &+ 1 &- (tail &- head)
    }
    let count = Int(bitPattern: min(room, UInt(bitPattern: items.count)))
    if count == 0 { return 0 }
    let first = Int(bitPattern: tail & mask)
    let run = min(count, Int(bitPattern: mask &+ 1) &- first)
    unsafe memory.write(Self.slots &+ first, from: source, count: run)
    if run < count {
      unsafe memory.write(Self.slots, from: source + run, count: count &- run)
    }
    publish(tail &+ UInt(bitPattern: count), publication)
    return count
  }

  @inlinable @inline(__always)
  func publish(_ tail: UInt, _ publication: Publication) {
    switch publication {
    case .release: memory.storeRelease(Self.tail, tail)
    case .sequential: memory.storeSequential(Self.tail, tail)
    }
  }

  // MARK: Consumer

  @inlinable @inline(__always)
  public func pop() -> UInt? {
    let head = memory.loadOwn(Self.head)
    if head == memory.read(Self.tailSeen) {
      let tail = memory.loadAcquire(Self.tail)
      memory.write(Self.tailSeen, tail)
      if head == tail { return nil }
    }
    let item = memory.read(Self.slots &+ Int(bitPattern: head & mask))
    memory.storeRelease(Self.head, head &+ 1)
    return item
  }

  /// Pops up to `limit` items to `target`, oldest first, and gives their slots back at once.
  /// The answer is how many.
  @inlinable @inline(__always)
  public func pop(into target: UnsafeMutablePointer<UInt>, limit: Int) -> Int {
    let head = memory.loadOwn(Self.head)
    var ready = memory.read(Self.tailSeen) &- head
    if ready < UInt(bitPattern: limit) {
      let tail = memory.loadAcquire(Self.tail)
      memory.write(Self.tailSeen, tail)
      ready = tail &- head
    }
    let count = Int(bitPattern: min(ready, UInt(bitPattern: limit)))
    if count == 0 { return 0 }
    let first = Int(bitPattern: head & mask)
    let run = min(count, Int(bitPattern: mask &+ 1) &- first)
    unsafe memory.read(Self.slots &+ first, into: target, count: run)
    if run < count {
      unsafe memory.read(Self.slots, into: target + run, count: count &- run)
    }
    memory.storeRelease(Self.head, head &+ UInt(bitPattern: count))
    return count
  }

  /// Whether nothing is left, for certain, in the one order of all sequential operations.
  @inlinable @inline(__always)
  public var isEmpty: Bool {
    memory.loadSequential(Self.tail) == memory.loadOwn(Self.head)
  }
}

extension SPSCRingCore: Sendable where Memory: Sendable {}
