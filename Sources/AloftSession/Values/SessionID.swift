public import AloftMembership

/// A session's number: 128 bits that nobody can guess, and where the session is kept.
///
/// Outside of a cluster it travels as the text that ``SessionKeys`` makes, with a tag that only who
/// knows the cluster's secret can make: what was forged is found out without a look-up.
public struct SessionID: Hashable, Sendable {
  /// The upper 64 bits.
  public let high: UInt64
  /// The lower 64 bits.
  public let low: UInt64
  /// Below 16,384 a slot; from there on, the node that has the session in its memory alone.
  public let place: UInt16

  private static let localBit: UInt16 = 0x4000

  /// A session of this slot. The bits come from a source that can't be guessed, or from
  /// ``SessionKeys``.
  public init(high: UInt64, low: UInt64, slot: Slot) {
    (self.high, self.low) = (high, low)
    place = slot.rawValue & (Self.localBit - 1)
  }

  /// A session in the memory of this node alone.
  public init(high: UInt64, low: UInt64, localTo node: NodeID) {
    (self.high, self.low) = (high, low)
    place = Self.localBit | UInt16(node.rawValue)
  }

  /// Nil when nobody makes such a place.
  package init?(high: UInt64, low: UInt64, place: UInt16) {
    guard place < Self.localBit || (Self.localBit + 1...Self.localBit + 255).contains(place) else {
      return nil
    }
    (self.high, self.low, self.place) = (high, low, place)
  }

  /// The slot that it belongs to, whose owner serves it; nil for a session of one node.
  public var slot: Slot? { place < Self.localBit ? Slot(rawValue: place) : nil }

  /// The node in whose memory alone it is; nil for a session that the log knows.
  public var localNode: NodeID? {
    place < Self.localBit ? nil : NodeID(rawValue: UInt8(truncatingIfNeeded: place))
  }

  package var isLocal: Bool { place & Self.localBit != 0 }
}

/// Whose a session is: 128 bits that ``SessionKeys`` makes of whatever names him. Nobody else can
/// use the session.
public struct Principal: Hashable, Sendable {
  /// The upper 64 bits.
  public let high: UInt64
  /// The lower 64 bits.
  public let low: UInt64

  /// The principal with these bits.
  public init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

  /// Whoever there is, in a service that doesn't tell its users apart.
  public static let anyone = Principal(high: 0, low: 0)
}
