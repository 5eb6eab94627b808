/// The logic of one pool: who waits, what is open, what has to be opened, checked and closed.
///
/// Events in, actions out: each call appends what has to be done to `actions`. It knows no clock
/// (`now` is nanoseconds, never falling), no random source (`random` is one draw) and no resource;
/// it is for one thread at a time, its pool's home.
///
/// What is idle on the shelf or kept by a loop, and what is lent, looks the same from here: `out`.
/// It comes home when it is returned while somebody waits, when it was recalled, or when the
/// engine went to look for it (`seek`, `fetch`). At home it goes, in this order: to be closed, to
/// be checked, to whoever waits longest, to the shelf.
package struct PoolState: ~Copyable {
  enum Phase: Equatable { case open, draining, drained }

  package internal(set) var limits: PoolLimits
  package internal(set) var counts = PoolCounts()
  package internal(set) var waits = WaitHistogram()
  package var queue: WaiterQueue
  package internal(set) var breakers: [CircuitBreaker]
  /// Resources that are open, whoever has them, and those on the way to it and from it.
  package internal(set) var openCount = 0
  package internal(set) var openingCount = 0
  package internal(set) var closingCount = 0
  var slots: [PoolSlot]
  var recalledCount = 0
  var openPerUpstream: [Int]
  var phase = Phase.open
  var nextSweep: UInt64
  var drainsUntil = UInt64.max

  /// `slots`: how many there ever can be, live resizing included.
  package init(limits: PoolLimits, slots: Int, now: UInt64) {
    precondition(limits.slots <= slots)
    self.limits = limits
    self.slots = Array(repeating: PoolSlot(), count: slots)
    queue = WaiterQueue(max: limits.waitersMax, now: now)
    breakers = Array(repeating: CircuitBreaker(limits.breaker), count: limits.upstreams)
    openPerUpstream = Array(repeating: 0, count: limits.upstreams)
    nextSweep = .max
    planSweep(now)
  }

  package var waitingCount: Int { queue.count }
  package var slotsMax: Int { slots.count }
  package var isOpen: Bool { phase == .open }
  package var isDrained: Bool { phase == .drained }
  /// Whether the slot holds a resource, as far as the engine has been told to use one.
  package func isOut(_ slot: Int) -> Bool { slots[slot].state == .out }

  package var hasRecalled: Bool { recalledCount > 0 }

  /// Those that have to come home, wherever they are.
  package var recalledSlots: [Int] {
    slots.indices.filter { slots[$0].isRecalled && slots[$0].state == .out }
  }

  // MARK: Those who ask

  /// First call: opens the resources that are kept.
  package mutating func start(now: UInt64, into actions: inout [PoolAction]) {
    openWhatIsMissing(now, &actions)
  }

  /// `waiter` comes from `queue.reserve`; each is answered once, by `lend` or `refuse`. It has
  /// waited since `since`, on its way here.
  package mutating func leaseRequested(
    _ waiter: WaiterID, since: UInt64, deadline: UInt64, now: UInt64,
    into actions: inout [PoolAction]
  ) {
    if phase != .open { return refuse(waiter, .closed, &actions) }
    if queue.count >= limits.waitersMax {
      return refuse(
        waiter, .queueFull(waiting: queue.count, max: limits.waitersMax), &actions)
    }
    if let down = upstreamsDown(now) { return refuse(waiter, down, &actions) }
    queue.append(waiter, since: min(since, now), deadline: deadline)
    actions.append(.seek)
  }

  /// The answer to `seek`: all that was on the shelf has come back. `loopsAsked`: loops that may
  /// keep some have been asked, and will say `sought` again with what they bring, or without.
  package mutating func sought(
    loopsAsked: Bool, now: UInt64, into actions: inout [PoolAction]
  ) {
    if !loopsAsked { openWhatIsMissing(now, &actions) }
  }

  package mutating func leaseCancelled(
    _ waiter: WaiterID, now: UInt64, into actions: inout [PoolAction]
  ) {
    guard queue.isWaiting(waiter) else { return }
    waits.record(now &- queue.remove(waiter))
    counts.cancelled += 1
    actions.append(.refuse(waiter, .cancelled))
  }

  func upstreamsDown(_ now: UInt64) -> PoolRefusal? {
    guard openCount + openingCount + closingCount == 0 else { return nil }
    var soonest = UInt64.max
    var failures = 0
    for breaker in breakers {
      guard !breaker.permits(now: now) else { return nil }
      soonest = min(soonest, breaker.reopensAt ?? now)
      failures = max(failures, breaker.failures)
    }
    return .upstreamDown(failures: failures, retryIn: soonest - min(soonest, now))
  }

  mutating func refuse(
    _ waiter: WaiterID, _ why: PoolRefusal, _ actions: inout [PoolAction]
  ) {
    counts.refused += 1
    actions.append(.refuse(waiter, why))
  }

  mutating func refuseAll(
    _ why: PoolRefusal, _ now: UInt64, _ actions: inout [PoolAction]
  ) {
    while let waiter = queue.first {
      waits.record(now &- queue.remove(waiter))
      refuse(waiter, why, &actions)
    }
  }

  // MARK: Resources that come home

  package mutating func cameBack(
    _ slot: Int, _ why: PoolReturn, now: UInt64, into actions: inout [PoolAction]
  ) {
    precondition(slots[slot].state == .out, "slot \(slot) came back and was not out")
    switch why {
    case .reclaimed:
      counts.reclaimed += 1
      close(slot, &actions)
    case .broken:
      close(slot, &actions)
    case .doubtful:
      check(slot, now, &actions)
    case .sound:
      settle(slot, checks: slots[slot].errand == .check || limits.checksReturns, now, &actions)
    }
    openWhatIsMissing(now, &actions)
  }

  /// A sound resource is at home.
  mutating func settle(
    _ slot: Int, checks: Bool, _ now: UInt64, _ actions: inout [PoolAction]
  ) {
    if mustClose(slot, now) {
      close(slot, &actions)
    } else if checks {
      check(slot, now, &actions)
    } else {
      place(slot, now, &actions)
    }
  }

  package mutating func checked(
    _ slot: Int, isSound: Bool, now: UInt64, into actions: inout [PoolAction]
  ) {
    slots[slot].checked()
    slots[slot].checkedAt = now
    if isSound {
      settle(slot, checks: false, now, &actions)
    } else {
      counts.checksFailed += 1
      close(slot, &actions)
    }
    openWhatIsMissing(now, &actions)
  }

  private func mustClose(_ slot: Int, _ now: UInt64) -> Bool {
    if phase != .open || slots[slot].errand == .close || now >= slots[slot].expiresAt {
      return true
    }
    // Beyond the size it stays only for those who wait, and only if they are allowed to have it.
    let allowed = limits.sizeMax + (queue.count > 0 ? limits.overflowMax : 0)
    return openCount > allowed
  }

  private mutating func check(
    _ slot: Int, _ now: UInt64, _ actions: inout [PoolAction]
  ) {
    slots[slot].errand = .none
    slots[slot].check()
    actions.append(.check(slot: slot))
  }

  /// To whoever waits longest, or to the shelf.
  private mutating func place(_ slot: Int, _ now: UInt64, _ actions: inout [PoolAction]) {
    slots[slot].isReclaiming = false
    setRecall(slot, limits.checksReturns || openCount > limits.sizeMax, &actions)
    guard let waiter = queue.first else { return actions.append(.shelve(slot: slot)) }
    waits.record(now &- queue.remove(waiter))
    counts.handedOver += 1
    actions.append(.lend(slot: slot, to: waiter))
  }

  mutating func setRecall(_ slot: Int, _ isWanted: Bool, _ actions: inout [PoolAction]) {
    guard slots[slot].isRecalled != isWanted else { return }
    slots[slot].isRecalled = isWanted
    recalledCount += isWanted ? 1 : -1
    actions.append(.recall(slot: slot, isWanted))
  }

  private mutating func close(_ slot: Int, _ actions: inout [PoolAction]) {
    setRecall(slot, false, &actions)
    slots[slot].close()
    openCount -= 1
    closingCount += 1
    openPerUpstream[slots[slot].upstream] -= 1
    actions.append(.close(slot: slot))
  }

  package mutating func closed(
    _ slot: Int, now: UInt64, into actions: inout [PoolAction]
  ) {
    slots[slot].closed()
    closingCount -= 1
    counts.closed += 1
    openWhatIsMissing(now, &actions)
    if queue.count > 0, let down = upstreamsDown(now) { refuseAll(down, now, &actions) }
    endDrainIfEmpty(&actions)
  }
}
