/// What went through a queue, counted exactly: `accepted` = `delivered` + `dropped` + `depth`.
///
/// Taken while others push and pop, it is a picture of the last moments: each number was right at
/// one of them, and the equation holds.
@frozen
public struct QueueStatistics: Equatable, Sendable {
  /// Taken in.
  public var accepted: UInt64
  /// Given out.
  public var delivered: UInt64
  /// Refused: for want of room, or because the queue was closed.
  public var refused: UInt64
  /// Taken in and thrown out again to make room.
  public var dropped: UInt64
  /// Inside.
  public var depth: Int

  @inlinable
  public init(accepted: UInt, taken: UInt, refused: UInt, dropped: UInt) {
    self.accepted = UInt64(max(accepted, taken))
    self.refused = UInt64(refused)
    self.dropped = UInt64(min(dropped, taken))
    delivered = UInt64(taken) - self.dropped
    depth = Int(self.accepted - UInt64(taken))
  }
}
