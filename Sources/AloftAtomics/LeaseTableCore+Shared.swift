// What any thread may do: take from the shelf, and give back.
extension LeaseTableCore {
  /// Any thread. A lease of an idle resource, without its pool's number; 0 when nothing is on the
  /// shelf or somebody waits. `start` says where to look first: threads that differ in it keep out
  /// of each other's way.
  @inlinable @inline(__always)
  public func takeShared(from start: Int) -> UInt64 {
    if memory.loadSequential(Self.waiting) != 0 { return 0 }
    let lease = take(from: start, leaving: LeaseWord.lent)
    return lease == UInt64.max ? 0 : lease
  }

  /// `UInt64.max` for none: what home takes may be slot 0, never lent, whose handle is 0. Linear
  /// in the masks, and in the stale bits, each of which is met by one taker.
  @inlinable
  func take(from start: Int, leaving holder: UInt) -> UInt64 {
    var place = start
    // The first mask comes twice: its bits from `start` on, and in the end those before.
    for _ in 0...((slots &+ 63) &>> 6) {
      var bits = memory.loadSequential(mask(place)) & (UInt.max &<< UInt(bitPattern: place & 63))
      while bits != 0 {
        let slot = place & ~63 | bits.trailingZeroBitCount
        let word = takeSlot(slot, leaving: holder)
        if word.rawValue != UInt.max {
          return LeaseHandle(pool: 0, slot: slot, generation: word.generation).rawValue
        }
        bits &= bits &- 1
      }
      place = place & ~63 &+ 64
      if place >= slots { place = 0 }
    }
    return UInt64.max
  }

  /// The slot's new word, or all ones: it isn't on the shelf, and its bit, which said so, is
  /// cleared.
  @inlinable @inline(__always)
  func takeSlot(_ slot: Int, leaving holder: UInt) -> LeaseWord {
    let word = LeaseWord(rawValue: memory.loadRelaxed(state(slot)))
    if word.holder == LeaseWord.shelved {
      let taken = holder == LeaseWord.lent ? word.next(holder: holder) : word.held(by: holder)
      let found = memory.compareExchangeSequential(
        state(slot), word.rawValue, taken.rawValue)
      if found == word.rawValue { return taken }
    }
    return clearHint(slot, leaving: holder)
  }

  /// Clears a bit that was stale, and takes the slot if it was shelved meanwhile: whoever shelved
  /// it may have found the bit still set.
  @inlinable
  func clearHint(_ slot: Int, leaving holder: UInt) -> LeaseWord {
    let bit = bit(slot)
    _ = change(mask(slot)) { $0 & ~bit }
    while true {
      let word = LeaseWord(rawValue: memory.loadSequential(state(slot)))
      if word.holder != LeaseWord.shelved { return LeaseWord(rawValue: UInt.max) }
      let taken = holder == LeaseWord.lent ? word.next(holder: holder) : word.held(by: holder)
      let found = memory.compareExchangeSequential(
        state(slot), word.rawValue, taken.rawValue)
      if found == word.rawValue { return taken }
    }
  }

  /// Any thread. Returns a lease; the handle's pool is not looked at.
  @inlinable @inline(__always)
  public func giveBack(_ handle: LeaseHandle) -> LeaseReturn {
    let slot = handle.slot
    if slot >= slots { return .stale }
    let lent = LeaseWord(generation: handle.generation, holder: LeaseWord.lent)
    let isWanted = isWanted(slot)
    let next = lent.held(by: isWanted ? LeaseWord.away : LeaseWord.shelved)
    let found = memory.compareExchangeSequential(state(slot), lent.rawValue, next.rawValue)
    if found != lent.rawValue { return forward(handle, LeaseWord(rawValue: found)) }
    return isWanted ? .mustSendHome : publish(slot)
  }

  /// Any thread. The same, but the resource goes home in any case: it is broken, or to be checked.
  public func sendHome(_ handle: LeaseHandle) -> LeaseReturn {
    let slot = handle.slot
    if slot >= slots { return .stale }
    let lent = LeaseWord(generation: handle.generation, holder: LeaseWord.lent)
    let away = lent.held(by: LeaseWord.away)
    let found = memory.compareExchangeSequential(state(slot), lent.rawValue, away.rawValue)
    return found == lent.rawValue ? .mustSendHome : forward(handle, LeaseWord(rawValue: found))
  }

  /// A lease that is not lent to all: either a loop's own, or stale.
  @inlinable
  func forward(_ handle: LeaseHandle, _ found: LeaseWord) -> LeaseReturn {
    guard found.isLent, found.generation == handle.generation, let loop = found.loop else {
      return .stale
    }
    return .mustForward(loop: loop)
  }

  /// Any thread but the loop's, for a lease that the loop lent out of its own. True for the first:
  /// it sends the loop a message, and the loop calls `returnClaimed`.
  public func claimReturn(_ handle: LeaseHandle) -> Bool {
    let mark = UInt(truncatingIfNeeded: handle.generation)
    return change(claim(handle.slot)) { _ in mark } != mark
  }

  /// After a slot was shelved: sees to its bit, and says whether home has to look.
  @inlinable @inline(__always)
  func publish(_ slot: Int) -> LeaseReturn {
    if memory.loadSequential(mask(slot)) & bit(slot) == 0 { setHint(slot) }
    return isWanted(slot) ? .mustPoke : .idle
  }

  @inlinable
  func setHint(_ slot: Int) {
    let bit = bit(slot)
    _ = change(mask(slot)) { $0 | bit }
  }
}
