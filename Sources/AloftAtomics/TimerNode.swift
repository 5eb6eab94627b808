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

/// 12 bytes: what a timer is. Where it lies is told by the chunks of its bucket.
@usableFromInline
@frozen
struct TimerNode {
  /// The low 32 bits of the deadline's tick. It may lie later than the bucket says (lazy
  /// re-arming), never earlier.
  @usableFromInline var deadline: UInt32
  /// The owner's own.
  @usableFromInline var payload: UInt32
  /// The word among those of all chunks that names this node; 0 while it is not in use.
  @usableFromInline var place: UInt32

  @inlinable
  init(deadline: UInt32 = 0, payload: UInt32 = 0, place: UInt32 = 0) {
    self.deadline = deadline
    self.payload = payload
    self.place = place
  }
}

/// Where a bucket's names begin, and where the next one goes: words among those of all chunks; 0
/// and 0 when it is empty. `end` is the first word of the chunk behind when the last chunk is full.
@usableFromInline
@frozen
struct TimerBucket {
  @usableFromInline var front: UInt32
  @usableFromInline var end: UInt32

  @inlinable
  init(front: UInt32 = 0, end: UInt32 = 0) {
    self.front = front
    self.end = end
  }
}
