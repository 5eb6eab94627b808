import AloftAtomics

/// Time: the user's timers, and the connections' time-outs.
extension EventLoop {
  // MARK: The user's

  /// Calls `action` on the loop, `delay` milliseconds from this moment at the soonest, and again
  /// every `period` milliseconds if that isn't 0. Nil when `timersMax` run.
  package func startTimer(
    afterMilliseconds delay: UInt64, period: UInt32 = 0, _ action: @escaping () -> Void
  ) -> TimerID? {
    preconditionOnLoop()
    return startTimer(afterMilliseconds: delay, period: period, beyondLimit: false, action)
  }

  /// `beyondLimit`: the runtime's own timers: one at most for each listener, and one when draining.
  /// The wheel has room.
  package func startTimer(
    afterMilliseconds delay: UInt64, period: UInt32, beyondLimit: Bool,
    _ action: @escaping () -> Void
  ) -> TimerID? {
    guard unsafe beyondLimit || hot.pointee.timers.count < options.timersMax,
      let index = unsafe hot.pointee.timers.insert(period: period, action: action)
    else { return nil }
    let payload = UserTimers.payloadBit | index
    guard let node = unsafe hot.pointee.wheel.start(at: tick(after: delay), payload: payload) else {
      unsafe hot.pointee.timers.remove(index)
      return nil
    }
    unsafe hot.pointee.timers.entries[Int(index)].node = node.rawValue
    return TimerID(
      loop: number, index: index,
      generation: unsafe hot.pointee.timers.entries[Int(index)].generation)
  }

  /// The loop behind a timer's ID, for its own thread; nil when the loop is gone.
  package static func owner(of id: TimerID) -> Unmanaged<EventLoop>? {
    if let owner = unsafe LoopTable.owner(loop: id.loop) { return unsafe owner }
    checkGone(loop: id.loop)
    return nil
  }

  /// Moves a running timer; false when it has fired, was cancelled, or never was.
  package func rearmTimer(_ id: TimerID, afterMilliseconds delay: UInt64) -> Bool {
    preconditionOnLoop()
    guard id.loop == number, let index = unsafe hot.pointee.timers.find(id) else { return false }
    let node = unsafe TimerIndex(rawValue: hot.pointee.timers.entries[Int(index)].node)
    return unsafe hot.pointee.wheel.rearm(
      node, payload: UserTimers.payloadBit | index, to: tick(after: delay))
  }

  @discardableResult
  package func cancelTimer(_ id: TimerID) -> Bool {
    preconditionOnLoop()
    guard id.loop == number, let index = unsafe hot.pointee.timers.find(id) else { return false }
    let node = unsafe TimerIndex(rawValue: hot.pointee.timers.entries[Int(index)].node)
    unsafe hot.pointee.wheel.cancel(node, payload: UserTimers.payloadBit | index)
    unsafe hot.pointee.timers.remove(index)
    return true
  }

  /// The first tick that begins no sooner than `delay` from now: the turn's clock may be old, and
  /// would let a timer fire early.
  func tick(after delay: UInt64) -> UInt64 {
    let now = driver.now()
    let (nanoseconds, overflow) = delay.multipliedReportingOverflow(by: nanosecondsPerTick)
    let (due, past) = now.addingReportingOverflow(nanoseconds)
    if overflow || past { return UInt64.max / nanosecondsPerTick }
    return due / nanosecondsPerTick + (due % nanosecondsPerTick == 0 ? 0 : 1)
  }

  func fireTimers() {
    unsafe hot.pointee.wheel.advance(to: hot.pointee.tick)
    while let due = unsafe hot.pointee.wheel.popDue() {
      if due.payload & UserTimers.payloadBit != 0 {
        fireUserTimer(due.payload & ~UserTimers.payloadBit)
      } else {
        connectionTimeDue(due.payload)
      }
    }
  }

  private func fireUserTimer(_ index: UInt32) {
    let entry = unsafe hot.pointee.timers.entries[Int(index)]
    guard let action = entry.action else { return }
    statistics.timersFired.add(1)
    if entry.period == 0 {
      unsafe hot.pointee.timers.remove(index)
    } else {
      let next = unsafe hot.pointee.tick + UInt64(entry.period)
      let node = unsafe hot.pointee.wheel.start(at: next, payload: UserTimers.payloadBit | index)
      // The node just given back is free, so one is there.
      unsafe hot.pointee.timers.entries[Int(index)].node = node!.rawValue
    }
    action()
  }

  // MARK: The connections'

  /// Milliseconds until the next of a connection's time-outs, and what it means; nil without any.
  /// Negative and zero mean due. The tick in which something happened may have been all but over:
  /// one more is waited for, so that no time-out is early.
  private func nextTimeout(
    _ state: UnsafeMutablePointer<ConnectionState>, _ settings: ConnectionSettings
  ) -> (left: Int64, reason: CloseReason)? {
    let tick = unsafe UInt32(truncatingIfNeeded: hot.pointee.tick)
    let sinceProgress = unsafe Int64(tick &- state.pointee.progress)
    if unsafe state.pointee.phase == .connecting {
      guard settings.connectTimeout > 0 else { return nil }
      return (Int64(settings.connectTimeout) + 1 - sinceProgress, .connectTimeout)
    }
    var next: (left: Int64, reason: CloseReason)?
    if settings.stallTimeout > 0, unsafe state.pointee.queued > 0 {
      next = (Int64(settings.stallTimeout) + 1 - sinceProgress, .writeStalled)
    }
    if settings.idleTimeout > 0, unsafe state.pointee.phase == .open {
      let left = unsafe Int64(settings.idleTimeout) + 1 - Int64(tick &- state.pointee.activity)
      if left < next?.left ?? .max { next = (left, .idleTimeout) }
    }
    return next
  }

  /// Sees to it that the wheel comes back to this connection in time. A deadline that is only put
  /// off needs no call: the wheel comes, finds it in the future, and comes again.
  func watchTime(_ slot: UInt32, _ state: UnsafeMutablePointer<ConnectionState>) {
    guard let handler = unsafe state.pointee.handler,
      let next = unsafe handler._withUnsafeGuaranteedRef({ unsafe nextTimeout(state, $0.settings) })
    else { return }
    let due = unsafe hot.pointee.tick &+ UInt64(max(next.left, 1))
    let node = unsafe TimerIndex(rawValue: state.pointee.timer)
    if node.rawValue != 0, unsafe hot.pointee.wheel.rearm(node, payload: slot, to: due) { return }
    guard let fresh = unsafe hot.pointee.wheel.start(at: due, payload: slot) else {
      preconditionFailure("the wheel has room for a timer of every connection")
    }
    unsafe state.pointee.timer = fresh.rawValue
  }

  private func connectionTimeDue(_ slot: UInt32) {
    guard let state = unsafe hot.pointee.table.find(slot),
      let handler = unsafe state.pointee.handler
    else { return }
    unsafe state.pointee.timer = 0
    let next = unsafe handler._withUnsafeGuaranteedRef { unsafe nextTimeout(state, $0.settings) }
    guard let next else { return }
    if next.left > 0 {
      unsafe watchTime(slot, state)
    } else {
      unsafe drop(slot, state, next.reason, next.reason == .writeStalled ? .reset : .drop)
    }
  }
}
