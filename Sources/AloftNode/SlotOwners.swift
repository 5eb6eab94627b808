public import AloftMembership

/// Which node owns each of 16,384 slots: of a cluster (``Node/owners``), or of a ``Balancer``.
///
/// ```swift
/// let node = owners[slot]    // its number; 0 while nobody owns it
/// ```
/// A look-up is one load, on any thread, and costs about a nanosecond. It says who owned the slot a
/// moment ago; of slots that change hands meanwhile some are seen before and some after it.
@safe
public final class SlotOwners: Sendable {
  /// How many slots there are.
  public static let count = Slot.count
  @usableFromInline let table = OwnerTable()

  init() {}

  /// The number of the node that owns the slot, 0...16,383; 0 for nobody.
  @inlinable
  public subscript(slot: Int) -> Int {
    Int(table[Slot(rawValue: UInt16(truncatingIfNeeded: slot))].rawValue)
  }
}
