// What time does. Nothing is timed on the way of a lease: from time to time home looks at each
// slot, and what has not changed between two looks has not been lent or returned in between.
extension PoolState {
  /// Looks are a quarter of the shortest limit apart, and no closer than so.
  private static var sweepMin: UInt64 { 1_000_000 }

  private var sweepEvery: UInt64? {
    let limits = [self.limits.idleMax, self.limits.leaseMax, self.limits.checkEvery]
    let shortest = (limits + [self.limits.lifetimeMax]).filter { $0 > 0 }.min()
    return shortest.map { max($0 / 4, Self.sweepMin) }
  }

  mutating func planSweep(_ now: UInt64) {
    nextSweep = sweepEvery.map { now &+ $0 } ?? .max
  }

  /// When `advance` is to be called next; nil for not at all. After an `advance` it is later than
  /// the time of that: what time can do has then been done.
  package func nextDeadline() -> UInt64? {
    if phase == .drained { return nil }
    var next = min(nextSweep, drainsUntil)
    if let wait = queue.nextDeadline { next = min(next, wait) }
    // Only if a probe would follow: else the time would be up for ever.
    if isSomethingMissing {
      for breaker in breakers { next = min(next, breaker.reopensAt ?? .max) }
    }
    return next == .max ? nil : next
  }

  /// `observe` tells what a slot looks like from outside: a word that changes with every lease and
  /// return, and whether it is idle or lent just now.
  package mutating func advance(
    now: UInt64, into actions: inout [PoolAction],
    observe: (Int) -> (word: UInt64, isIdle: Bool, isLent: Bool)
  ) {
    while let waiter = queue.popDue(now: now) {
      let waited = now &- queue.remove(waiter)
      waits.record(waited)
      counts.timedOut += 1
      actions.append(.refuse(waiter, .timedOut(waited: waited)))
    }
    if now >= nextSweep {
      for slot in slots.indices where slots[slot].state == .out {
        sweep(slot, now, &actions, observe(slot))
      }
      planSweep(now)
    }
    if now >= drainsUntil {
      drainsUntil = .max
      for slot in slots.indices where slots[slot].state == .out { reclaim(slot, &actions) }
    }
    openWhatIsMissing(now, &actions)
  }

  private mutating func sweep(
    _ slot: Int, _ now: UInt64, _ actions: inout [PoolAction],
    _ found: (word: UInt64, isIdle: Bool, isLent: Bool)
  ) {
    if slots[slot].seen != found.word {
      slots[slot].seen = found.word
      slots[slot].seenSince = now
      slots[slot].isReclaiming = false
    }
    let unchanged = now &- slots[slot].seenSince
    if now >= slots[slot].expiresAt {
      want(slot, .close, &actions)
    } else if found.isLent, limits.leaseMax > 0, unchanged >= limits.leaseMax {
      reclaim(slot, &actions)
    } else if found.isIdle, limits.idleMax > 0, unchanged >= limits.idleMax,
      openCount - leaving > limits.sizeMin
    {
      want(slot, .close, &actions)
    } else if found.isIdle, limits.checkEvery > 0,
      now &- slots[slot].checkedAt >= limits.checkEvery
    {
      want(slot, .check, &actions)
    }
  }

  /// Those that will be closed as soon as they come home.
  private var leaving: Int { slots.count { $0.state == .out && $0.errand == .close } }

  private mutating func want(
    _ slot: Int, _ errand: PoolSlot.Errand, _ actions: inout [PoolAction]
  ) {
    guard slots[slot].errand != errand else { return }
    slots[slot].errand = errand
    setRecall(slot, true, &actions)
    actions.append(.fetch(slot: slot))
  }

  private mutating func reclaim(_ slot: Int, _ actions: inout [PoolAction]) {
    guard !slots[slot].isReclaiming else { return }
    slots[slot].isReclaiming = true
    actions.append(.reclaim(slot: slot))
  }
}
