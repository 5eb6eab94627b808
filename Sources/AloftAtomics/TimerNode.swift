/// The name of a running timer: where its node lies in the wheel's slab. Never 0, so that an owner
/// may keep a raw 0 for "no timer".
///
/// An index says where, not whose: nodes are used again, the last freed first. `TimerWheel` takes
/// the owner's payload beside it, which is the proof of ownership.
@frozen
@usableFromInline
package struct TimerIndex: Hashable, Sendable {
  @usableFromInline package var rawValue: UInt32

  @inlinable
  package init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// A timer that has come due and been handed over. Its node is free again.
@frozen
@usableFromInline
package struct DueTimer: Hashable, Sendable {
  /// The name it had; an owner that keeps one compares and clears it.
  @usableFromInline package var index: TimerIndex
  /// What `start` was given.
  @usableFromInline package var payload: UInt32

  @inlinable
  package init(index: TimerIndex, payload: UInt32) {
    self.index = index
    self.payload = payload
  }
}

/// 16 bytes, four to a cache line. The heads of the buckets are nodes as well, so that linking and
/// unlinking never ask whether they are at an end.
@usableFromInline
@frozen
struct TimerNode {
  /// The one behind in the bucket; the bucket's own index behind the last.
  @usableFromInline var next: UInt32
  /// The one before in the bucket; `TimerWheel.free` while the node is not in use.
  @usableFromInline var previous: UInt32
  /// The low 32 bits of the deadline's tick. In a bucket it may lie later than the bucket's place
  /// says (lazy re-arming), never earlier.
  @usableFromInline var deadline: UInt32
  /// The owner's own.
  @usableFromInline var payload: UInt32

  @inlinable
  init(next: UInt32, previous: UInt32, deadline: UInt32 = 0, payload: UInt32 = 0) {
    self.next = next
    self.previous = previous
    self.deadline = deadline
    self.payload = payload
  }
}
