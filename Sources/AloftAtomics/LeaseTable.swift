/// Which resources of a pool are idle and who has them, over memory of its own.
///
/// Who may call: as with ``LeaseTableCore``, where the algorithm and which orders pair stand. No
/// call blocks or allocates.
public struct LeaseTable: ~Copyable, Sendable {
  @usableFromInline let block: WordBlock
  public let core: LeaseTableCore<HardwareMemory>

  /// `share`: how many idle resources each of `loops` loops keeps for itself at most.
  public init(slots: Int, loops: Int, share: Int) {
    precondition(slots > 0 && slots <= LeaseHandle.slotsMax && share >= 0 && loops >= 0)
    let block = WordBlock(
      words: LeaseTableCore<HardwareMemory>.words(slots: slots, loops: loops, share: share))
    core = LeaseTableCore(memory: block.memory, slots: slots, loops: loops, share: share)
    self.block = block
  }
}
