/// The algorithm of ``Epochs``: reclamation by quiescent states.
///
/// Source: QSBR as McKenney and Slingwine have it (1998), in the form with one epoch counter that
/// Hart, McKenney, Demke Brown and Walpole measure ("Performance of memory reclamation for
/// lockless synchronization", 2007).
///
/// There is a counter of epochs, and a slot for each participant: 0 when he is offline, holding no
/// reference, else the epoch that he last announced. Memory that was unlinked waits in a batch; the
/// batch gets the next epoch's number, and is freed when every slot is 0 or has that number, since
/// whoever announced it has let go of all he held before, and can't have found the memory since.
///
/// Who may call: a slot's calls belong to one thread at a time, those of the shared slot to any;
/// `retire` and `collect` any thread. Nobody waits: one thread at a time collects, and another one
/// that comes meanwhile goes away.
///
/// Which orders pair:
/// - the epoch, stored with release by the collector, loaded with acquire in `announce`: who
///   announces it has seen the memory unlinked.
/// - a slot, stored with release whatever for, loaded with acquire by the collector: what the
///   participant has read is read before the memory is freed. In `pin` too, whose epoch may tell
///   the collector that an earlier pin is gone.
/// - a fence after the store in `pin`, one before the collector's look at the slots: either he
///   sees the slot in use, or the reader sees the memory unlinked. No weaker order does that.
/// - the stack of retired memory, pushed with release, taken with acquire.
/// - the collector's flag, taken sequentially and given back with release, for the batch.
@frozen
public struct EpochsCore<Memory: AtomicMemory> {
  // Read by all, written once a batch.
  @inlinable static var epoch: Int { 0 }
  /// Slots from here on were never used.
  @inlinable static var bound: Int { 1 }
  // Written by whoever retires.
  @inlinable static var retired: Int { 16 }
  /// Counters for those who watch: all that were ever retired, and freed.
  @inlinable static var retiredCount: Int { 17 }
  // The collector's.
  @inlinable static var collecting: Int { 32 }
  @inlinable static var batch: Int { 33 }
  @inlinable static var batchEpoch: Int { 34 }
  @inlinable static var freedCount: Int { 35 }
  @inlinable static var slots: Int { 48 }

  /// A slot is `epoch << 16 | pins`.
  @inlinable static var epochShift: UInt { 16 }
  @inlinable static var pinsMask: UInt { 0xffff }

  /// Words for so many slots.
  public static func words(slots: Int) -> Int { Self.slots + slots * MemoryLine.words }

  @usableFromInline let memory: Memory

  /// `memory` is zeroed before the first use.
  @inlinable
  public init(memory: Memory) { self.memory = memory }

  @inlinable @inline(__always)
  static func word(_ slot: Int) -> Int { slots &+ slot &* MemoryLine.words }

  // MARK: Participants

  /// Once before a slot's first use.
  @inlinable
  public func open(_ slot: Int) {
    var bound = memory.loadRelaxed(Self.bound)
    while bound <= slot {
      let found = memory.compareExchangeSequential(Self.bound, bound, UInt(slot + 1))
      if found == bound { return }
      bound = found
    }
  }

  /// From here on, what is found stays memory until the pin is gone. Pins of one slot nest.
  @inlinable @inline(__always)
  public func pin(_ slot: Int) {
    let word = Self.word(slot)
    let own = memory.loadOwn(word)
    if own != 0 {
      memory.storeRelease(word, own &+ 1)
      return
    }
    memory.storeRelease(word, memory.loadAcquire(Self.epoch) &<< Self.epochShift | 1)
    memory.fenceSequential()
  }

  @inlinable @inline(__always)
  public func unpin(_ slot: Int) {
    let word = Self.word(slot)
    let own = memory.loadOwn(word)
    memory.storeRelease(word, own & Self.pinsMask == 1 ? 0 : own &- 1)
  }

  /// The participant, pinned once, holds nothing of what it found before.
  @inlinable @inline(__always)
  public func announce(_ slot: Int) {
    let word = Self.word(slot)
    let current = memory.loadAcquire(Self.epoch) &<< Self.epochShift | 1
    // An epoch that was announced before has nobody waiting for it.
    if memory.loadOwn(word) != current { memory.storeRelease(word, current) }
  }

  @inlinable @inline(__always)
  public func isPinned(_ slot: Int) -> Bool { memory.loadOwn(Self.word(slot)) != 0 }

  /// The same for a slot that several threads share: its epoch is the one of the first that is in.
  @inlinable
  public func pinShared(_ slot: Int) {
    let word = Self.word(slot)
    var own = memory.loadRelaxed(word)
    while true {
      let next = own == 0 ? memory.loadAcquire(Self.epoch) &<< Self.epochShift | 1 : own &+ 1
      precondition(own & Self.pinsMask != Self.pinsMask, "more than 65,535 threads in one slot")
      let found = memory.compareExchangeSequential(word, own, next)
      if found == own { break }
      own = found
    }
    memory.fenceSequential()
  }

  @inlinable
  public func unpinShared(_ slot: Int) {
    let word = Self.word(slot)
    var own = memory.loadRelaxed(word)
    while true {
      let next = own & Self.pinsMask == 1 ? 0 : own &- 1
      let found = memory.compareExchangeSequential(word, own, next)
      if found == own { return }
      own = found
    }
  }

  // MARK: Reclamation

  /// Any thread, after it has unlinked a node: its memory is the domain's from now on. The node's
  /// first word is the domain's.
  @inlinable
  public func retire(_ node: UInt) {
    var head = memory.loadRelaxed(Self.retired)
    while true {
      memory.writeLink(of: node, to: head)
      let found = memory.compareExchangeRelease(Self.retired, head, node)
      if found == head { return }
      head = found
    }
  }

  /// Whether there may be something to collect.
  @inlinable @inline(__always)
  public var hasWork: Bool {
    memory.loadRelaxed(Self.retired) != 0 || memory.loadRelaxed(Self.batchEpoch) != 0
  }

  /// Any thread: frees the batch that waits, if all have passed, and makes the next one of what was
  /// retired meanwhile. So two calls, with all participants passing in between, free all that was
  /// retired before. False when another thread is at it.
  @inlinable
  public func collect(_ free: (_ node: UInt) -> Void) -> Bool {
    if memory.loadRelaxed(Self.collecting) != 0 { return false }
    if memory.compareExchangeSequential(Self.collecting, 0, 1) != 0 { return false }
    let waiting = memory.loadRelaxed(Self.batchEpoch)
    if waiting == 0 || oldest() >= waiting {
      if waiting != 0 {
        var node = memory.read(Self.batch)
        while node != 0 {
          let next = memory.readLink(of: node)
          free(node)
          node = next
        }
      }
      let head = memory.exchangeAcquire(Self.retired, 0)
      memory.write(Self.batch, head)
      let next = memory.loadRelaxed(Self.epoch) &+ 1
      if head != 0 { memory.storeRelease(Self.epoch, next) }
      memory.storeRelaxed(Self.batchEpoch, head == 0 ? 0 : next)
    }
    memory.storeRelease(Self.collecting, 0)
    return true
  }

  /// The oldest epoch that a participant who is online has announced.
  @inlinable
  func oldest() -> UInt {
    memory.fenceSequential()
    var oldest = UInt.max
    for slot in 0..<Int(bitPattern: memory.loadAcquire(Self.bound)) {
      let own = memory.loadAcquire(Self.word(slot))
      if own != 0 { oldest = min(oldest, own &>> Self.epochShift) }
    }
    return oldest
  }
}

extension EpochsCore: Sendable where Memory: Sendable {}
