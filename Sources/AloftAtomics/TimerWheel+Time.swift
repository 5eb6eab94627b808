/// The course of time.
extension TimerWheel {
  /// Makes everything due whose deadline is at or before `tick`, in the order of the deadlines, for
  /// `popDue` to hand over. A tick before `now` counts as `now`.
  ///
  /// The cost is that of the timers touched, however far the jump: empty buckets are skipped
  /// through the occupancy bits.
  package mutating func advance(to tick: UInt64) {
    if unsafe nodes[Int(Self.overdue)].next != Self.overdue { spliceOverdue() }
    guard tick > now else { return }
    let era = now &>> 30
    while let bucket = earliestBucket() {
      let start = startTick(of: bucket)
      guard start <= tick else { break }
      now = start
      sweep(bucket)
    }
    now = tick
    // `rearm` tells a due timer by a deadline that isn't ahead of now, and 32 bits can tell that
    // only of ticks less than 24 days ago. So what waits is stamped anew every 12 days.
    if tick &>> 30 != era { stampDue(with: tick) }
  }

  /// A tick at which to call `advance` again: never later than the earliest deadline, and `now` when
  /// timers are due already; nil when none runs.
  ///
  /// It is the earliest deadline itself when the earliest bucket lies in the lowest level (up to
  /// 255 ticks ahead) or holds up to `lookMax` timers; else the tick at which that bucket moves
  /// down a level, so an early wake-up comes at most three times for a deadline, and at most once
  /// for a timer that was re-armed.
  package func nextDeadline() -> UInt64? {
    guard count != 0 else { return nil }
    let pending = unsafe masks[Self.maskWords - 1]
    guard pending == 0, let bucket = earliestBucket() else { return now }
    return earliestIn(bucket)
  }
}

extension TimerWheel {
  /// So many timers of a bucket are looked at for the exact deadline.
  @inlinable static var lookMax: Int { 4 }

  /// The bucket that comes due first.
  @inlinable
  func earliestBucket() -> UInt32? {
    let wheel = summary & 0xffff
    guard wheel != 0 else { return nil }
    let word = wheel.trailingZeroBitCount
    if word < 12 {
      let bit = unsafe masks[word].trailingZeroBitCount
      return UInt32(truncatingIfNeeded: word << 6 | bit)
    }
    return earliestAtTop()
  }

  /// The top level alone goes round: its numbers start behind the one of now, and no timer is more
  /// than half a round away.
  @usableFromInline
  @inline(never)
  func earliestAtTop() -> UInt32 {
    let top = UInt32(truncatingIfNeeded: now) &>> 24
    for step in 1...UInt32(128) {
      let bucket = 768 | ((top &+ step) & 255)
      if unsafe masks[Int(bucket &>> 6)] &>> UInt64(bucket & 63) & 1 != 0 { return bucket }
    }
    preconditionFailure("a timer lies in the bucket of now")
  }

  /// The first tick of a bucket's span.
  @inlinable
  func startTick(of bucket: UInt32) -> UInt64 {
    let shift = (bucket &>> 8) &* 8
    let low = UInt32(truncatingIfNeeded: now)
    // `shift + 8` is 32 at the top, where nothing of now is kept: a smart shift gives 0.
    let kept = (low >> (shift &+ 8)) << (shift &+ 8)
    let start = kept | ((bucket & 255) &<< shift)
    return now &+ UInt64(start &- low)
  }

  /// Moves each timer of a bucket, whose first tick is now, to the due list or to a lower level.
  @usableFromInline
  mutating func sweep(_ bucket: UInt32) {
    let tick = UInt32(truncatingIfNeeded: now)
    var index = unsafe nodes[Int(bucket)].next
    unsafe nodes[Int(bucket)].next = bucket
    unsafe nodes[Int(bucket)].previous = bucket
    markEmpty(bucket)
    while index != bucket {
      let next = unsafe nodes[Int(index)].next
      let deadline = unsafe nodes[Int(index)].deadline
      if deadline != tick {
        append(index, to: self.bucket(of: deadline))
      } else if farCount != 0, let whole = far.removeValue(forKey: index) {
        farCount = far.count
        place(index, at: whole)
      } else {
        append(index, to: Self.due)
      }
      index = next
    }
  }

  @usableFromInline
  @inline(never)
  mutating func spliceOverdue() {
    while true {
      let index = unsafe nodes[Int(Self.overdue)].next
      guard index != Self.overdue else { return }
      unlink(index)
      append(index, to: Self.due)
    }
  }

  @usableFromInline
  @inline(never)
  mutating func stampDue(with tick: UInt64) {
    var index = unsafe nodes[Int(Self.due)].next
    while index != Self.due {
      unsafe nodes[Int(index)].deadline = UInt32(truncatingIfNeeded: tick)
      index = unsafe nodes[Int(index)].next
    }
  }

  /// The best lower bound that a few looks into the earliest bucket give.
  func earliestIn(_ bucket: UInt32) -> UInt64 {
    let start = startTick(of: bucket)
    // Its timers may all have been re-armed to later than those of the next bucket, which begins
    // behind this one's span at the soonest.
    let span = UInt64(1) &<< UInt64((bucket &>> 8) &* 8)
    var least = start &+ span &- now
    var index = unsafe nodes[Int(bucket)].next
    for _ in 0..<Self.lookMax {
      let left = unsafe nodes[Int(index)].deadline &- UInt32(truncatingIfNeeded: now)
      least = min(least, UInt64(left))
      index = unsafe nodes[Int(index)].next
      if index == bucket { return now &+ least }
    }
    return start
  }
}
