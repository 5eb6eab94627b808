/// A loop's sleep flag on a line of its own, for loops with other inboxes than ``LoopInbox``.
///
/// Who may call: `announce` and `awake` the loop, `mustWake` any thread after it has published
/// its item with a sequential store or exchange. The protocol and its proof stand in
/// ``SleepFlagCore``.
public struct SleepFlag: ~Copyable, Sendable {
  @usableFromInline let block: WordBlock
  @usableFromInline let core: SleepFlagCore<HardwareMemory>

  public init() {
    let block = WordBlock(words: MemoryLine.words)
    self.core = SleepFlagCore(memory: block.memory)
    self.block = block
  }

  /// Loop. Then look at every inbox again with sequential loads, and only then sleep.
  @inlinable @inline(__always)
  public func announce() { core.announce() }

  /// Loop, after the sleep or instead of it.
  @inlinable @inline(__always)
  public func awake() { core.awake() }

  /// Any thread, after its publication. `true`: the caller, and it alone, has to wake the loop.
  @inlinable @inline(__always)
  public func mustWake() -> Bool { core.mustWake() }
}
