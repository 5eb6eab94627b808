/// A mailbox, named by value: node, event loop, slot and generation in 64 bits.
///
/// An ID is never a reference. Whoever keeps one past the mailbox's end holds a stale ID, and every
/// operation finds that out by the generation, which is odd in every ID that was given out.
///
///     63      56 55      48 47            24 23             0
///     [ node   ] [ loop   ] [ slot         ] [ generation   ]
@frozen
public struct MailboxID: Hashable, Sendable {
  /// Slots of one loop.
  @inlinable public static var slotsMax: Int { 1 << 24 }
  @inlinable public static var generationsMax: UInt32 { 1 << 24 }

  public let rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable
  public init(node: UInt8 = 0, loop: Int, slot: UInt32, generation: UInt32) {
    rawValue =
      UInt64(node) &<< 56 | UInt64(truncatingIfNeeded: loop & 0xFF) &<< 48
      | UInt64(slot & 0xFF_FFFF) &<< 24 | UInt64(generation & 0xFF_FFFF)
  }

  @inlinable public var node: UInt8 { UInt8(truncatingIfNeeded: rawValue &>> 56) }
  @inlinable public var loop: Int { Int(truncatingIfNeeded: rawValue &>> 48 & 0xFF) }
  @inlinable public var slot: UInt32 { UInt32(truncatingIfNeeded: rawValue &>> 24 & 0xFF_FFFF) }
  @inlinable public var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue & 0xFF_FFFF) }
}
