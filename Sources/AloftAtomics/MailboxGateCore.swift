/// The algorithm of ``MailboxGate``: whether a mailbox is open, and how many messages it has room
/// for, in one word that all senders share.
///
/// The word holds the mailbox's generation, flags, and for a bounded mailbox the number of
/// *credits* that nobody holds. A sender takes credits before it sends, several at a time if it is
/// going to send more; the owner gives one back for each message that was handled. Credits are
/// only passed on and never made, so there are never more messages waiting or on their way than
/// the capacity, whoever is interrupted where.
///
/// Who may call: `open`, `close` and `reset` the mailbox's owner, all else any thread. Each is one
/// compare-and-exchange, tried again only when another thread succeeded meanwhile. A closed gate
/// has the next generation, which is even, so a stale ID, a closed mailbox and one that never was
/// are one answer, and an exchange that was prepared before the end can't succeed after it.
///
/// Which orders pair: the count carries no data, and what is sent is handed over by the inbox. But
/// whoever asks to be told of the end (`watch`, release) has noted for whom before, and `close`
/// (acquire) must see the note when it sees the flag.
public struct MailboxGateCore<Memory: AtomicMemory> {
  @usableFromInline static var gate: Int { 0 }

  /// Bits of the word: generation 24, flags 8, credits 32.
  @usableFromInline static var generationShift: UInt { 40 }
  @usableFromInline static var creditsMask: UInt { 0xFFFF_FFFF }
  @usableFromInline static var isBounded: UInt { 1 << 32 }
  @usableFromInline static var isWatched: UInt { 1 << 33 }
  @usableFromInline static var isRetired: UInt { 1 << 34 }
  /// How many credits to take at a time, as a power of two.
  @usableFromInline static var shareShift: UInt { 36 }

  @usableFromInline let memory: Memory

  @inlinable @inline(__always)
  public init(memory: Memory) { self.memory = memory }

  // MARK: Owner

  /// `capacity` nil: unbounded. `shareLog2` of the credits that a sender takes at a time: 0...6.
  @inlinable
  public func open(generation: UInt32, capacity: UInt32?, shareLog2: UInt) {
    memory.storeRelease(
      Self.gate, Self.word(generation: generation, capacity: capacity, shareLog2: shareLog2))
  }

  /// An open gate of which nobody holds a credit.
  @inlinable
  public static func word(generation: UInt32, capacity: UInt32?, shareLog2: UInt) -> UInt {
    var word = UInt(generation) &<< generationShift
    if let capacity { word |= isBounded | (shareLog2 & 7) &<< shareShift | UInt(capacity) }
    return word
  }

  /// From here on nobody gets in. The answer: whether somebody wants to hear of it.
  @inlinable
  public func close(generation: UInt32) -> Bool {
    let next = UInt((generation &+ 1) & 0xFF_FFFF) &<< Self.generationShift
    // After the last generation the word would look like one never used.
    let word = next == 0 ? Self.isRetired : next
    return memory.exchangeAcquire(Self.gate, word) & Self.isWatched != 0
  }

  /// Owner. The generation for the next mailbox in this place; nil when they are used up.
  @inlinable
  public var nextGeneration: UInt32? {
    let word = memory.loadRelaxed(Self.gate)
    if word & Self.isRetired != 0 { return nil }
    return UInt32(truncatingIfNeeded: word &>> Self.generationShift) | 1
  }

  // MARK: Any thread

  @inlinable @inline(__always)
  public func load() -> MailboxGateWord { MailboxGateWord(word: memory.loadRelaxed(Self.gate)) }

  /// Takes up to `wanted` credits: as many as there are.
  @inlinable
  public func reserve(generation: UInt32, wanted: UInt32) -> MailboxReservation {
    var word = memory.loadRelaxed(Self.gate)
    while true {
      if word &>> Self.generationShift != UInt(generation) { return .closed }
      let taken = min(word & Self.creditsMask, UInt(wanted))
      if taken == 0 { return .full }
      let found = memory.compareExchangeRelease(Self.gate, word, word &- taken)
      if found == word { return .credits(UInt32(truncatingIfNeeded: taken)) }
      word = found
    }
  }

  /// Gives credits back; those of a mailbox that has closed are void.
  @inlinable
  public func giveBack(generation: UInt32, credits: UInt32) {
    var word = memory.loadRelaxed(Self.gate)
    while word &>> Self.generationShift == UInt(generation) {
      let found = memory.compareExchangeRelease(Self.gate, word, word &+ UInt(credits))
      if found == word { return }
      word = found
    }
  }

  /// Asks that the end be told. False when it has come already.
  @inlinable
  public func watch(generation: UInt32) -> Bool {
    var word = memory.loadRelaxed(Self.gate)
    while word &>> Self.generationShift == UInt(generation) {
      // Also when the flag stands already: this caller's note must be seen by the end as well.
      let found = memory.compareExchangeRelease(Self.gate, word, word | Self.isWatched)
      if found == word { return true }
      word = found
    }
    return false
  }
}

extension MailboxGateCore: Sendable where Memory: Sendable {}

/// A gate's word as it was found.
@frozen
public struct MailboxGateWord: Sendable {
  @usableFromInline let word: UInt

  @inlinable @inline(__always)
  public init(word: UInt) { self.word = word }

  @inlinable @inline(__always)
  public func isOpen(_ generation: UInt32) -> Bool { word &>> 40 == UInt(generation) }
  @inlinable @inline(__always)
  public var isBounded: Bool { word & 1 &<< 32 != 0 }
  @inlinable @inline(__always)
  public var credits: UInt32 { UInt32(truncatingIfNeeded: word) }
  /// Credits to take at a time.
  @inlinable @inline(__always)
  public var share: UInt32 { 1 &<< UInt32(truncatingIfNeeded: word &>> 36 & 7) }
}

/// What came of taking credits.
public enum MailboxReservation: Sendable {
  case credits(UInt32)
  /// None was left.
  case full
  /// The mailbox has ended.
  case closed
}
