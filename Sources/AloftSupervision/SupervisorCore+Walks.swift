/// Walks over the children: all of them up, a group down and up again, all of them down.
extension SupervisorCore {
  /// Starts all children, the first one first.
  package mutating func begin(now: UInt64) {
    precondition(phase == .new, "a supervisor begins once")
    phase = .starting
    cursor = head
    continueWalk(now)
  }

  /// Stops all children, the last one first; `ended` follows. False when it was ending already.
  /// - Parameter keep: the supervisor is to be started again: children hold on to what is theirs.
  @discardableResult
  package mutating func shutDown(keep: Bool = false, now: UInt64) -> Bool {
    guard !isEnding else { return false }
    isKeptAtEnd = keep
    finish(.shutDown)
    continueWalk(now)
    return true
  }

  mutating func finish(_ reason: SupervisorEnd) {
    guard !isEnding else { return }
    end = reason
    beginWalkDown(.ending)
    boundary = head
  }

  /// Stops and starts the children from `first` on.
  mutating func restartGroup(from first: Int, after wait: UInt64) {
    delay = wait
    if phase == .stopping {
      // Under way already, and now from further down.
      guard records[first].rank < records[Int(boundary)].rank else { return }
      if cursor == ChildRecord.none { cursor = records[Int(boundary)].previous }
      boundary = UInt32(first)
      return
    }
    beginWalkDown(.stopping)
    boundary = UInt32(first)
  }

  private mutating func beginWalkDown(_ next: Phase) {
    landAll()
    phase = next
    cursor = tail
  }

  mutating func startGroup(_ now: UInt64) {
    phase = .starting
    cursor = boundary
    boundary = ChildRecord.none
    continueWalk(now)
  }

  /// Goes as far as the number of children on their way allows.
  mutating func continueWalk(_ now: UInt64) {
    while true {
      switch phase {
      case .new, .steady, .delaying, .ended:
        return
      case .starting:
        walkUp(now)
        guard cursor == ChildRecord.none, inFlight == 0 else { return }
        phase = .steady
        if isInitial {
          isInitial = false
          emit(.up)
        }
        return
      case .stopping:
        walkDown(now)
        guard cursor == ChildRecord.none, inFlight == 0 else { return }
        delayGroup(now)
      case .ending:
        walkDown(now)
        guard cursor == ChildRecord.none, inFlight == 0, let end else { return }
        phase = .ended
        heap.removeAll()
        emit(.ended(end))
        return
      }
    }
  }

  private mutating func delayGroup(_ now: UInt64) {
    guard delay > 0 else {
      phase = .starting
      cursor = boundary
      boundary = ChildRecord.none
      return
    }
    phase = .delaying
    delayEpoch &+= 1
    heap.push(.init(due: now + delay, index: ChildRecord.none, epoch: delayEpoch))
  }

  private mutating func walkUp(_ now: UInt64) {
    while inFlight < options.inFlightMax, cursor != ChildRecord.none {
      let index = Int(cursor)
      cursor = records[index].next
      guard records[index].state == .idle else { continue }
      if records[index].flags.contains(.skipped) {
        records[index].flags.remove(.skipped)
      } else {
        issueStart(index, now, walking: true)
      }
    }
  }

  private mutating func walkDown(_ now: UInt64) {
    while inFlight < options.inFlightMax, cursor != ChildRecord.none {
      let index = Int(cursor)
      cursor = beforeInWalk(index)
      let isEnding = phase == .ending
      let keep = kind(index).policy != .temporary && (!isEnding || keepsAtEnd)
      switch records[index].state {
      case .running, .starting:
        walk(index)
        issueStop(index, now, keep: keep)
      case .stopping, .killing:
        walk(index)
        joinWalk(index, keep: keep)
      case .waiting:
        disarm(index)
        records[index].state = .idle
        if isEnding { settle(index) }
      case .idle:
        if isEnding, records[index].flags.contains(.kept) { settle(index) }
      case .free:
        preconditionFailure("child \(index) is free and in the list")
      }
    }
  }

  /// It was being stopped already, by an order of its own.
  private mutating func joinWalk(_ index: Int, keep: Bool) {
    let wasToRun = !records[index].flags.isDisjoint(with: [.restarted, .tooSlow])
    records[index].flags.remove(.restarted)
    if phase == .ending {
      if !keep { records[index].setKept(false) }
    } else if wasToRun {
      records[index].setKept(keep)
    } else {
      records[index].flags.insert(.skipped)
    }
  }

  /// The child that a walk down comes to next.
  func beforeInWalk(_ index: Int) -> UInt32 {
    UInt32(index) == boundary ? ChildRecord.none : records[index].previous
  }

  /// Whether the group that is being restarted has it.
  func isInGroup(_ index: Int) -> Bool {
    boundary != ChildRecord.none && records[index].rank >= records[Int(boundary)].rank
  }

  /// Whether a walk that starts children is still to come to it.
  func isAhead(_ index: Int) -> Bool {
    switch phase {
    case .stopping, .delaying: isInGroup(index)
    case .starting:
      cursor != ChildRecord.none && records[index].rank >= records[Int(cursor)].rank
    case .new, .steady, .ending, .ended: false
    }
  }

  // MARK: Who is waited for

  mutating func walk(_ index: Int) {
    guard !records[index].flags.contains(.walking) else { return }
    records[index].flags.insert(.walking)
    inFlight += 1
  }

  @discardableResult
  mutating func land(_ index: Int) -> Bool {
    guard records[index].flags.contains(.walking) else { return false }
    records[index].flags.remove(.walking)
    inFlight -= 1
    return true
  }

  /// The walk that waited for them is over.
  private mutating func landAll() {
    guard inFlight > 0 else { return }
    var at = head
    while at != ChildRecord.none {
      records[Int(at)].flags.remove(.walking)
      at = records[Int(at)].next
    }
    inFlight = 0
  }
}
