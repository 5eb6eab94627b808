import AloftPool

/// A pool in virtual time with a plain model of all that is around it: who waits, in which order,
/// and in whose hands each resource is. It carries out what the logic asks for and writes down
/// whatever breaks a promise.
struct PoolWorld: ~Copyable {
  enum Place: Equatable { case vacant, opening, idle, home, lent(Int), checking, closing }

  /// What a broken engine, or broken logic, would do.
  enum Fault: CaseIterable {
    case none
    /// A hand-over gets lost.
    case losesHandOver
    /// It goes to whoever came last.
    case overtakes
    /// A resource is handed over and put on the shelf as well.
    case lendsTwice
    /// One more is opened than was asked for.
    case opensTooMany
    /// A refusal gets lost.
    case forgetsWaiter
    /// A timer gets lost.
    case missesTime
  }

  var state: PoolState
  var places: [Place]
  var recalled: [Bool]
  var changes: [UInt64]
  /// In the order in which they came; the caller's number and its deadline.
  var waiting: [(id: WaiterID, caller: Int, deadline: UInt64)] = []
  var granted: [Int: Int] = [:]
  var refused: [Int: PoolRefusal] = [:]
  var actions: [PoolAction] = []
  var complaints: [String] = []
  var now: UInt64 = 1_000_000_000
  var isDrained = false
  let fault: Fault
  var faultsLeft = 1
  private var wantsSeek = false

  init(_ limits: PoolLimits, slots: Int? = nil, fault: Fault = .none) {
    let slots = slots ?? limits.slots
    state = PoolState(limits: limits, slots: slots, now: now)
    places = Array(repeating: .vacant, count: slots)
    recalled = Array(repeating: false, count: slots)
    changes = Array(repeating: 0, count: slots)
    self.fault = fault
    state.start(now: now, into: &actions)
    perform()
  }

  // MARK: What the world does

  /// The fast way when nobody waits, else the queue.
  mutating func ask(_ caller: Int, timeout: UInt64 = 0) {
    if waiting.isEmpty, state.isOpen, let slot = places.firstIndex(of: .idle) {
      changes[slot] += 1
      places[slot] = .lent(caller)
      granted[caller] = slot
      return
    }
    let id = state.queue.reserve()
    let deadline = timeout == 0 ? 0 : now + timeout
    waiting.append((id, caller, deadline))
    state.leaseRequested(id, since: now, deadline: deadline, now: now, into: &actions)
    perform()
  }

  mutating func giveBack(_ slot: Int, _ why: PoolReturn = .sound) {
    guard case .lent(let caller) = places[slot] else { return }
    granted[caller] = nil
    changes[slot] += 1
    if waiting.isEmpty, !recalled[slot], state.isOpen, why == .sound {
      places[slot] = .idle
    } else {
      bringHome(slot, why)
      perform()
    }
  }

  mutating func cancel(_ index: Int) {
    state.leaseCancelled(waiting[index].id, now: now, into: &actions)
    perform()
  }

  mutating func finishOpening(_ slot: Int, succeeds: Bool = true, random: UInt64 = 0) {
    guard places[slot] == .opening else { return }
    if succeeds {
      places[slot] = .home
      state.opened(slot, now: now, random: random, into: &actions)
    } else {
      places[slot] = .vacant
      state.openFailed(slot, now: now, random: random, into: &actions)
    }
    perform()
  }

  mutating func finishClosing(_ slot: Int) {
    guard places[slot] == .closing else { return }
    places[slot] = .vacant
    state.closed(slot, now: now, into: &actions)
    perform()
  }

  mutating func finishCheck(_ slot: Int, isSound: Bool) {
    guard places[slot] == .checking else { return }
    places[slot] = .home
    state.checked(slot, isSound: isSound, now: now, into: &actions)
    perform()
  }

  mutating func pass(_ nanoseconds: UInt64) {
    let end = now + nanoseconds
    while now <= end, let next = state.nextDeadline(), next <= end {
      now = max(now, next)
      advance()
      // Whatever could be done has been, or its time would be up for ever.
      if let again = state.nextDeadline(), again <= now {
        complain("time is up again, since \(again)")
        return
      }
    }
    now = max(now, end)
    advance()
  }

  private mutating func advance() {
    if let next = state.nextDeadline(), next <= now, strikes(.missesTime) { return }
    let (places, changes) = (places, changes)
    state.advance(now: now, into: &actions) { slot in
      var isLent = false
      if case .lent = places[slot] { isLent = true }
      return (changes[slot] * 4 + (isLent ? 1 : 0), places[slot] == .idle, isLent)
    }
    perform()
  }

  /// Opens, closes and checks all that is under way.
  mutating func settle(checksSucceed: Bool = true) {
    for _ in 0..<100
    where places.contains(where: { $0 == .opening || $0 == .closing || $0 == .checking }) {
      for slot in places.indices {
        finishOpening(slot)
        finishClosing(slot)
        finishCheck(slot, isSound: checksSucceed)
      }
    }
  }

  mutating func drain(within limit: UInt64 = 0) {
    state.drain(deadline: limit == 0 ? 0 : now + limit, now: now, into: &actions)
    perform()
  }

  mutating func resize(min: Int = 0, max: Int, overflow: Int = 0) {
    state.resize(sizeMin: min, sizeMax: max, overflowMax: overflow, now: now, into: &actions)
    perform()
  }

  func count(_ place: Place) -> Int { places.count { $0 == place } }
  var lentCount: Int { places.count { if case .lent = $0 { true } else { false } } }

  // MARK: What the logic asks for

  private mutating func bringHome(_ slot: Int, _ why: PoolReturn) {
    places[slot] = .home
    state.cameBack(slot, why, now: now, into: &actions)
  }

  private mutating func complain(_ text: String) {
    if complaints.count < 10 { complaints.append("at \(now): \(text)") }
  }

  private mutating func strikes(_ kind: Fault) -> Bool {
    guard fault == kind, faultsLeft > 0 else { return false }
    faultsLeft -= 1
    return true
  }

  mutating func perform() {
    while !actions.isEmpty || wantsSeek {
      let batch = actions
      actions.removeAll()
      for action in batch { perform(action) }
      if wantsSeek, actions.isEmpty {
        wantsSeek = false
        while state.waitingCount > 0, let slot = places.firstIndex(of: .idle) {
          bringHome(slot, .sound)
        }
        if state.waitingCount > 0 {
          state.sought(loopsAsked: false, now: now, into: &actions)
        }
      }
    }
    judge()
  }

  private mutating func perform(_ action: PoolAction) {
    switch action {
    case .open(let slot, _):
      if places[slot] != .vacant { complain("opens slot \(slot), which is \(places[slot])") }
      places[slot] = .opening
      if strikes(.opensTooMany), let other = places.firstIndex(of: .vacant) {
        places[other] = .opening
      }
    case .close(let slot): move(slot, to: .closing, "closes")
    case .check(let slot): move(slot, to: .checking, "checks")
    case .shelve(let slot): move(slot, to: .idle, "shelves")
    case .lend(let slot, let id): lend(slot, id)
    case .refuse(let id, let why): refuse(id, why)
    case .recall(let slot, let isWanted): recalled[slot] = isWanted
    case .fetch(let slot): if places[slot] == .idle { bringHome(slot, .sound) }
    case .reclaim(let slot):
      if case .lent(let caller) = places[slot] {
        granted[caller] = nil
        bringHome(slot, .reclaimed)
      }
    case .seek: wantsSeek = true
    case .shut: break
    case .drained: isDrained = true
    }
  }

  private mutating func move(_ slot: Int, to place: Place, _ what: String) {
    if places[slot] != .home { complain("\(what) slot \(slot), which is \(places[slot])") }
    places[slot] = place
  }

  private mutating func lend(_ slot: Int, _ id: WaiterID) {
    if places[slot] != .home { complain("lends slot \(slot), which is \(places[slot])") }
    if strikes(.losesHandOver) { return }
    var at = waiting.firstIndex { $0.id == id }
    if waiting.count > 1, strikes(.overtakes) { at = waiting.indices.last }
    guard let at else { return complain("lends to one who doesn't wait") }
    if at != 0 {
      return complain("caller \(waiting[at].caller) overtakes \(waiting[0].caller)")
    }
    changes[slot] += 1
    places[slot] = .lent(waiting[at].caller)
    granted[waiting[at].caller] = slot
    state.queue.release(waiting[at].id)
    waiting.remove(at: at)
    if strikes(.lendsTwice) { places[slot] = .idle }
  }

  private mutating func refuse(_ id: WaiterID, _ why: PoolRefusal) {
    if strikes(.forgetsWaiter) { return }
    guard let at = waiting.firstIndex(where: { $0.id == id }) else {
      return complain("refuses one who doesn't wait")
    }
    if case .timedOut = why, waiting[at].deadline == 0 || waiting[at].deadline > now {
      complain("caller \(waiting[at].caller) is refused before its deadline")
    }
    refused[waiting[at].caller] = why
    state.queue.release(id)
    waiting.remove(at: at)
  }

  // MARK: What must always hold

  private mutating func judge() {
    let open = places.count { $0 != .vacant }
    if open > places.count { complain("\(open) open") }
    if places.contains(.home) { complain("a resource is left at home") }
    if !waiting.isEmpty, places.contains(.idle) { complain("somebody waits for an idle one") }
    if waiting.count != state.waitingCount {
      complain("\(waiting.count) wait and the logic knows of \(state.waitingCount)")
    }
    let lent = lentCount + count(.idle) + count(.home)
    if lent != state.openCount - count(.checking) {
      complain("\(lent) are out, and \(state.openCount) open of which \(count(.checking)) checked")
    }
    if count(.opening) != state.openingCount { complain("\(count(.opening)) are opening") }
    if Set(granted.values).count != granted.count { complain("a resource has two borrowers") }
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same story for the same seed.
struct StoryRandom: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
