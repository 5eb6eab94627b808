/// When memory that others may still be reading can be freed: the process's one domain of
/// reclamation by quiescent states.
///
///     let old = pointer.exchange(new)          // nobody can find `old` from here on
///     epochs.retire(old, free)                 // freed when nobody can be reading it either
///
/// **Event loops** have a slot each, by their number. A loop is pinned while it's awake, announces
/// once a turn that it holds nothing, and is unpinned while it sleeps. So code on a loop reads
/// shared memory for free, so long as it keeps no reference from one turn to the next.
///
/// **Other threads** claim a slot once (``claim()``), and pin it around what they read. A thread
/// that gets none, since 1,024 others have one, uses the shared slot, which costs two exchanges on
/// a line that all such threads write, and frees memory late while one of them is always in.
///
/// Who may call: `retire` and `collect` any thread, a slot's calls its thread alone. No call
/// blocks. Memory is freed by whoever collects: loops do so as their turns pass, and `retire` does
/// when much has been retired. A participant that stays pinned keeps all of it from being freed.
///
/// The algorithm and its sources stand in ``EpochsCore``.
@safe
@frozen
public struct Epochs: Sendable {
  /// Frees what was retired: the address that was given, and not its node alone.
  public typealias Free = @Sendable @convention(c) (UnsafeMutableRawPointer) -> Void

  /// The slot of all threads that have none of their own.
  @inlinable static var sharedSlot: Int { 0 }
  /// One for each event loop that a process can have.
  @inlinable public static var loopSlots: Int { 256 }
  /// More threads than that are not expected to read at a time.
  @inlinable public static var foreignSlots: Int { 1_024 }
  @inlinable static var firstForeignSlot: Int { 1 &+ loopSlots }
  static var slots: Int { firstForeignSlot + foreignSlots }

  public static let shared = Epochs()

  @usableFromInline let core: EpochsCore<HardwareMemory>
  /// A word for each foreign slot: 1 when it's claimed.
  let claims: HardwareMemory

  /// A domain of its own is for tests: its memory is never freed.
  init() {
    let words = EpochsCore<HardwareMemory>.words(slots: Self.slots)
    let bytes = (words + Self.foreignSlots) * 8
    let base = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: MemoryLine.bytes)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    let memory = unsafe HardwareMemory(base: base)
    core = EpochsCore(memory: memory)
    claims = memory.advanced(by: words)
    core.open(Self.sharedSlot)
  }

  // MARK: Participants

  /// A participant's place: its thread's alone, but for `shared`.
  @frozen
  public struct Slot: Equatable, Sendable {
    @usableFromInline let index: Int

    @inlinable
    init(index: Int) { self.index = index }

    /// For threads that have no other, any number of them at a time.
    @inlinable public static var shared: Slot { Slot(index: Epochs.sharedSlot) }

    /// As a word other than 0, and back, for where a thread keeps it.
    @inlinable public var word: UInt { UInt(bitPattern: index &+ 1) }
    @inlinable public init(word: UInt) { index = Int(bitPattern: word) &- 1 }
  }

  /// The slot of an event loop, by its number in the process; once before it's used.
  public func slot(loop number: Int) -> Slot {
    precondition(number >= 0 && number < Self.loopSlots, "loop \(number)")
    core.open(1 + number)
    return Slot(index: 1 + number)
  }

  /// A slot for the calling thread, `shared` when none is left. O(slots) in the worst case.
  public func claim() -> Slot {
    for place in 0..<Self.foreignSlots where claims.loadRelaxed(place) == 0 {
      if claims.compareExchangeSequential(place, 0, 1) == 0 {
        core.open(Self.firstForeignSlot + place)
        return Slot(index: Self.firstForeignSlot + place)
      }
    }
    return .shared
  }

  /// Gives a claimed slot back; it isn't pinned.
  public func giveBack(_ slot: Slot) {
    guard slot.index >= Self.firstForeignSlot else { return }
    assert(!core.isPinned(slot.index), "a slot given back while it's pinned")
    claims.storeRelease(slot.index - Self.firstForeignSlot, 0)
  }

  /// From here on, what is found stays memory until the pin is gone. Pins of one slot nest: the
  /// first costs a fence, further ones a store.
  @inlinable @inline(__always)
  public func pin(_ slot: Slot) {
    if slot == .shared { core.pinShared(slot.index) } else { core.pin(slot.index) }
  }

  @inlinable @inline(__always)
  public func unpin(_ slot: Slot) {
    if slot == .shared { core.unpinShared(slot.index) } else { core.unpin(slot.index) }
  }

  /// A loop that is pinned, once, holds nothing of what it found before. A load, and a store when
  /// something was retired since the last time.
  @inlinable @inline(__always)
  public func announce(_ slot: Slot) {
    core.announce(slot.index)
    if core.hasWork { collect() }
  }

  /// Whether the slot, which isn't the shared one, is pinned. Its thread.
  @inlinable @inline(__always)
  public func isPinned(_ slot: Slot) -> Bool { core.isPinned(slot.index) }

  // MARK: Reclamation

  /// Any thread, after `memory` was unlinked from wherever others find it: has `free` called for
  /// it, by some thread, when nobody can be reading it any more. Its first 16 bytes are the
  /// domain's from now on, and aligned to 8: whoever still reads it must not need them.
  @inlinable
  public func retire(_ memory: UnsafeMutableRawPointer, _ free: @escaping Free) {
    unsafe (memory + 8).storeBytes(
      of: UInt(bitPattern: unsafeBitCast(free, to: Int.self)), as: UInt.self)
    core.retire(UInt(bitPattern: memory))
    // Where no loop runs, those who retire have to collect.
    let count = core.memory.addRelaxed(EpochsCore<HardwareMemory>.retiredCount, 1)
    if count & 63 == 0 { collect() }
  }

  /// Any thread. Frees what can be freed; two calls, with all participants passing in between,
  /// free all that was retired before.
  @usableFromInline @inline(never)
  func collectOnce() {
    _ = core.collect { node in
      let memory = unsafe UnsafeMutableRawPointer(bitPattern: node).unsafelyUnwrapped
      let free = unsafe unsafeBitCast(memory.load(fromByteOffset: 8, as: Int.self), to: Free.self)
      unsafe free(memory)
      _ = core.memory.addRelaxed(EpochsCore<HardwareMemory>.freedCount, 1)
    }
  }

  @inlinable
  public func collect() { collectOnce() }

  /// How many pieces of memory wait to be freed.
  public var waiting: Int {
    let freed = core.memory.loadRelaxed(EpochsCore<HardwareMemory>.freedCount)
    return Int(
      bitPattern: core.memory.loadRelaxed(EpochsCore<HardwareMemory>.retiredCount) &- freed)
  }
}
