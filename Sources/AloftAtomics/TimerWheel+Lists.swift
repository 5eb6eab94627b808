/// Which bucket a timer lies in, the buckets' occupancy bits, the free nodes.
extension TimerWheel {
  /// Names a node that is in no bucket in the one of its deadline.
  @inlinable
  @inline(__always)
  mutating func place(_ index: UInt32, at deadline: UInt64) {
    let ahead = deadline &- hand
    guard deadline > now, ahead <= Self.ticksAheadMax else {
      placeElsewhere(index, at: deadline)
      return
    }
    let tick = UInt32(truncatingIfNeeded: deadline)
    unsafe nodes[Int(index)].deadline = tick
    append(index, to: bucket(of: tick))
  }

  /// The two unusual ways to place: what is past already, and what is too far off for 32 bits.
  @usableFromInline
  @inline(never)
  mutating func placeElsewhere(_ index: UInt32, at deadline: UInt64) {
    guard deadline > now else {
      unsafe nodes[Int(index)].deadline = UInt32(truncatingIfNeeded: hand)
      append(index, to: Self.overdue)
      return
    }
    park(index, until: deadline)
  }

  @inline(never)
  mutating func park(_ index: UInt32, until deadline: UInt64) {
    far[index] = deadline
    farCount = far.count
    let tick = UInt32(truncatingIfNeeded: hand &+ Self.ticksAheadMax)
    unsafe nodes[Int(index)].deadline = tick
    append(index, to: bucket(of: tick))
  }

  @usableFromInline
  @inline(never)
  mutating func forgetFar(_ index: UInt32) {
    far[index] = nil
    farCount = far.count
  }

  /// The bucket of a tick that isn't the hand's: its level is that of the highest digit that
  /// differs.
  @inlinable
  @inline(__always)
  func bucket(of tick: UInt32) -> UInt32 {
    let differs = tick ^ UInt32(truncatingIfNeeded: hand)
    if differs < Self.lowBuckets { return tick & (Self.lowBuckets - 1) }
    if differs &>> Self.topShift == 0 {
      return Self.lowBuckets &+ ((tick &>> Self.middleShift) & (Self.middleBuckets - 1))
    }
    return Self.topBegin &+ (tick &>> Self.topShift)
  }

  @inlinable
  @inline(__always)
  mutating func markOccupied(_ bucket: UInt32) {
    // Read and written apart: |= in place breaks Swift 6.3's compiler under ThreadSanitizer.
    let word = unsafe masks[Int(bucket &>> 6)]
    unsafe masks[Int(bucket &>> 6)] = word | 1 &<< UInt64(bucket & 63)
    let words = unsafe summary[Int(bucket &>> 12)]
    unsafe summary[Int(bucket &>> 12)] = words | 1 &<< UInt64(bucket &>> 6 & 63)
  }

  @inlinable
  @inline(__always)
  mutating func markEmpty(_ bucket: UInt32) {
    let word = Int(bucket &>> 6)
    let left = unsafe masks[word] & ~(1 &<< UInt64(bucket & 63))
    unsafe masks[word] = left
    guard left == 0 else { return }
    let words = unsafe summary[word &>> 6]
    unsafe summary[word &>> 6] = words & ~(1 &<< UInt64(word & 63))
  }

  /// Puts a node that is in no bucket on top of the free ones.
  @inlinable
  @inline(__always)
  mutating func release(_ index: UInt32) {
    unsafe nodes[Int(index)].place = 0
    unsafe freed[freedCount] = index
    freedCount &+= 1
  }
}
