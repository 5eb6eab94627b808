/// Children that come up, and that end.
extension SupervisorCore {
  /// A child has come up. False for one that nobody waits for.
  @discardableResult
  package mutating func started(_ id: ChildID, now: UInt64) -> Bool {
    guard let index = find(id), records[index].state == .starting else { return false }
    disarm(index)
    records[index].state = .running
    records[index].since = UInt32(truncatingIfNeeded: now)
    land(index)
    continueWalk(now)
    return true
  }

  /// A child has ended, by itself or as it was told; or it did not come up. False for one that was
  /// not running.
  @discardableResult
  package mutating func ended(_ id: ChildID, _ how: ChildEnd, now: UInt64) -> Bool {
    guard let index = find(id) else { return false }
    let record = records[index]
    switch record.state {
    case .free, .idle, .waiting: return false
    case .starting, .running, .stopping, .killing: break
    }
    disarm(index)
    records[index].state = .idle
    let wasWalking = land(index)
    records[index].flags.subtract([.restarted, .tooSlow])
    switch record.state {
    case .starting:
      failed(index, .startFailure, first: wasWalking && isInitial, now)
    case .running:
      failed(index, how, first: false, now)
    default:
      if record.flags.contains(.tooSlow) {
        failed(index, .startFailure, first: wasWalking && isInitial, now)
      } else {
        stopped(index, record.flags, now)
      }
    }
    continueWalk(now)
    return true
  }

  /// It was asked to stop, and has.
  private mutating func stopped(_ index: Int, _ flags: ChildRecord.Flags, _ now: UInt64) {
    if flags.contains(.removed) || kind(index).policy == .temporary && !flags.contains(.restarted) {
      forget(index)
    } else if phase != .ending, flags.contains(.restarted) {
      issueStart(index, now)
    } else if !flags.contains(.kept) {
      release(index)
    }
  }

  /// It has ended unasked.
  private mutating func failed(_ index: Int, _ how: ChildEnd, first: Bool, _ now: UInt64) {
    let policy = kind(index).policy
    if records[index].flags.contains(.removed) { return forget(index) }
    if phase == .ending { return settle(index) }
    if first && how == .startFailure {
      finish(.startFailed(id(index)))
      return settle(index)
    }
    // Of a group that is going down to be started again: it saves us a stop.
    if policy != .temporary, phase == .stopping, isInGroup(index) {
      records[index].flags.insert(.kept)
      return
    }
    if policy == .temporary { return forget(index) }
    guard policy == .permanent || how != .normal else { return release(index) }
    guard let wait = countRestart(index, how, now) else { return }
    records[index].flags.insert(.kept)
    emit(.restarting(id(index), after: wait))
    switch options.strategy {
    case .oneForOne:
      if wait == 0 { return issueStart(index, now) }
      records[index].state = .waiting
      arm(index, at: now + wait)
    case .oneForAll:
      restartGroup(from: Int(head), after: wait)
    case .restForOne:
      restartGroup(from: index, after: wait)
    }
  }

  /// Whether one more restart is allowed, and after how long; nil when it was one too many.
  private mutating func countRestart(_ index: Int, _ how: ChildEnd, _ now: UInt64) -> UInt64? {
    let ran = UInt32(truncatingIfNeeded: now) &- records[index].since
    if how != .startFailure, ran >= options.backoff.stableAfter { records[index].attempts = 0 }
    let attempts = records[index].attempts
    let recent = window.add(at: now)
    let allowed = options.intensity.allowed(children: count)
    var reason: SupervisorEnd?
    if recent > allowed {
      reason = .intensityExceeded(id(index), restarts: recent, allowed: allowed)
    } else if options.intensity.consecutiveMax > 0, attempts >= options.intensity.consecutiveMax {
      reason = .childKeptFailing(id(index), attempts: attempts)
    }
    if let reason {
      records[index].flags.insert(.kept)
      finish(reason)
      return nil
    }
    restarts += 1
    records[index].attempts = attempts == .max ? .max : attempts + 1
    return options.backoff.delay(attempts: attempts, random: attempts > 0 ? drawRandom() : 0)
  }

  /// Down while the supervisor ends: kept if that is to be restarted, else gone.
  mutating func settle(_ index: Int) {
    if kind(index).policy == .temporary {
      forget(index)
    } else if !keepsAtEnd {
      release(index)
    } else {
      records[index].flags.insert(.kept)
    }
  }

  /// A supervisor that has failed may be started again by the one above, with its children's
  /// mailboxes as they are.
  var keepsAtEnd: Bool { end != nil && (end != .shutDown || isKeptAtEnd) }
}
