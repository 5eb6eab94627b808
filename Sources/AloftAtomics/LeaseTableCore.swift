/// The algorithm of ``LeaseTable``: which resource of a pool is idle, and who has it.
///
/// A resource is a slot with a word of its own, which says in whose hands it is (``LeaseWord``):
/// on the shelf for whoever comes first, kept by one loop for itself, lent, or at home. Home is
/// the one loop that runs the pool's logic: it opens and closes resources and has the queue of
/// those who wait. Three ways lead to a lease, tried in this order:
///
/// 1. A loop takes what it keeps itself, last in, first out: plain loads and stores.
/// 2. Anybody takes from the shelf: one compare-and-exchange of the slot's word. A mask of 64
///    bits per 64 slots says where to look. It is a hint: a set bit may be stale, but no idle
///    slot is ever left without its bit, but for the moment that somebody is busy setting it.
/// 3. Whoever found nothing waits at home.
///
/// While anybody waits the gate is shut: ways 1 and 2 give nothing, and what is returned goes
/// home, where it is handed to whoever waits longest. So a late-comer never cuts in line; only one
/// that was past the gate before it shut may still take a resource from the shelf.
///
/// Who may call: each part says so. `takeShared`, `giveBack` and what they need any thread;
/// `takeKept`, `keep` and `flush` the loop that is named; the rest the home's loop.
///
/// Why no resource is left idle while somebody waits forever:
/// - On the shelf: a returner first shelves the slot, then sets its bit if need be, then looks at
///   the gate; one who waits first shuts the gate, and then home looks at the masks. All are
///   sequential, so in their one order either home's look finds the bit, or the returner finds the
///   gate shut and pokes home, which looks again (Dekker, 1965). Whoever clears a stale bit looks
///   at the slot afterwards, and whoever shelves a slot looks at the bit afterwards: the same once
///   more, so that a bit is never cleared for good under a slot that was shelved meanwhile.
/// - Kept by a loop: home asks each loop to bring what it keeps (`requestFlush`, then a message).
///   The loop does so between two calls of its users, and from then on sees the gate shut, for
///   the message happened after that. A request that finds one under way is an exchange upon it,
///   so the loop's clearing exchange, which is the later one, sees what the second one knew.
///
/// Which orders pair, besides: the word of a slot is exchanged sequentially by the returner and
/// by the next taker, so the taker sees what the last borrower did with the resource. On the way
/// through home the messages carry that. A loop's own word needs no order at all.
///
/// There is no ABA: what is exchanged is the word with its generation, never a bit of the mask.
public struct LeaseTableCore<Memory: AtomicMemory> {
  // Read by all, written when somebody begins or ends to wait: those who wait, then a mask per 64
  // slots of those that home wants back.
  @usableFromInline static var waiting: Int { 0 }
  @usableFromInline static var recalls: Int { 1 }

  @usableFromInline let memory: Memory
  @usableFromInline let slots: Int
  @usableFromInline let loops: Int
  /// Idle resources that a loop keeps at most.
  @usableFromInline let share: Int
  @usableFromInline let poked: Int
  @usableFromInline let masks: Int
  @usableFromInline let words: Int
  @usableFromInline let slices: Int
  @usableFromInline let sliceWords: Int

  /// The gate is shut for good, or for as long as home says: beside the count of those who wait.
  @inlinable public static var shut: UInt { 1 &<< 62 }

  public static func words(slots: Int, loops: Int, share: Int) -> Int {
    let masks = (slots + 63) / 64
    return MemoryLine.roundedUp(1 + masks) + (1 + masks + slots) * MemoryLine.words
      + loops * sliceWords(share: share)
  }

  private static func sliceWords(share: Int) -> Int {
    MemoryLine.roundedUp(1 + share) + MemoryLine.words
  }

  /// `memory` holds the zeroed words of these sizes. `loops` may be 0: then nobody keeps any.
  public init(memory: Memory, slots: Int, loops: Int, share: Int) {
    self.memory = memory
    self.slots = slots
    self.loops = loops
    self.share = share
    let masks = (slots + 63) / 64
    poked = MemoryLine.roundedUp(1 + masks)
    self.masks = poked + MemoryLine.words
    words = self.masks + masks * MemoryLine.words
    slices = words + slots * MemoryLine.words
    sliceWords = Self.sliceWords(share: share)
  }

  // MARK: Where things are

  @inlinable @inline(__always)
  func state(_ slot: Int) -> Int { words &+ slot &* MemoryLine.words }
  /// The generation whose lease, lent by a loop, another thread has asked that loop to return.
  @inlinable @inline(__always)
  func claim(_ slot: Int) -> Int { words &+ slot &* MemoryLine.words &+ 1 }
  @inlinable @inline(__always)
  func mask(_ slot: Int) -> Int { masks &+ slot &>> 6 &* MemoryLine.words }
  @inlinable @inline(__always)
  func recall(_ slot: Int) -> Int { Self.recalls &+ slot &>> 6 }
  @inlinable @inline(__always)
  func bit(_ slot: Int) -> UInt { 1 &<< (UInt(bitPattern: slot) & 63) }
  @inlinable @inline(__always)
  func slice(_ loop: Int) -> Int { slices &+ loop &* sliceWords }
  /// Set by home, cleared by the loop.
  @inlinable @inline(__always)
  func flushWanted(_ loop: Int) -> Int {
    slice(loop) &+ sliceWords &- MemoryLine.words
  }

  // MARK: The gate

  /// Any thread. False while anybody waits.
  @inlinable @inline(__always)
  public var isOpen: Bool { memory.loadSequential(Self.waiting) == 0 }

  /// Whether what is returned has to go home.
  @inlinable @inline(__always)
  func isWanted(_ slot: Int) -> Bool {
    memory.loadSequential(Self.waiting) != 0
      || memory.loadSequential(recall(slot)) & bit(slot) != 0
  }

  /// Any thread, before it asks home for a lease: shuts the gate. Home takes it back.
  public func beginWaiting() { _ = change(Self.waiting) { $0 &+ 1 } }

  /// Home, for each that waited. True when the gate is open again.
  public func endWaiting() -> Bool { change(Self.waiting) { $0 &- 1 } == 1 }

  /// Home: shuts the gate though nobody waits, and opens it.
  public func setShut(_ isShut: Bool) {
    _ = change(Self.waiting) { isShut ? $0 | Self.shut : $0 & ~Self.shut }
  }

  /// Home, in front of a look at the shelf and at what loops keep: has a slot come home with its
  /// next return.
  public func setRecall(_ slot: Int, _ isWanted: Bool) {
    let bit = bit(slot)
    _ = change(recall(slot)) { isWanted ? $0 | bit : $0 & ~bit }
  }

  /// The value before.
  @inlinable
  func change(_ word: Int, _ body: (UInt) -> UInt) -> UInt {
    var seen = memory.loadRelaxed(word)
    while true {
      let found = memory.compareExchangeSequential(word, seen, body(seen))
      if found == seen { return seen }
      seen = found
    }
  }

  /// Any thread that was told `mustPoke`. True for one of them, who then sends home a message.
  public func claimPoke() -> Bool { change(poked) { _ in 1 } == 0 }

  /// Home, when the message is there; then it looks at the shelf.
  public func endPoke() { _ = memory.exchangeAcquire(poked, 0) }
}

extension LeaseTableCore: Sendable where Memory: Sendable {}

/// What became of a lease that was returned.
public enum LeaseReturn: Equatable, Sendable {
  /// The resource is idle, and nobody waits.
  case idle
  /// It is idle, and home has to look: `claimPoke`.
  case mustPoke
  /// It is the caller's, who has to send it home.
  case mustSendHome
  /// The lease was lent by this loop out of its own, which has to return it: `claimReturn`.
  case mustForward(loop: Int)
  /// There is no such lease, or no longer.
  case stale

  @inlinable @inline(__always)
  public static func == (left: LeaseReturn, right: LeaseReturn) -> Bool {
    switch (left, right) {
    case (.idle, .idle), (.mustPoke, .mustPoke), (.mustSendHome, .mustSendHome): true
    case (.stale, .stale): true
    case (.mustForward(let a), .mustForward(let b)): a == b
    case (.idle, _), (.mustPoke, _), (.mustSendHome, _), (.stale, _), (.mustForward, _): false
    }
  }
}
