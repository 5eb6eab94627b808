import AloftAtomics
import AloftPool

/// What the home does for its pool's logic. All of it on the home's thread.
extension PoolHome {
  func admit(_ waiter: PoolWaiter, _ now: UInt64) {
    let id = state.queue.reserve()
    waiter.index = id.index
    waiter.generation = id.generation
    while unsafe waiters.count <= Int(id.index) { unsafe waiters.append(nil) }
    unsafe waiters[Int(id.index)] = unsafe .passRetained(waiter)
    state.leaseRequested(
      id, since: waiter.since, deadline: waiter.deadline, now: now, into: &actions)
  }

  private func answer(_ id: WaiterID) -> PoolWaiter {
    guard let waiter = unsafe waiters[Int(id.index)] else {
      preconditionFailure("a waiter is answered twice")
    }
    unsafe waiters[Int(id.index)] = nil
    state.queue.release(id)
    // The gate is open again: what loops keep from now on, home doesn't know.
    if table.core.endWaiting() { (hasAskedLoops, isShelfBare) = (false, false) }
    return unsafe waiter.takeRetainedValue()
  }

  /// Carries out what the logic asks for, and what that leads to.
  func perform(_ now: UInt64) {
    while !actions.isEmpty || wantsSeek {
      // The two take turns, so that neither is copied nor made anew.
      swap(&actions, &performing)
      for index in 0..<performing.count { perform(performing[index], now) }
      performing.removeAll(keepingCapacity: true)
      if wantsSeek, actions.isEmpty {
        wantsSeek = false
        seek(now)
      }
    }
  }

  private func perform(_ action: PoolAction, _ now: UInt64) {
    switch action {
    case .open(let slot, let upstream): handler.open(slot, upstream: upstream)
    case .close(let slot): handler.close(slot)
    case .check(let slot): handler.check(slot)
    case .lend(let slot, let id):
      let lease = table.core.lend(slot)
      let named = LeaseHandle(pool: number, slot: slot, generation: lease.generation)
      hand(named, to: answer(id))
    case .refuse(let id, let refusal): answer(id).refused(PoolRefused(refusal))
    case .shelve(let slot):
      isShelfBare = false
      if table.core.shelve(slot) == .mustPoke { wantsSeek = true }
    case .recall(let slot, let isWanted): table.core.setRecall(slot, isWanted)
    case .fetch(let slot):
      if table.core.takeHome(slot) {
        state.cameBack(slot, .sound, now: now, into: &actions)
      } else {
        askLoops(now)
      }
    case .reclaim(let slot): reclaim(slot, now)
    case .seek: wantsSeek = true
    case .shut: table.core.setShut(true)
    case .drained: drained()
    }
  }

  /// A task of this loop runs before those that wait for their turn: until then nobody has use of
  /// what it was handed.
  private func hand(_ lease: LeaseHandle, to waiter: PoolWaiter) {
    guard isHere else { return waiter.granted(lease.rawValue) }
    loop.beginHandOver()
    waiter.granted(lease.rawValue)
    loop.endHandOver()
  }

  // MARK: Looking for what is idle

  private func seek(_ now: UInt64) {
    if !isShelfBare || state.hasRecalled || !state.isOpen { lookAtShelf(now) }
    guard state.waitingCount > 0 else { return }
    if !hasAskedLoops {
      hasAskedLoops = true
      askLoops(now)
    }
    state.sought(loopsAsked: asked.contains { $0.keptSome }, now: now, into: &actions)
  }

  /// Brings home what is on the shelf, as long as somebody waits for it or home wants it.
  func lookAtShelf(_ now: UInt64) {
    while state.waitingCount > 0 || !state.isOpen {
      guard let slot = table.core.takeHome() else {
        // The gate was shut by whoever waits before this look.
        isShelfBare = true
        break
      }
      state.cameBack(slot, .sound, now: now, into: &actions)
    }
    guard state.hasRecalled else { return }
    for slot in state.recalledSlots where table.core.takeHome(slot) {
      state.cameBack(slot, .sound, now: now, into: &actions)
    }
  }

  /// Has every loop bring what it keeps and home wants.
  private func askLoops(_ now: UInt64) {
    for position in loops.indices {
      if position == loop.position {
        table.core.flush(position) {
          state.cameBack($0, .sound, now: now, into: &actions)
        }
        continue
      }
      let isNew = table.core.requestFlush(of: position)
      if table.core.keptCount(by: position) > 0 { asked[position].keptSome = true }
      if asked[position].isUnderWay {
        // It has begun to answer an earlier question, maybe before it could know of this one.
        if isNew { asked[position].again = true }
      } else if isNew {
        ask(position)
      }
    }
  }

  private func ask(_ position: Int) {
    asked[position].isUnderWay = true
    loops[position].executeSurely {
      self.table.core.flush(position) { self.send(home: $0, .returned) }
      let node = unsafe self.answerNode(position)
      unsafe node.pointee.kind = .flushed
      unsafe node.pointee.number = UInt32(position)
      unsafe self.post(node)
    }
  }

  func loopAnswered(_ position: Int, _ now: UInt64) {
    let again = asked[position].again
    asked[position] = PoolDesk.LoopAsked()
    if again {
      asked[position].keptSome = true
      return ask(position)
    }
    state.sought(loopsAsked: asked.contains { $0.keptSome }, now: now, into: &actions)
  }

  private func reclaim(_ slot: Int, _ now: UInt64) {
    let observed = table.core.observe(slot)
    guard observed.isLent else { return }
    let lease = LeaseHandle(pool: number, slot: slot, generation: observed.generation)
    let result =
      position == loop.position
      ? table.core.sendHome(lease, on: loop.position) : table.core.sendHome(lease)
    if result == .mustSendHome {
      state.cameBack(slot, .reclaimed, now: now, into: &actions)
    } else {
      _ = complete(result, lease, .reclaimed)
    }
  }

  // MARK: What has come of opening, closing and checking; any thread

  package func opened(_ slot: Int) { send(home: slot, .opened) }
  package func openFailed(_ slot: Int) { send(home: slot, .openFailed) }
  package func closed(_ slot: Int) { send(home: slot, .closed) }
  package func checked(_ slot: Int, isSound: Bool) {
    send(home: slot, isSound ? .sound : .unsound)
  }

  /// SplitMix64 (Steele, Lea, Flood 2014).
  func random() -> UInt64 {
    randomState &+= 0x9E37_79B9_7F4A_7C15
    var z = randomState
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  // MARK: Time

  /// One timer of the loop for all that the logic waits for, moved only when it would be late.
  func keepTime(_ now: UInt64) {
    guard let next = state.nextDeadline(), next < timerAt else { return }
    if let timer { loop.cancelTimer(timer) }
    // Rounded up: a timer that is early finds nothing to do, and would be set again and again.
    let wait = next > now ? (next - now - 1) / nanosecondsPerTick + 1 : 0
    timerAt = next
    timer = loop.startTimer(afterMilliseconds: wait) { [unowned self] in timeIsUp() }
    // No timer is left: with the next thing that happens at home it is tried again.
    if timer == nil { timerAt = .max }
  }

  private func timeIsUp() {
    timer = nil
    timerAt = .max
    onHome { home, now in
      home.state.advance(now: now, into: &home.actions) { slot in
        let seen = home.table.core.observe(slot)
        return (seen.rawValue, seen.isIdle, seen.isLent)
      }
    }
  }

  private func drained() {
    let told = whenDrained
    whenDrained = []
    for tell in told { tell() }
    // Asked to drain once more, it says so once more, but not to the handler.
    guard !isHandlerThrough else { return }
    isHandlerThrough = true
    handler.drained()
    if hasEnded { return }
    if let timer { loop.cancelTimer(timer) }
    timer = nil
    for index in unsafe loop.hot.pointee.pools.indices
    where unsafe loop.hot.pointee.pools[index].home === self {
      unsafe loop.hot.pointee.pools[index].letGo()
    }
  }
}

extension PoolRefused {
  init(_ refusal: PoolRefusal) {
    self =
      switch refusal {
      case .queueFull(let waiting, let max): .queueFull(waiting: waiting, max: max)
      case .timedOut(let waited): .timedOut(waited: waited)
      case .upstreamDown(let failures, let retryIn):
        .upstreamDown(failures: failures, retryIn: retryIn)
      case .closed: .closed
      case .cancelled: .cancelled
      }
  }
}
