/// The timers of one event loop: a hierarchical timing wheel.
///
/// Source: George Varghese and Tony Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987,
/// scheme 7. A 32-bit tick is read as three digits of 11, 11 and 10 bits, with a level of buckets
/// for each. A timer lies at the level of the highest digit in which its deadline differs from
/// the hand, in the bucket that this digit of the deadline names. So a lower level is always due
/// before a higher one, a level's buckets are due in the order of their numbers, and the earliest
/// bucket is two count-trailing-zeros away. When the hand reaches a bucket, its timers are due at
/// this very tick or move to a lower level: no timer moves more than twice. The lowest level spans
/// a second, the middle one 35 minutes: idle time-outs move once, and a second's worth at a time.
///
/// **Time** is an argument. A tick is a millisecond by convention, counted from wherever the caller
/// likes in 64 bits. Nodes hold the low 32 bits; a deadline more than `ticksAheadMax` away (24
/// days) is parked at that distance and re-placed when it gets there.
///
/// **Order**: nothing comes due early; `advance(to: t)` makes everything due whose deadline is at
/// or before `t`, in the order of the deadlines. At the same tick: the order of `start`, save that
/// a timer moved by `rearm` counts from some point between that call and its old deadline.
///
/// **Re-arming is lazy**: a later deadline is only written into the node, which stays where it is
/// until its old bucket comes due. An idle time-out that is put off with every message costs one
/// store a message.
///
/// **Due timers** wait in their buckets, until `popDue` hands them over one by
/// one. `cancel` and `rearm` work on them as on any other. So whoever handles one may start, move
/// or cancel every timer, its batch-mates included. A timer started at a tick already past comes
/// due with the next `advance`, so that a handler which starts one can't keep a `popDue` loop
/// running for ever.
///
/// **Stale names**: a node carries no generation. `cancel` and `rearm` take the payload again and
/// answer false unless the node is in use and holds it. A payload names the owner and what the
/// timer is for, so an index left over from a timer long gone never hits a stranger's. What is
/// asked of the owner: at most one timer for each payload at a time, cancelled when the owner goes.
///
/// **Memory**: a node of 12 bytes a timer and 4 more once it was freed, its name in a chunk (4.3
/// bytes, with the gaps between up to twice that), reserved for `timersMax` of them at once. Pages
/// are touched when the number of timers first reaches them, so what is taken from the system grows
/// page by page.
///
/// **Threads**: one, the loop's. No call blocks; only `init` and deadlines beyond `ticksAheadMax`
/// allocate.
@safe
@usableFromInline
package struct TimerWheel: ~Copyable {
  /// The largest distance of a deadline that a node can tell from one in the past, in ticks.
  @inlinable package static var ticksAheadMax: UInt64 { UInt64(Int32.max) }

  @inlinable static var lowBuckets: UInt32 { 1 << 10 }
  @inlinable static var middleBuckets: UInt32 { 1 << 11 }
  @inlinable static var topBuckets: UInt32 { 1 << 11 }
  @inlinable static var middleShift: UInt32 { 10 }
  @inlinable static var topShift: UInt32 { 21 }
  @inlinable static var topBegin: UInt32 { lowBuckets + middleBuckets }
  @inlinable static var buckets: UInt32 { topBegin + topBuckets }
  /// Behind the wheel's buckets: what the hand has passed before `popDue` handed it over. Empty but
  /// for those that were due already when a timer was started too late, which ranks behind them.
  @inlinable static var due: UInt32 { buckets }
  /// What was started at a tick already past and waits for the next `advance`.
  @inlinable static var overdue: UInt32 { buckets + 1 }
  @inlinable static var noBucket: UInt32 { .max }
  @inlinable static var maskWords: Int { Int(buckets) / 64 + 1 /* due and overdue */ }
  @inlinable static var summaryWords: Int { (maskWords + 63) / 64 }

  /// How many timers may run at a time.
  @usableFromInline package let timersMax: Int
  /// How many run: started and neither cancelled nor handed over by `popDue`.
  @inlinable package var count: Int { Int(untouched) &- 1 &- freedCount }
  /// The last tick that `advance` was given.
  @usableFromInline package internal(set) var now: UInt64
  /// How far the buckets are swept: at or before `now`, and behind it only while `popDue` has more
  /// to find. Where a timer lies is relative to the hand.
  @usableFromInline var hand: UInt64

  @usableFromInline let nodes: UnsafeMutablePointer<TimerNode>
  /// The chunks that the buckets are made of, 16 words each. Chunk 0 stands for none.
  @usableFromInline let words: UnsafeMutablePointer<UInt32>
  @usableFromInline let heads: UnsafeMutablePointer<TimerBucket>
  /// The last chunk given back, which names the one before it; 0 when there is none.
  @usableFromInline var freeChunk: UInt32 = 0
  /// The first chunk that was never used.
  @usableFromInline var untouchedChunk: UInt32 = 1
  let chunksMax: Int
  /// Words in buckets that name no node any more.
  @usableFromInline var gaps = 0
  @usableFromInline let gapsAtRest: Int
  /// The bucket whose gaps are being closed, what was looked at in it, and what is closed.
  @usableFromInline var closing = Self.noBucket
  var reader: UInt32 = 0
  var writer: UInt32 = 0
  var lastClosed: UInt32 = 0
  /// A bit for each bucket that isn't empty.
  @usableFromInline let masks: UnsafeMutablePointer<UInt64>
  /// A bit for each word of `masks` that isn't 0. Lies behind them.
  @usableFromInline let summary: UnsafeMutablePointer<UInt64>
  /// The first node that was never used.
  @usableFromInline var untouched: UInt32 = 1
  /// The nodes that were used and are free, the last freed on top. A stack beside the nodes rather
  /// than a list through them: a list makes each `start` wait for the cache line of the one before.
  @usableFromInline let freed: UnsafeMutablePointer<UInt32>
  @usableFromInline var freedCount = 0
  /// Deadlines beyond `ticksAheadMax`, whole. Empty in nearly every wheel.
  @usableFromInline var far: [UInt32: UInt64] = [:]
  @usableFromInline var farCount = 0

  /// A wheel without timers that stands at the tick `now`.
  ///
  /// - Parameter timersMax: the limit: at 25 bytes each, 1 Mi of them reserve 25 MiB of addresses.
  package init(timersMax: Int = 1 << 20, now: UInt64 = 0) {
    self.init(timersMax: timersMax, now: now, gapsAtRest: 1024)
  }

  /// - Parameter gapsAtRest: so many gaps are not worth closing; tests want each one closed.
  package init(timersMax: Int, now: UInt64, gapsAtRest: Int) {
    precondition(timersMax > 0 && timersMax <= 1 << 30, "timersMax \(timersMax)")
    self.timersMax = timersMax
    self.now = now
    hand = now
    self.gapsAtRest = gapsAtRest
    chunksMax = Self.chunksMax(timersMax: timersMax, gapsAtRest: gapsAtRest)
    // A cache line each. Pages of both are touched when they are first used.
    let raw = UnsafeMutableRawPointer.allocate(
      byteCount: chunksMax << Self.chunkShift * MemoryLayout<UInt32>.stride, alignment: 4096)
    unsafe words = raw.bindMemory(to: UInt32.self, capacity: chunksMax << Self.chunkShift)
    // Node 0 is nobody's: in no place.
    unsafe nodes = .allocate(capacity: timersMax + 1)
    unsafe nodes.initialize(to: TimerNode())
    let buckets = Int(Self.buckets) + 2 /* due and overdue */
    unsafe heads = .allocate(capacity: buckets)
    unsafe heads.initialize(repeating: TimerBucket(), count: buckets)
    unsafe freed = .allocate(capacity: timersMax)
    unsafe masks = .allocate(capacity: Self.maskWords + Self.summaryWords)
    unsafe masks.initialize(repeating: 0, count: Self.maskWords + Self.summaryWords)
    unsafe summary = masks + Self.maskWords
  }

  deinit {
    unsafe UnsafeMutableRawPointer(words).deallocate()
    unsafe nodes.deallocate()
    unsafe heads.deallocate()
    unsafe freed.deallocate()
    unsafe masks.deallocate()
  }

  /// Bytes of nodes and chunks that were ever used; what they lie on is taken from the system.
  package var bytesTouched: Int {
    Int(untouched) * (MemoryLayout<TimerNode>.stride + MemoryLayout<UInt32>.stride)
      + Int(untouchedChunk) << Self.chunkShift * MemoryLayout<UInt32>.stride
  }

  /// Runs a timer that comes due when `advance` reaches `deadline`; nil when `timersMax` run. O(1).
  @inlinable
  package mutating func start(at deadline: UInt64, payload: UInt32) -> TimerIndex? {
    let index: UInt32
    if freedCount != 0 {
      freedCount &-= 1
      index = unsafe freed[freedCount]
    } else {
      guard count < timersMax else { return nil }
      index = untouched
      untouched &+= 1
    }
    unsafe nodes[Int(index)].payload = payload
    place(index, at: deadline)
    return TimerIndex(rawValue: index)
  }

  /// Moves a timer, due or not, to another deadline. False, and nothing done, when it isn't that
  /// owner's any more. O(1), and one store when the new deadline is the later one.
  @inlinable
  package mutating func rearm(
    _ timer: TimerIndex, payload: UInt32, to deadline: UInt64
  ) -> Bool {
    guard isRunning(timer, payload: payload) else { return false }
    let index = timer.rawValue
    if farCount != 0 { forgetFar(index) }
    let low = UInt32(truncatingIfNeeded: hand)
    let left = unsafe Int32(bitPattern: nodes[Int(index)].deadline &- low)
    let ahead = deadline &- hand
    // Not above 0: it is due, and where it lies has nothing to do with its deadline.
    if left > 0, deadline > now, ahead >= UInt64(left), ahead <= Self.ticksAheadMax {
      unsafe nodes[Int(index)].deadline = UInt32(truncatingIfNeeded: deadline)
      return true
    }
    remove(index)
    place(index, at: deadline)
    return true
  }

  /// Stops a timer, due or not: `popDue` won't hand it over. False, and nothing done, when it isn't
  /// that owner's any more. O(1).
  @inlinable
  @discardableResult
  package mutating func cancel(_ timer: TimerIndex, payload: UInt32) -> Bool {
    guard isRunning(timer, payload: payload) else { return false }
    if farCount != 0 { forgetFar(timer.rawValue) }
    remove(timer.rawValue)
    release(timer.rawValue)
    return true
  }

  /// Whether the node is in use and holds this payload.
  @inlinable
  @inline(__always)
  package func isRunning(_ timer: TimerIndex, payload: UInt32) -> Bool {
    guard timer.rawValue < untouched else { return false }
    let node = unsafe nodes + Int(timer.rawValue)
    return unsafe node.pointee.payload == payload && node.pointee.place != 0
  }

  /// Hands over the earliest timer that has come due, whose node is free from then on. O(1), over
  /// the life of a timer.
  @inlinable
  package mutating func popDue() -> DueTimer? {
    var bucket = Self.due
    var index = first(in: bucket)
    if index == 0 {
      bucket = handBucket
      index = readyFront(of: bucket)
      if index == 0 {
        guard turnToDue() else { return nil }
        bucket = handBucket
        index = first(in: bucket)
      }
    }
    removeFront(of: bucket)
    let payload = unsafe nodes[Int(index)].payload
    release(index)
    return DueTimer(index: TimerIndex(rawValue: index), payload: payload)
  }

  @inlinable
  @inline(__always)
  var handBucket: UInt32 { UInt32(truncatingIfNeeded: hand) & (Self.lowBuckets - 1) }

  /// The node at the front of the hand's bucket if it is known to be due, else 0.
  @inlinable
  @inline(__always)
  func readyFront(of bucket: UInt32) -> UInt32 {
    let place = unsafe heads[Int(bucket)].front
    guard place != 0, farCount == 0, bucket != closing else { return 0 }
    let index = unsafe words[Int(place)]
    let node = unsafe nodes[Int(index)]
    return node.place == place && node.deadline == UInt32(truncatingIfNeeded: hand) ? index : 0
  }
}
