// What is opened, and when it isn't.
extension PoolState {
  /// One for each who waits and has none under way, within the limits; and what is kept open.
  mutating func openWhatIsMissing(_ now: UInt64, _ actions: inout [PoolAction]) {
    if isSomethingMissing { openMissing(now, &actions) }
  }

  // By itself: with each hand-over it is asked whether anything is missing, and seldom is.
  @inline(never)
  private mutating func openMissing(_ now: UInt64, _ actions: inout [PoolAction]) {
    while isSomethingMissing, let upstream = upstreamToAsk(now),
      let slot = slots.firstIndex(where: { $0.state == .vacant })
    {
      if openCount + openingCount + closingCount >= limits.sizeMax { counts.overflowed += 1 }
      slots[slot].open()
      slots[slot].upstream = upstream
      breakers[upstream].began(now: now)
      openingCount += 1
      openPerUpstream[upstream] += 1
      actions.append(.open(slot: slot, upstream: upstream))
    }
  }

  /// One more would be opened if an upstream may be asked.
  var isSomethingMissing: Bool {
    let open = openCount + openingCount + closingCount
    let forWaiters = queue.count > openingCount && open < limits.sizeMax + limits.overflowMax
    let toKeep = openCount + openingCount < limits.sizeMin && open < limits.sizeMax
    return phase == .open && (forWaiters || toKeep)
  }

  /// The one with the fewest of those that may be asked.
  private func upstreamToAsk(_ now: UInt64) -> Int? {
    var best: Int?
    for index in breakers.indices where breakers[index].permits(now: now) {
      if best == nil || openPerUpstream[index] < openPerUpstream[best!] { best = index }
    }
    return best
  }

  package mutating func opened(
    _ slot: Int, now: UInt64, random: UInt64, into actions: inout [PoolAction]
  ) {
    slots[slot].opened()
    openingCount -= 1
    openCount += 1
    counts.opened += 1
    breakers[slots[slot].upstream].succeeded()
    slots[slot].checkedAt = now
    slots[slot].seenSince = now
    if limits.lifetimeMax > 0 {
      let spread = limits.lifetimeMax / 1_000 * limits.lifetimeJitter
      slots[slot].expiresAt = now &+ limits.lifetimeMax &- (spread == 0 ? 0 : random % spread)
    }
    // Just opened: no need to check it.
    settle(slot, checks: false, now, &actions)
    openWhatIsMissing(now, &actions)
  }

  package mutating func openFailed(
    _ slot: Int, now: UInt64, random: UInt64, into actions: inout [PoolAction]
  ) {
    slots[slot].openFailed()
    openingCount -= 1
    counts.openFailures += 1
    let upstream = slots[slot].upstream
    openPerUpstream[upstream] -= 1
    breakers[upstream].failed(now: now, random: random)
    openWhatIsMissing(now, &actions)
    // Nothing is open and nothing will be for a while: nobody is kept waiting for that.
    if let down = upstreamsDown(now) { refuseAll(down, now, &actions) }
    endDrainIfEmpty(&actions)
  }

  // MARK: The end

  /// Refuses those who wait, closes what comes home, and takes what is lent away from its
  /// borrowers at `deadline`, if that is not 0. `drained` comes when nothing is open.
  package mutating func drain(
    deadline: UInt64, now: UInt64, into actions: inout [PoolAction]
  ) {
    if phase == .drained { return actions.append(.drained) }
    if deadline > 0 { drainsUntil = min(drainsUntil, deadline) }
    guard phase == .open else { return }
    phase = .draining
    actions.append(.shut)
    refuseAll(.closed, now, &actions)
    bringHome(&actions)
    endDrainIfEmpty(&actions)
  }

  mutating func bringHome(_ actions: inout [PoolAction]) {
    for slot in slots.indices where slots[slot].state == .out {
      setRecall(slot, true, &actions)
      actions.append(.fetch(slot: slot))
    }
  }

  mutating func endDrainIfEmpty(_ actions: inout [PoolAction]) {
    guard phase == .draining, openCount + openingCount + closingCount == 0 else { return }
    phase = .drained
    actions.append(.drained)
  }

  /// New sizes, live. What is too much is closed as it comes home, idle ones first.
  package mutating func resize(
    sizeMin: Int, sizeMax: Int, overflowMax: Int, now: UInt64, into actions: inout [PoolAction]
  ) {
    precondition(sizeMax + overflowMax <= slots.count && sizeMin <= sizeMax)
    limits.sizeMin = sizeMin
    limits.sizeMax = sizeMax
    limits.overflowMax = overflowMax
    guard phase == .open else { return }
    if openCount > sizeMax { bringHome(&actions) }
    openWhatIsMissing(now, &actions)
  }
}
