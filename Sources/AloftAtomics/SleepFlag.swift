/// A loop's sleep flag on a line of its own, for loops with other inboxes than ``LoopInbox``.
///
/// Who may call: `announce` and `awake` the loop, `mustWake` any thread after it has published
/// its item with a sequential store or exchange. The protocol and its proof stand in
/// ``SleepFlagCore``.
package struct SleepFlag: ~Copyable, Sendable {
  @usableFromInline let block: WordBlock
  @usableFromInline let core: SleepFlagCore<HardwareMemory>

  package init() {
    let block = WordBlock(words: MemoryLine.words)
    self.core = SleepFlagCore(memory: block.memory)
    self.block = block
  }

  /// Loop. Then look at every inbox again with sequential loads, and only then sleep.
  @inlinable
  package func announce() { core.announce() }

  /// Loop, after the sleep or instead of it.
  @inlinable
  package func awake() { core.awake() }

  /// Any thread, after its publication. `true`: the caller, and it alone, has to wake the loop.
  @inlinable
  package func mustWake() -> Bool { core.mustWake() }
}
