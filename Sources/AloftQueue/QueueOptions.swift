/// Limits of a queue that stands alone.
public struct QueueOptions: Sendable, Hashable {
  /// What a push to a full queue does.
  public enum Overflow: Sendable, Hashable {
    /// It is answered `full`.
    case refuse
    /// The oldest message is thrown out, and counted.
    case dropOldest
  }

  /// 2^32: above it the memory of the slots alone would be 64 GiB.
  public static var capacityMax: Int { 1 << 32 }

  /// Most messages inside. Rounded up to a power of two.
  public var capacity: Int
  public var overflow: Overflow
  /// From this depth on the queue is above its high-water mark. `Int.max` for no marks.
  public var highWater: Int
  /// Down to this depth it stays there.
  public var lowWater: Int

  /// - Precondition: `capacity` is 1 to `capacityMax`; `lowWater` < `highWater`.
  public init(
    capacity: Int, overflow: Overflow = .refuse, highWater: Int = .max, lowWater: Int = 0
  ) {
    precondition(1...Self.capacityMax ~= capacity, "a queue for \(capacity) messages")
    precondition(0..<highWater ~= lowWater, "low water \(lowWater), high water \(highWater)")
    self.capacity = capacity
    self.overflow = overflow
    self.highWater = highWater
    self.lowWater = lowWater
  }

  /// The capacity rounded up to a power of two, which the rings take and the marks are measured by.
  public var slots: Int {
    capacity == 1 ? 1 : 1 << (Int.bitWidth - (capacity - 1).leadingZeroBitCount)
  }
}
