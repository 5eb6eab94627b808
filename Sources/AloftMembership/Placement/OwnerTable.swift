/// The owners of all slots as threads read them: 16 KiB that never change, so a look-up is one
/// load. A change of slots makes a new one; who publishes it frees the old one when nobody reads
/// it.
@safe
package struct OwnerTable: @unchecked Sendable {
  // @unchecked: the memory is written before anybody else can have its address.
  package let owners: UnsafePointer<UInt8>

  package init(_ table: SlotTable) {
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: Slot.count)
    for (slot, owner) in table.owners.enumerated() {
      unsafe (memory + slot).initialize(to: owner)
    }
    unsafe owners = UnsafePointer(memory)
  }

  /// Of an `owners` that was published.
  @inlinable
  package init(owners: UnsafePointer<UInt8>) { unsafe self.owners = owners }

  /// Any number is safe to ask for; those above the last slot are taken modulo their count.
  @inlinable
  package subscript(slot: Slot) -> NodeID {
    NodeID(rawValue: unsafe owners[Int(slot.rawValue & 16_383)])
  }

  /// Nobody may use it any more.
  package func free() { unsafe UnsafeMutablePointer(mutating: owners).deallocate() }
}
