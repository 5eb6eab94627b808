import AloftMembership
import Synchronization

/// Who owns each slot, for any thread to look up: one byte a slot, changed in place, so a look-up
/// is one load and nobody waits for anybody. Eight slots share a word.
@safe
final class SlotOwners: @unchecked Sendable {
  // @unchecked: atomic words.
  private static let words = Slot.count / 8
  private let memory: UnsafeMutablePointer<Atomic<UInt64>>

  init() {
    unsafe memory = .allocate(capacity: Self.words)
    for word in 0..<Self.words { unsafe (memory + word).initialize(to: Atomic(0)) }
  }

  deinit { unsafe memory.deallocate() }

  subscript(slot: Int) -> UInt8 {
    let word = unsafe memory[slot / 8].load(ordering: .relaxed)
    return UInt8(truncatingIfNeeded: word >> UInt64(slot % 8 * 8))
  }

  /// The node's loop alone.
  func set(_ table: SlotTable) {
    for word in 0..<Self.words {
      var value: UInt64 = 0
      for slot in 0..<8 { value |= UInt64(table.owners[word * 8 + slot]) << UInt64(slot * 8) }
      unsafe memory[word].store(value, ordering: .relaxed)
    }
  }
}
