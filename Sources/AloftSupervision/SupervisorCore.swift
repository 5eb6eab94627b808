/// A supervisor's mind: which child is to be started, stopped or given up, and when.
///
/// Pure and synchronous. Events come in as calls, with the time in milliseconds, which never goes
/// back; what is to be done comes out of `nextAction`, in order. A child may answer an order at
/// once, with others still to be taken out: an order to stop or kill one whose end has been told
/// meanwhile is void. Randomness is drawn from the seed it was given.
///
/// Source: the behaviour `supervisor` of Erlang/OTP (Joe Armstrong, "Making reliable distributed
/// systems in the presence of software errors", 2003, section 5.2.1; OTP's reference manual), with
/// two departures: the intensity scales with the number of children (``RestartIntensity``), and who
/// fails again and again waits before it is started (``Backoff``).
///
/// **Memory**: 32 bytes a child, and 16 for each one that a deadline runs for. **Time**: a failure
/// under `oneForOne` costs O(1), with a back-off or a deadline O(log of those that wait); a restart
/// of a group costs O(1) for each child of it. Nothing ever looks through all the children, but the
/// start and the end.
package struct SupervisorCore: ~Copyable {
  enum Phase: UInt8 {
    /// Not begun.
    case new
    /// Children are being started, from the cursor to the last.
    case starting
    case steady
    /// A group, from the last child down to the boundary, is being stopped for a restart.
    case stopping
    /// The group is down and waits for its back-off to be over.
    case delaying
    /// All are being stopped, from the last to the first.
    case ending
    case ended
  }

  package let options: SupervisorOptions
  var records: [ChildRecord] = []
  var kinds: [ChildKind] = []
  var freeHead = ChildRecord.none
  var head = ChildRecord.none
  var tail = ChildRecord.none
  var lastRank: UInt32 = 0
  /// Children, running or not.
  package internal(set) var count = 0
  package internal(set) var restarts: UInt64 = 0

  var phase = Phase.new
  /// The next child that the walk comes to.
  var cursor = ChildRecord.none
  /// The first child of the group that is being restarted.
  var boundary = ChildRecord.none
  /// Children that the walk waits for.
  var inFlight = 0
  /// The children that were there at the start have not all come up.
  var isInitial = true
  var end: SupervisorEnd?
  var isKeptAtEnd = false
  var delay: UInt64 = 0
  var delayEpoch: UInt32 = 0

  var window: RestartWindow
  var heap = DeadlineHeap()
  var armed = 0
  private var random: UInt64
  private var actions: [SupervisorAction] = []
  private var actionsTaken = 0

  package init(_ options: SupervisorOptions, seed: UInt64) {
    self.options = options
    window = RestartWindow(length: options.intensity.window)
    random = seed
  }

  /// What is to be done next; nil when nothing is left.
  package mutating func nextAction() -> SupervisorAction? {
    guard actionsTaken < actions.count else {
      actions.removeAll(keepingCapacity: true)
      actionsTaken = 0
      return nil
    }
    actionsTaken += 1
    return actions[actionsTaken - 1]
  }

  package static let bytesPerChild = MemoryLayout<ChildRecord>.stride

  package var hasEnded: Bool { phase == .ended }
  /// It ends, or has.
  package var isEnding: Bool { phase == .ending || phase == .ended }
  package var isSteady: Bool { phase == .steady }

  // MARK: Small things

  func find(_ id: ChildID) -> Int? {
    guard id.generation & 1 == 1, id.index < records.count,
      records[Int(id.index)].generation == id.generation
    else { return nil }
    return Int(id.index)
  }

  func id(_ index: Int) -> ChildID {
    ChildID(index: UInt32(index), generation: records[index].generation)
  }

  func kind(_ index: Int) -> ChildKind { kinds[Int(records[index].kind)] }

  mutating func emit(_ action: SupervisorAction) { actions.append(action) }

  /// SplitMix64 (Steele, Lea and Flood, 2014).
  mutating func drawRandom() -> UInt64 {
    random &+= 0x9E37_79B9_7F4A_7C15
    var word = random
    word = (word ^ word &>> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word &>> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word &>> 31
  }

  // MARK: Deadlines

  mutating func arm(_ index: Int, at due: UInt64) {
    records[index].epoch &+= 1
    records[index].flags.insert(.armed)
    armed += 1
    heap.push(.init(due: due, index: UInt32(index), epoch: records[index].epoch))
  }

  mutating func disarm(_ index: Int) {
    guard records[index].flags.contains(.armed) else { return }
    records[index].flags.remove(.armed)
    records[index].epoch &+= 1
    armed -= 1
    guard heap.entries.count > 2 * armed + 64 else { return }
    let delayed = phase == .delaying ? delayEpoch : nil
    heap.sweep { [records] in Self.isWaiting($0, records, delayed) }
  }

  private static func isWaiting(
    _ entry: DeadlineHeap.Entry, _ records: [ChildRecord], _ delayed: UInt32?
  ) -> Bool {
    if entry.index == ChildRecord.none { return entry.epoch == delayed }
    let record = records[Int(entry.index)]
    return record.flags.contains(.armed) && record.epoch == entry.epoch
  }

  /// The tick at which `timer` is to be called next; nil for not at all.
  package mutating func nextDeadline() -> UInt64? {
    let delayed = phase == .delaying ? delayEpoch : nil
    while let first = heap.entries.first, !Self.isWaiting(first, records, delayed) {
      heap.removeFirst()
    }
    return heap.next
  }

  /// Time has come this far.
  package mutating func timer(_ now: UInt64) {
    while let due = heap.pop(at: now) {
      if due.index == ChildRecord.none {
        if phase == .delaying, due.epoch == delayEpoch { startGroup(now) }
        continue
      }
      let index = Int(due.index)
      let record = records[index]
      guard record.flags.contains(.armed), record.epoch == due.epoch else { continue }
      disarm(index)
      switch record.state {
      case .waiting:
        issueStart(index, now)
      case .starting:
        records[index].flags.insert(.tooSlow)
        issueKill(index, keep: kind(index).policy != .temporary)
      case .stopping:
        issueKill(index, keep: record.flags.contains(.kept))
      case .free, .idle, .running, .killing:
        preconditionFailure("a deadline of child \(index) in state \(record.state)")
      }
    }
    continueWalk(now)
  }

  // MARK: Orders to children

  mutating func issueStart(_ index: Int, _ now: UInt64, walking: Bool = false) {
    records[index].state = .starting
    records[index].flags.subtract([.kept, .skipped, .restarted, .tooSlow])
    if walking { walk(index) }
    let limit = kind(index).startLimit
    if limit > 0 { arm(index, at: now + UInt64(limit)) }
    emit(.start(id(index)))
  }

  mutating func issueStop(_ index: Int, _ now: UInt64, keep: Bool) {
    disarm(index)
    let limit = kind(index).stopLimit
    guard limit > 0 else { return issueKill(index, keep: keep) }
    records[index].state = .stopping
    records[index].setKept(keep)
    if limit != ChildKind.unlimited { arm(index, at: now + UInt64(limit)) }
    emit(.stop(id(index), keep: keep))
  }

  mutating func issueKill(_ index: Int, keep: Bool) {
    records[index].state = .killing
    records[index].setKept(keep)
    emit(.kill(id(index), keep: keep))
  }

  /// Its resources go, unless there is nothing left of them.
  mutating func release(_ index: Int) {
    records[index].setKept(false)
    emit(.release(id(index)))
  }
}

extension ChildRecord {
  mutating func setKept(_ isKept: Bool) {
    if isKept { flags.insert(.kept) } else { flags.remove(.kept) }
  }
}
