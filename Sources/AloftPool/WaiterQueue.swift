import AloftAtomics

/// Those who wait, in the order in which they came, each with its deadline: all operations take
/// constant time. Places are used again, with the next generation.
package struct WaiterQueue: ~Copyable {
  private struct Place {
    var generation: UInt32 = 0
    var previous: UInt32 = 0
    var next: UInt32 = 0
    var timer = TimerIndex(rawValue: 0)
    var since: UInt64 = 0
    var isWaiting = false
  }

  /// Place 0 is the ring's own: before the first and behind the last.
  private var places = [Place()]
  private var free: UInt32 = 0
  private var wheel: TimerWheel
  /// No deadline is before this one; the wheel is asked only when it has come, for to look for its
  /// earliest timer takes longer than a hand-over.
  private var soonest = UInt64.max
  package private(set) var count = 0

  private static let tick: UInt64 = 1_000_000

  package init(max: Int, now: UInt64) {
    wheel = TimerWheel(timersMax: Swift.max(max, 1), now: now / Self.tick)
  }

  /// A name for one who is about to wait.
  package mutating func reserve() -> WaiterID {
    var index = free
    if index == 0 {
      index = UInt32(places.count)
      places.append(Place())
    } else {
      free = places[Int(index)].next
    }
    return WaiterID(index: index, generation: places[Int(index)].generation)
  }

  /// Gives back a name that is in no queue.
  package mutating func release(_ waiter: WaiterID) {
    let index = Int(waiter.index)
    precondition(places[index].generation == waiter.generation && !places[index].isWaiting)
    places[index].generation &+= 1
    places[index].next = free
    free = waiter.index
  }

  /// At the end. `deadline` 0 means none.
  mutating func append(_ waiter: WaiterID, since: UInt64, deadline: UInt64) {
    let last = places[0].previous
    let index = Int(waiter.index)
    places[index].previous = last
    places[index].next = 0
    places[index].since = since
    places[index].isWaiting = true
    places[Int(last)].next = waiter.index
    places[0].previous = waiter.index
    count += 1
    guard deadline > 0 else { return }
    let due = deadline / Self.tick + (deadline % Self.tick == 0 ? 0 : 1)
    soonest = min(soonest, due * Self.tick)
    // There is a node for as many as may wait.
    places[index].timer = wheel.start(at: due, payload: waiter.index)!
  }

  var first: WaiterID? {
    let index = places[0].next
    if index == 0 { return nil }
    return WaiterID(index: index, generation: places[Int(index)].generation)
  }

  package func isWaiting(_ waiter: WaiterID) -> Bool {
    let index = Int(waiter.index)
    return index > 0 && index < places.count && places[index].isWaiting
      && places[index].generation == waiter.generation
  }

  /// Since when it has waited.
  mutating func remove(_ waiter: WaiterID) -> UInt64 {
    let index = Int(waiter.index)
    precondition(isWaiting(waiter), "waiter \(waiter.index) doesn't wait")
    let (previous, next) = (places[index].previous, places[index].next)
    places[Int(previous)].next = next
    places[Int(next)].previous = previous
    if places[index].timer.rawValue != 0 {
      wheel.cancel(places[index].timer, payload: waiter.index)
      places[index].timer = TimerIndex(rawValue: 0)
    }
    places[index].isWaiting = false
    count -= 1
    if count == 0 { soonest = .max }
    return places[index].since
  }

  mutating func popDue(now: UInt64) -> WaiterID? {
    if now < soonest { return nil }
    wheel.advance(to: now / Self.tick)
    guard let due = wheel.popDue() else {
      // Later than now, and maybe a little early.
      soonest = wheel.nextDeadline().map { max($0, now / Self.tick + 1) * Self.tick } ?? .max
      return nil
    }
    places[Int(due.payload)].timer = TimerIndex(rawValue: 0)
    return WaiterID(index: due.payload, generation: places[Int(due.payload)].generation)
  }

  /// Nanoseconds; may be early, never late.
  var nextDeadline: UInt64? { soonest == .max ? nil : soonest }
}
