/// The name of a slot and of what lives in it: where it lies, and which tenant is meant.
///
/// A plain value: it may outlive its tenant, be copied, sent and stored. `SlotMap` finds out that
/// it is stale. 0 is no handle.
@frozen
@usableFromInline
package struct SlotHandle: Hashable, Sendable {
  @usableFromInline package var index: UInt32
  /// Odd in every handle that a map gave out.
  @usableFromInline package var generation: UInt32

  @inlinable
  package init(index: UInt32, generation: UInt32) {
    self.index = index
    self.generation = generation
  }

  /// Both in one word, the generation above.
  @inlinable
  package init(rawValue: UInt64) {
    index = UInt32(truncatingIfNeeded: rawValue)
    generation = UInt32(truncatingIfNeeded: rawValue &>> 32)
  }

  @inlinable
  package var rawValue: UInt64 { UInt64(generation) &<< 32 | UInt64(index) }
}
