internal import AloftAtomics
internal import AloftMembership

/// Sessions that nobody uses end, by an entry like any other. Each session of this node's slots
/// that has a time-out has one timer, at its earliest end by what is known when it's set; that the
/// session was used since then is seen when it comes due.
///
/// The idle time is counted by the owner alone: a new owner begins anew, so a session may live
/// longer than it should, never shorter.
extension SessionOwner {
  private static let armedAtATime = 2_000
  private static let expiredAtATime = 2_000

  /// It was used. Its timer sees that when it comes due.
  @inline(__always)
  func touched(_ number: UInt32) {
    store.records[number].activeAt = nowMs
    if store.records[number].timer == 0 { arm(number) }
  }

  /// When it ends if nobody uses it, by the clock's milliseconds; nil for never.
  private func end(_ number: UInt32) -> UInt64? {
    let (activeAt, idle) = (store.records[number].activeAt, store.records[number].idleMs)
    if store.records[number].phase == .closed { return activeAt + limits.closedRetentionMs }
    let deadline = store.records[number].deadline
    let idleEnd = idle == 0 ? UInt64.max : activeAt + UInt64(idle)
    let lifeEnd =
      deadline == 0 ? UInt64.max : deadline > wallOffsetMs ? deadline - wallOffsetMs : 0
    let end = min(idleEnd, lifeEnd)
    return end == .max ? nil : end
  }

  func arm(_ number: UInt32) {
    guard let end = end(number) else { return }
    arm(number, at: end)
  }

  private func arm(_ number: UInt32, at end: UInt64) {
    let deadline = max(end, nowMs + 1)
    let timer = TimerIndex(rawValue: store.records[number].timer)
    if timer.rawValue != 0, store.wheel.rearm(timer, payload: number, to: deadline) { return }
    guard let timer = store.wheel.start(at: deadline, payload: number) else { return }
    store.records[number].timer = timer.rawValue
  }

  /// Time has passed. When to call next at the latest; nil when nothing waits for time.
  package func tick(now: UInt64) -> UInt64? {
    self.now = now
    settleSlots()
    armSome()
    store.wheel.advance(to: nowMs)
    for _ in 0..<Self.expiredAtATime {
      guard let due = store.wheel.popDue() else { break }
      store.records[due.payload].timer = 0
      expire(due.payload)
    }
    var next = store.wheel.nextDeadline().map { max($0 * 1_000_000, now + 1_000_000) }
    if !unarmed.isEmpty || slots.isWaiting { next = min(next ?? .max, now + 1_000_000) }
    if nextToSend < entries.count, retryAt > now { next = min(next ?? .max, retryAt) }
    return next
  }

  /// Of the slots that came, so many at a time that nobody waits for it.
  private func armSome() {
    var left = Self.armedAtATime
    while left > 0, let slot = unarmed.popLast() {
      guard slots[slot] == .ready else { continue }
      left -= store.count(slot: slot)
      store.slots.forEach(Int(slot.rawValue)) { number in
        if store.records[number].timer == 0 { touched(number) }
      }
    }
  }

  private func expire(_ number: UInt32) {
    let record = store.records[number]
    guard record.isLinked else { return }
    // Another's by now, who has a timer of his own.
    if let slot = record.id.slot, slots[slot] != .ready { return }
    guard let end = end(number) else { return }
    if end > nowMs { return arm(number, at: end) }
    if isInUse(number) {
      return arm(number, at: nowMs + max(UInt64(record.idleMs), 1_000))
    }
    let kind: OperationKind = record.phase == .closed ? .remove : .expire
    let head = OperationHead(
      kind: kind, id: record.id, key: 0, expected: record.version, principal: nil)
    let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    if record.id.isLocal { return endLocal(head) }
    guard isAccepting, pendingBytes < limits.queuedBytesMax else {
      return arm(number, at: nowMs + 100)
    }
    unsafe add(head, nothing, number, token: 0, isAwaited: false)
    store.records[number].flags |= Record.ending
  }

  /// A connection is attached, a request is under way.
  private func isInUse(_ number: UInt32) -> Bool {
    if store.records[number].inFlight > 0 { return true }
    if store.has(.expiredWhileAttached) || store.records[number].phase == .closed {
      return false
    }
    dropStale(number)
    return store.records[number].attachment != 0 || store.records[number].holds > 0
  }

  private func endLocal(_ head: OperationHead) {
    store.localVersion += 1
    let view = unsafe OperationView(head, body: UnsafeRawBufferPointer(start: nil, count: 0))
    took(store.perform(view, version: store.localVersion), head.id)
  }
}
