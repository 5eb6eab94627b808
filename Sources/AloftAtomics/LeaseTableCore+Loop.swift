// What a loop does with the resources that it keeps for itself. All of it is for that loop's
// thread: the words are plain, or atomic only because home reads them.
extension LeaseTableCore {
  /// Loop. A lease of what the loop keeps, the last one returned first; 0 when it keeps nothing or
  /// somebody waits.
  @inlinable @inline(__always)
  public func takeKept(by loop: Int) -> UInt64 {
    if memory.loadSequential(Self.waiting) != 0 { return 0 }
    let slice = slice(loop)
    let count = memory.loadOwn(slice)
    if count == 0 { return 0 }
    let slot = Int(bitPattern: memory.read(slice &+ Int(bitPattern: count)))
    memory.storeRelaxed(slice, count &- 1)
    let word = LeaseWord(rawValue: memory.loadRelaxed(state(slot)))
      .next(holder: LeaseWord.lent(by: loop))
    memory.storeRelaxed(state(slot), word.rawValue)
    return LeaseHandle(pool: 0, slot: slot, generation: word.generation).rawValue
  }

  /// Loop. Returns a lease on a loop: kept by the loop while it has room, else shelved. It may be
  /// the loop's own, or one that any thread might return.
  @inlinable @inline(__always)
  public func giveBack(_ handle: LeaseHandle, on loop: Int) -> LeaseReturn {
    if keepOwn(handle, on: loop) { return .idle }
    let slot = handle.slot
    if slot >= slots { return .stale }
    let own = LeaseWord(generation: handle.generation, holder: LeaseWord.lent(by: loop))
    // What another thread has returned is found out by its claim.
    if memory.loadRelaxed(state(slot)) != own.rawValue { return adopt(handle, by: loop) }
    if memory.loadRelaxed(claim(slot)) == UInt(truncatingIfNeeded: handle.generation) {
      return .stale
    }
    return keep(own, slot, by: loop)
  }

  /// Loop. The usual case of `giveBack`, small enough to be part of its caller: a lease of the
  /// loop's own, which nobody wants and for which it has room. Else false, and nothing is done.
  @inlinable @inline(__always)
  public func keepOwn(_ handle: LeaseHandle, on loop: Int) -> Bool {
    let slot = handle.slot
    if slot >= slots { return false }
    let own = LeaseWord(generation: handle.generation, holder: LeaseWord.lent(by: loop))
    let slice = slice(loop)
    let count = memory.loadOwn(slice)
    if memory.loadRelaxed(state(slot)) != own.rawValue || count == UInt(bitPattern: share)
      || memory.loadRelaxed(claim(slot)) == UInt(truncatingIfNeeded: handle.generation)
      || isWanted(slot)
    {
      return false
    }
    memory.storeRelaxed(state(slot), own.held(by: LeaseWord.kept(by: loop)).rawValue)
    memory.write(slice &+ Int(bitPattern: count) &+ 1, UInt(bitPattern: slot))
    memory.storeRelaxed(slice, count &+ 1)
    return true
  }

  @inlinable @inline(__always)
  func keep(_ own: LeaseWord, _ slot: Int, by loop: Int) -> LeaseReturn {
    if isWanted(slot) {
      memory.storeRelaxed(state(slot), own.held(by: LeaseWord.away).rawValue)
      return .mustSendHome
    }
    let slice = slice(loop)
    let count = memory.loadOwn(slice)
    if count == UInt(bitPattern: share) {
      memory.storeSequential(state(slot), own.held(by: LeaseWord.shelved).rawValue)
      return publish(slot)
    }
    memory.storeRelaxed(state(slot), own.held(by: LeaseWord.kept(by: loop)).rawValue)
    memory.write(slice &+ Int(bitPattern: count) &+ 1, UInt(bitPattern: slot))
    memory.storeRelaxed(slice, count &+ 1)
    return .idle
  }

  /// A lease from the shelf, or from home, that ends on a loop: the loop keeps the resource.
  @inlinable
  func adopt(_ handle: LeaseHandle, by loop: Int) -> LeaseReturn {
    let slot = handle.slot
    let full = memory.loadOwn(slice(loop)) == UInt(bitPattern: share)
    if full || isWanted(slot) { return giveBack(handle) }
    let lent = LeaseWord(generation: handle.generation, holder: LeaseWord.lent)
    let kept = lent.held(by: LeaseWord.lent(by: loop))
    let found = memory.compareExchangeSequential(state(slot), lent.rawValue, kept.rawValue)
    if found != lent.rawValue { return forward(handle, LeaseWord(rawValue: found)) }
    return keep(kept, slot, by: loop)
  }

  /// Loop. Returns a lease of the loop's own that another thread has claimed to return. `toHome`:
  /// the resource goes home in any case.
  public func returnClaimed(_ handle: LeaseHandle, on loop: Int, toHome: Bool) -> LeaseReturn {
    let slot = handle.slot
    let own = LeaseWord(generation: handle.generation, holder: LeaseWord.lent(by: loop))
    guard slot < slots, memory.loadRelaxed(state(slot)) == own.rawValue else { return .stale }
    if toHome {
      memory.storeRelaxed(state(slot), own.held(by: LeaseWord.away).rawValue)
      return .mustSendHome
    }
    return keep(own, slot, by: loop)
  }

  /// Loop. As `sendHome`, on a loop.
  public func sendHome(_ handle: LeaseHandle, on loop: Int) -> LeaseReturn {
    let own = LeaseWord(generation: handle.generation, holder: LeaseWord.lent(by: loop))
    guard handle.slot < slots, memory.loadRelaxed(state(handle.slot)) == own.rawValue else {
      return sendHome(handle)
    }
    if memory.loadRelaxed(claim(handle.slot)) == UInt(truncatingIfNeeded: handle.generation) {
      return .stale
    }
    return returnClaimed(handle, on: loop, toHome: true)
  }

  /// Loop, when home's message is there: hands each resource that home wants to `send`, which
  /// sends it home. While anybody waits that is all of them.
  public func flush(_ loop: Int, _ send: (Int) -> Void) {
    _ = memory.exchangeAcquire(flushWanted(loop), 0)
    let slice = slice(loop)
    let count = Int(bitPattern: memory.loadOwn(slice))
    var left = 0
    for index in 0..<count {
      let slot = Int(bitPattern: memory.read(slice &+ 1 &+ index))
      if isWanted(slot) {
        let word = LeaseWord(rawValue: memory.loadRelaxed(state(slot)))
        memory.storeRelaxed(state(slot), word.held(by: LeaseWord.away).rawValue)
        send(slot)
      } else {
        memory.write(slice &+ 1 &+ left, UInt(bitPattern: slot))
        left &+= 1
      }
    }
    memory.storeRelaxed(slice, UInt(bitPattern: left))
  }
}
