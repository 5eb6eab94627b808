/// The word through which threads ask a mailbox whether it is open and has room, in memory that
/// its owner lends and never frees.
///
/// Who may call what, and which orders pair, stands in ``MailboxGateCore``.
@safe
public struct MailboxGate: Sendable {
  @usableFromInline let core: MailboxGateCore<HardwareMemory>

  /// `word` is aligned to 8 bytes, 0 at first, and outlives every use.
  @inlinable @inline(__always)
  public init(at word: UnsafeMutableRawPointer) {
    unsafe self.core = MailboxGateCore(memory: HardwareMemory(base: word))
  }

  /// Owner. `capacity` nil: unbounded.
  @inlinable
  public func open(generation: UInt32, capacity: UInt32?, shareLog2: UInt) {
    core.open(generation: generation, capacity: capacity, shareLog2: shareLog2)
  }

  /// Owner. Whether somebody wants to hear of the end.
  @inlinable
  public func close(generation: UInt32) -> Bool { core.close(generation: generation) }

  /// Owner. The generation for the next mailbox here; nil when they are used up.
  @inlinable
  public var nextGeneration: UInt32? { core.nextGeneration }

  /// Any thread.
  @inlinable @inline(__always)
  public func load() -> MailboxGateWord { core.load() }

  /// Any thread. Takes up to `wanted` credits.
  @inlinable
  public func reserve(generation: UInt32, wanted: UInt32) -> MailboxReservation {
    core.reserve(generation: generation, wanted: wanted)
  }

  /// Any thread.
  @inlinable
  public func giveBack(generation: UInt32, credits: UInt32) {
    core.giveBack(generation: generation, credits: credits)
  }

  /// Any thread. Asks that the end be told; false when it has come already.
  @inlinable
  public func watch(generation: UInt32) -> Bool { core.watch(generation: generation) }
}
