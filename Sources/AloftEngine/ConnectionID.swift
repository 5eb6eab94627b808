/// A connection, named by value: node, event loop, slot and generation in 64 bits.
///
/// An ID is never a reference. Whoever keeps one past the connection's end holds a stale ID, and
/// every operation finds that out by the generation.
///
///     63      56 55      48 47            28 27             0
///     [ node   ] [ loop   ] [ slot         ] [ generation   ]
public struct ConnectionID: Hashable, Sendable {
  public static let slotBits: UInt64 = 20
  public static let generationBits: UInt64 = 28
  /// Slots of one loop.
  public static let slotsMax = 1 << 20
  /// Loops that live in one process at a time.
  public static let loopsMax = 1 << 8

  public let rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable
  public init(node: UInt8 = 0, loop: Int, slot: UInt32, generation: UInt32) {
    rawValue =
      UInt64(node) << 56 | UInt64(truncatingIfNeeded: loop) << 48
      | UInt64(slot) << Self.generationBits | UInt64(generation)
  }

  @inlinable public var loop: Int { Int(truncatingIfNeeded: rawValue >> 48 & 0xFF) }
  @inlinable public var slot: UInt32 {
    UInt32(truncatingIfNeeded: rawValue >> Self.generationBits & 0xF_FFFF)
  }
  @inlinable public var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue & 0xFFF_FFFF) }
}
