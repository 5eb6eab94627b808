/// The course of time.
extension TimerWheel {
  /// Makes everything due whose deadline is at or before `tick`, in the order of the deadlines, for
  /// `popDue` to hand over. A tick before `now` counts as `now`.
  ///
  /// The work is done in `popDue`, a tick's timers at a time, while they are in the caches. Its
  /// cost is that of the timers touched, however far the jump: empty buckets are skipped through
  /// the occupancy bits.
  package mutating func advance(to tick: UInt64) {
    if first(in: Self.overdue) != 0 {
      // They rank behind all that is due already, so that has to be in its bucket first.
      turnAll()
      spliceOverdue()
    }
    now = max(now, tick)
  }

  /// A tick at which to call `advance` again: never later than the earliest deadline, and `now`
  /// when timers are due already; nil when none runs.
  ///
  /// It is the earliest deadline itself when the earliest bucket lies in the lowest level (up to a
  /// second ahead) or holds up to `lookMax` timers; else the tick at which that bucket moves
  /// down a level, so an early wake-up comes at most twice for a deadline, and at most once
  /// for a timer that was re-armed.
  package mutating func nextDeadline() -> UInt64? {
    guard count != 0 else { return nil }
    if first(in: Self.due) != 0 || first(in: Self.overdue) != 0 || turnToDue() { return now }
    while let bucket = earliestBucket() {
      if first(in: bucket) != 0 { return earliestIn(bucket) }
    }
    return now
  }
}

extension TimerWheel {
  /// So many timers of a bucket are looked at for the exact deadline.
  @inlinable static var lookMax: Int { 4 }
  /// And so many words for them, some of which may be gaps.
  static var wordsLookMax: Int { 64 }

  /// Turns the hand to the next tick at which timers are due, or to `now`. Those that are due stay
  /// in the hand's bucket, one of them first in it; false when there are none.
  @usableFromInline
  @inline(never)
  mutating func turnToDue() -> Bool {
    let era = hand &>> 30
    var found = false
    while let bucket = bucketReached() {
      if bucket < Self.lowBuckets {
        found = settle(bucket)
        if found { break }
      } else {
        cascade(bucket)
      }
    }
    if hand &>> 30 != era { stampDue() }
    return found
  }

  /// Turns the hand to `now`; all that is due moves to the bucket `due`.
  @inline(never)
  mutating func turnAll() {
    let era = hand &>> 30
    while let bucket = bucketReached() {
      if bucket < Self.lowBuckets {
        while settle(bucket) {
          let index = first(in: bucket)
          removeFront(of: bucket)
          append(index, to: Self.due)
        }
      } else {
        cascade(bucket)
      }
    }
    if hand &>> 30 != era { stampDue() }
  }

  /// Turns the hand to the next bucket that isn't empty; when none is before `now`, to `now`.
  @inline(__always)
  mutating func bucketReached() -> UInt32? {
    guard let bucket = earliestBucket() else {
      hand = now
      return nil
    }
    let start = startTick(of: bucket)
    hand = min(start, now)
    return start <= now ? bucket : nil
  }

  /// The bucket that comes due first.
  func earliestBucket() -> UInt32? {
    let word = unsafe summary[0].trailingZeroBitCount
    if word < Int(Self.topBegin) / 64 {
      return unsafe UInt32(truncatingIfNeeded: word << 6 | masks[word].trailingZeroBitCount)
    }
    return earliestAtTop()
  }

  /// The top level alone goes round: its numbers start behind the one of the hand.
  @inline(never)
  func earliestAtTop() -> UInt32? {
    // The second word of the summary ends with the bit of due and overdue.
    guard unsafe summary[0] | (summary[1] & 0xffff) != 0 else { return nil }
    let first = Int(Self.topBegin) / 64
    let words = Int(Self.topBuckets) / 64
    let digit = Int(UInt32(truncatingIfNeeded: hand) &>> Self.topShift)
    // The word of the hand comes first with the bits above it and last with the bits below.
    for step in 0...words {
      let word = first + (digit / 64 + step) % words
      var bits = unsafe masks[word]
      if step == 0 { bits &= ~0 &<< UInt64(digit % 64) }
      if bits != 0 { return UInt32(truncatingIfNeeded: word << 6 | bits.trailingZeroBitCount) }
    }
    return nil
  }

  @inline(__always)
  func shift(of bucket: UInt32) -> UInt32 {
    bucket < Self.lowBuckets ? 0 : bucket < Self.topBegin ? Self.middleShift : Self.topShift
  }

  /// The first tick of a bucket's span.
  func startTick(of bucket: UInt32) -> UInt64 {
    let low = UInt32(truncatingIfNeeded: hand)
    let start =
      if bucket < Self.lowBuckets {
        low & ~(Self.lowBuckets - 1) | bucket
      } else if bucket < Self.topBegin {
        low & (.max &<< Self.topShift) | (bucket - Self.lowBuckets) &<< Self.middleShift
      } else {
        (bucket - Self.topBegin) &<< Self.topShift
      }
    return hand &+ UInt64(start &- low)
  }

  /// Moves each timer of an upper bucket, whose first tick is the hand's, to a lower level.
  mutating func cascade(_ bucket: UInt32) {
    if bucket == closing { closeAll() }
    let head = unsafe heads[Int(bucket)]
    guard head.front != 0 else { return }
    unsafe heads[Int(bucket)] = TimerBucket()
    markEmpty(bucket)
    forEach(from: head.front, to: head.end, releasing: true) { wheel, index in
      if index == 0 {
        wheel.gaps &-= 1
      } else {
        wheel.append(index, to: unsafe wheel.bucket(of: wheel.nodes[Int(index)].deadline))
      }
      return true
    }
  }

  /// Moves timers away from the front of the hand's bucket, until one is due: those re-armed to
  /// later, and those that were parked here. False when none is due.
  mutating func settle(_ bucket: UInt32) -> Bool {
    let tick = UInt32(truncatingIfNeeded: hand)
    while true {
      let index = first(in: bucket)
      guard index != 0 else { return false }
      let deadline = unsafe nodes[Int(index)].deadline
      if deadline != tick {
        removeFront(of: bucket)
        append(index, to: self.bucket(of: deadline))
      } else if farCount != 0, let whole = far.removeValue(forKey: index) {
        farCount = far.count
        removeFront(of: bucket)
        placeAgain(index, at: whole)
      } else {
        return true
      }
    }
  }

  /// As `place`, for a deadline that may be at or before `now`, but not the hand.
  @inline(never)
  mutating func placeAgain(_ index: UInt32, at whole: UInt64) {
    guard whole &- hand <= Self.ticksAheadMax else {
      park(index, until: whole)
      return
    }
    let tick = UInt32(truncatingIfNeeded: whole)
    unsafe nodes[Int(index)].deadline = tick
    append(index, to: bucket(of: tick))
  }

  @inline(never)
  mutating func spliceOverdue() {
    while true {
      let index = first(in: Self.overdue)
      guard index != 0 else { return }
      removeFront(of: Self.overdue)
      append(index, to: Self.due)
    }
  }

  /// `rearm` tells a due timer by a deadline that isn't ahead of the hand, and 32 bits can tell
  /// that only of ticks less than 24 days ago. So what waits is stamped anew every 12 days.
  @inline(never)
  mutating func stampDue() {
    for bucket in [Self.due, Self.overdue] {
      let head = unsafe heads[Int(bucket)]
      forEach(from: head.front, to: head.end) { wheel, index in
        // A gap gives node 0, whose deadline means nothing.
        unsafe wheel.nodes[Int(index)].deadline = UInt32(truncatingIfNeeded: wheel.hand)
        return true
      }
    }
  }

  /// The best lower bound that a few looks into the earliest bucket give.
  mutating func earliestIn(_ bucket: UInt32) -> UInt64 {
    let start = startTick(of: bucket)
    // Its timers may all have been re-armed to later than those of the next bucket, which begins
    // behind this one's span at the soonest.
    let span = UInt64(1) &<< UInt64(shift(of: bucket))
    var least = start &+ span &- hand
    let head = unsafe heads[Int(bucket)]
    var looked = 0
    var seen = 0
    forEach(from: head.front, to: head.end) { wheel, index in
      looked += 1
      if index == 0 { return looked <= Self.wordsLookMax }
      seen += 1
      guard seen <= Self.lookMax, looked <= Self.wordsLookMax else {
        looked = Self.wordsLookMax + 1
        return false
      }
      let left = unsafe wheel.nodes[Int(index)].deadline &- UInt32(truncatingIfNeeded: wheel.hand)
      least = min(least, UInt64(left))
      return true
    }
    return looked > Self.wordsLookMax ? start : hand &+ least
  }
}
