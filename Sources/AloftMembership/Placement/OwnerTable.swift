public import Synchronization

/// Who owns which slot, as any thread may ask: 16 KiB that stay where they are, so a look-up is one
/// load, and nothing is ever freed under a reader.
///
/// A change of slots is written over the old owners, byte by byte. Who looks up several slots
/// meanwhile may see some before and some after it: an answer says who owned that slot a moment
/// ago, and more can't be had, for the slots may change hands before it is used. What is sent by it
/// is fenced where it arrives.
@safe
@frozen
public struct OwnerTable: ~Copyable, @unchecked Sendable {
  // @unchecked: atomic bytes, which live as long as this.
  @usableFromInline let owners: UnsafeMutablePointer<Atomic<UInt8>>

  /// Nobody's, all of them.
  public init() {
    unsafe owners = .allocate(capacity: Slot.count)
    for slot in 0..<Slot.count { unsafe (owners + slot).initialize(to: Atomic(0)) }
  }

  deinit {
    unsafe owners.deinitialize(count: Slot.count)
    unsafe owners.deallocate()
  }

  /// Any number is safe to ask for; those above the last slot are taken modulo their count. Any
  /// thread.
  @inlinable
  public subscript(slot: Slot) -> NodeID {
    NodeID(rawValue: unsafe owners[Int(slot.rawValue & 16_383)].load(ordering: .relaxed))
  }

  /// Has these owners from now on. One thread at a time.
  package func set(_ table: SlotTable) {
    for (slot, owner) in table.owners.enumerated() {
      unsafe owners[slot].store(owner, ordering: .relaxed)
    }
  }
}
