/// The name of one lease of one resource: pool 12 bits, slot 12, generation 40.
///
/// A plain value: it may outlive its lease, be copied, sent, stored and forged. The pool finds out
/// that it is stale, because every lease of a slot has the next generation. 0 is no handle.
///
/// 40 bits last for more than an hour of nothing but leasing one slot at the speed of one core;
/// only a handle kept for exactly one turn of that counter could be taken for a fresh one.
@frozen
public struct LeaseHandle: Hashable, Sendable {
  public let rawValue: UInt64

  @inlinable @inline(__always)
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable @inline(__always)
  public init(pool: Int, slot: Int, generation: UInt64) {
    rawValue =
      UInt64(truncatingIfNeeded: pool) &<< 52 | UInt64(truncatingIfNeeded: slot) &<< 40 | generation
  }

  @inlinable @inline(__always)
  public var pool: Int { Int(truncatingIfNeeded: rawValue &>> 52) }
  @inlinable @inline(__always)
  public var slot: Int { Int(truncatingIfNeeded: rawValue &>> 40) & (Self.slotsMax &- 1) }
  @inlinable @inline(__always)
  public var generation: UInt64 { rawValue & Self.generationMask }

  /// Slots of one pool, and pools of one process: what 12 bits can name. Pool 0 is none.
  @inlinable public static var slotsMax: Int { 1 &<< 12 }
  @inlinable public static var poolsMax: Int { 1 &<< 12 }
  @inlinable static var generationMask: UInt64 { 1 &<< 40 &- 1 }

  @inlinable @inline(__always)
  public static func == (left: LeaseHandle, right: LeaseHandle) -> Bool {
    left.rawValue == right.rawValue
  }
}

/// What a slot's word says: the generation of its last lease, and in whose hands it is.
@frozen
@usableFromInline
struct LeaseWord {
  @usableFromInline let rawValue: UInt

  @inlinable @inline(__always)
  init(rawValue: UInt) { self.rawValue = rawValue }

  @inlinable @inline(__always)
  init(generation: UInt64, holder: UInt) {
    rawValue = UInt(truncatingIfNeeded: generation &<< 16) | holder
  }

  @inlinable @inline(__always)
  var holder: UInt { rawValue & 0xFFFF }
  @inlinable @inline(__always)
  var generation: UInt64 { UInt64(rawValue &>> 16) }

  /// The same generation in other hands.
  @inlinable @inline(__always)
  func held(by holder: UInt) -> LeaseWord { LeaseWord(rawValue: rawValue & ~0xFFFF | holder) }

  /// The next lease.
  @inlinable @inline(__always)
  func next(holder: UInt) -> LeaseWord {
    LeaseWord(rawValue: (rawValue & ~0xFFFF) &+ 0x1_0000 | holder)
  }

  /// With the home, or with nobody: there may be no resource at all.
  @inlinable static var away: UInt { 0 }
  /// Idle, for whoever takes it first.
  @inlinable static var shelved: UInt { 1 }
  /// Lent; any thread may return it.
  @inlinable static var lent: UInt { 2 }
  /// Idle, for one loop alone.
  @inlinable @inline(__always)
  static func kept(by loop: Int) -> UInt { UInt(bitPattern: 4 &+ 2 &* loop) }
  /// Lent by a loop out of its own, which alone may touch the word.
  @inlinable @inline(__always)
  static func lent(by loop: Int) -> UInt { UInt(bitPattern: 5 &+ 2 &* loop) }

  @inlinable @inline(__always)
  var isLent: Bool { holder == Self.lent || holder >= 4 && holder & 1 == 1 }
  @inlinable @inline(__always)
  var isIdle: Bool { holder == Self.shelved || holder >= 4 && holder & 1 == 0 }
  /// The loop whose alone the word is.
  @inlinable @inline(__always)
  var loop: Int? { holder >= 4 ? Int(bitPattern: holder &- 4) / 2 : nil }
}
