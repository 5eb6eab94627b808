/// The table of children, and what can be asked of one.
extension SupervisorCore {
  /// Adds a child behind all others, and starts it if the supervisor runs. Nil when it is ending,
  /// or `childrenMax` are there.
  package mutating func add(_ kind: ChildKind, now: UInt64) -> ChildID? {
    guard !isEnding, count < options.childrenMax, let kindIndex = intern(kind) else { return nil }
    let index = takeRecord()
    if lastRank == .max { renumber() }
    lastRank += 1
    records[index].rank = lastRank
    records[index].kind = kindIndex
    records[index].state = .idle
    records[index].previous = tail
    records[index].next = ChildRecord.none
    if tail == ChildRecord.none {
      head = UInt32(index)
    } else {
      records[Int(tail)].next = UInt32(index)
    }
    tail = UInt32(index)
    count += 1
    switch phase {
    case .steady: issueStart(index, now)
    case .starting:
      if cursor == ChildRecord.none { cursor = UInt32(index) }
      continueWalk(now)
    case .new, .stopping, .delaying, .ending, .ended: break
    }
    return id(index)
  }

  private mutating func takeRecord() -> Int {
    if freeHead != ChildRecord.none {
      let index = Int(freeHead)
      freeHead = records[index].next
      records[index].generation &+= 1
      records[index].flags = []
      records[index].attempts = 0
      return index
    }
    var record = ChildRecord()
    record.generation = 1
    records.append(record)
    return records.count - 1
  }

  /// The few kinds are kept once. Nil beyond 65,536 of them.
  private mutating func intern(_ kind: ChildKind) -> UInt16? {
    if tail != ChildRecord.none, self.kind(Int(tail)) == kind { return records[Int(tail)].kind }
    if let known = kinds.firstIndex(of: kind) { return UInt16(known) }
    guard kinds.count <= UInt16.max else { return nil }
    kinds.append(kind)
    return UInt16(kinds.count - 1)
  }

  private mutating func renumber() {
    lastRank = 0
    var at = head
    while at != ChildRecord.none {
      lastRank += 1
      records[Int(at)].rank = lastRank
      at = records[Int(at)].next
    }
  }

  /// Takes a child that is down out of the table.
  mutating func forget(_ index: Int) {
    disarm(index)
    let record = records[index]
    let name = id(index)
    if cursor == UInt32(index) {
      let isDown = phase == .stopping || phase == .ending
      cursor = isDown ? beforeInWalk(index) : record.next
    }
    if boundary == UInt32(index) { boundary = record.next }
    if record.previous == ChildRecord.none {
      head = record.next
    } else {
      records[Int(record.previous)].next = record.next
    }
    if record.next == ChildRecord.none {
      tail = record.previous
    } else {
      records[Int(record.next)].previous = record.previous
    }
    records[index].generation &+= 1
    records[index].state = .free
    records[index].next = freeHead
    // A record whose generations are used up is never given out again.
    if records[index].generation != 0 { freeHead = UInt32(index) }
    count -= 1
    emit(.remove(name))
  }

  // MARK: Orders from outside

  /// Stops a child, which stays known. False when it is not there, or down already.
  package mutating func stopChild(_ id: ChildID, now: UInt64) -> Bool {
    guard let index = find(id), !isEnding else { return false }
    switch records[index].state {
    case .starting, .running:
      issueStop(index, now, keep: false)
    case .waiting:
      disarm(index)
      records[index].state = .idle
      release(index)
    case .idle where records[index].flags.contains(.kept):
      // Its group is being restarted, but it stays down.
      records[index].flags.insert(.skipped)
      release(index)
    case .stopping, .killing:
      guard !records[index].flags.isDisjoint(with: [.kept, .restarted]) else { return false }
      records[index].flags.remove(.restarted)
      records[index].flags.insert(.skipped)
      records[index].setKept(false)
    case .idle, .free:
      return false
    }
    continueWalk(now)
    return true
  }

  /// Starts a child that is down, at once. False when it is not there, or not down.
  package mutating func startChild(_ id: ChildID, now: UInt64) -> Bool {
    guard let index = find(id), !isEnding, phase != .new else { return false }
    switch records[index].state {
    case .waiting:
      disarm(index)
    case .idle:
      records[index].flags.remove(.skipped)
      if isAhead(index) { return true }
    case .starting, .running, .stopping, .killing, .free:
      return false
    }
    issueStart(index, now)
    return true
  }

  /// Stops a child that runs and starts it again, with what it keeps; it counts as no failure.
  package mutating func restartChild(_ id: ChildID, now: UInt64) -> Bool {
    guard let index = find(id), !isEnding else { return false }
    switch records[index].state {
    case .running, .starting:
      issueStop(index, now, keep: true)
      records[index].flags.insert(.restarted)
      return true
    case .waiting, .idle:
      return startChild(id, now: now)
    case .stopping, .killing, .free:
      return false
    }
  }

  /// Stops a child if it runs, and forgets it. False when it is not there.
  package mutating func removeChild(_ id: ChildID, now: UInt64) -> Bool {
    guard let index = find(id), !isEnding else { return false }
    switch records[index].state {
    case .starting, .running:
      issueStop(index, now, keep: false)
      records[index].flags.insert(.removed)
    case .stopping, .killing:
      records[index].flags.remove(.restarted)
      records[index].setKept(false)
      records[index].flags.insert(.removed)
    case .waiting, .idle:
      forget(index)
    case .free:
      return false
    }
    continueWalk(now)
    return true
  }

  /// What a child is doing, for statistics and tests.
  package func isRunning(_ id: ChildID) -> Bool {
    guard let index = find(id) else { return false }
    return records[index].state == .running
  }

  package func knows(_ id: ChildID) -> Bool { find(id) != nil }

  package func isDown(_ id: ChildID) -> Bool {
    guard let index = find(id) else { return true }
    return records[index].state == .idle
  }

  /// All children in the order of starting.
  package func forEach(_ body: (ChildID) -> Void) {
    var at = head
    while at != ChildRecord.none {
      let next = records[Int(at)].next
      body(id(Int(at)))
      at = next
    }
  }
}
