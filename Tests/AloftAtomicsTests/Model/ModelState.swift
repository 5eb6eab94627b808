/// The memory of one execution, by the rules of C++20: which value an operation may find, which
/// place in a word's modification order a store may take, who then knows what, and which plain
/// accesses race.
///
/// An operation may find any value that coherence and the one order of sequential operations
/// allow, whether or not real hardware would show it; a store may land before stores that ran
/// earlier. What it doesn't do: read a store that hasn't run yet (no values out of thin air).
struct ModelState {
  private struct Plain {
    var value: UInt = 0
    var writes = Clock()
    var reads = Clock()
  }

  private let threads: Int
  private var histories: [WordHistory]
  private var touched: [Int] = []
  private var plain: [Plain]
  private var plainTouched: [Int] = []
  private var sequential = SequentialOrder()
  private var fences: [Int] = []

  private var clocks: [Clock]
  /// What relaxed loads have seen, for an acquire fence that may follow.
  private var pendingAcquires: [Clock]
  /// What the last release fence covers, for relaxed stores that follow.
  private var releaseFences: [Clock]
  private var fingerprints: [UInt64]
  private var memoryFingerprint: UInt64 = 0
  /// For each thread, what it has read and written since its attempt began.
  private var attempts: [[(word: Int, value: UInt, isWrite: Bool)]]
  private var retries: [Int]
  private let retriesMax: Int

  private let initial: [Int: UInt]
  private let looksTwice: Bool

  /// `initial` is what words hold that aren't 0 at first.
  init(
    words: Int, threads: Int, retriesMax: Int, initial: [Int: UInt] = [:],
    looksTwice: Bool = false
  ) {
    self.initial = initial
    self.looksTwice = looksTwice
    self.retriesMax = retriesMax
    retries = Array(repeating: 0, count: threads)
    self.threads = threads
    histories = Array(repeating: WordHistory(), count: words)
    plain = Array(repeating: Plain(), count: words)
    clocks = Array(repeating: Clock(), count: threads)
    pendingAcquires = clocks
    releaseFences = clocks
    fingerprints = Array(repeating: 0, count: threads)
    attempts = Array(repeating: [], count: threads)
    for (word, value) in initial {
      histories[word] = WordHistory(value)
      plain[word].value = value
    }
  }

  mutating func reset() {
    for word in touched { histories[word] = WordHistory(initial[word] ?? 0) }
    for word in plainTouched { plain[word] = Plain(value: initial[word] ?? 0) }
    touched.removeAll(keepingCapacity: true)
    plainTouched.removeAll(keepingCapacity: true)
    fences.removeAll(keepingCapacity: true)
    sequential.reset()
    for thread in 0..<threads {
      clocks[thread] = Clock()
      pendingAcquires[thread] = Clock()
      releaseFences[thread] = Clock()
      fingerprints[thread] = UInt64(thread)
      attempts[thread].removeAll(keepingCapacity: true)
      retries[thread] = 0
    }
    memoryFingerprint = 0
  }

  /// Equal for two prefixes that have the same future: what each thread has seen, and each
  /// word's modification order. How the threads' steps were interleaved is not in it.
  var fingerprint: UInt64 {
    var hash = memoryFingerprint
    for one in fingerprints { hash = stirred(hash, one) }
    return hash
  }

  /// What `fingerprint` will be after the operation, without doing it.
  func fingerprint(after operation: Operation, thread: Int, _ place: Int) -> UInt64 {
    let word = operation.word
    var hash = memoryFingerprint
    if operation.kind != .fence && operation.kind != .giveUp && inserts(operation, place) {
      let history = histories[word]
      hash &-= stirred(UInt64(word), history.fingerprint)
      hash &+= stirred(
        UInt64(word),
        history.fingerprint(inserting: thread, clocks[thread][thread], after: place))
    }
    for other in 0..<threads {
      let print =
        other == thread
        ? threadFingerprint(after: operation, thread: thread, place) : fingerprints[other]
      hash = stirred(hash, print)
    }
    return hash
  }

  private func threadFingerprint(
    after operation: Operation, thread: Int, _ place: Int
  ) -> UInt64 {
    let print = stirred(
      fingerprints[thread],
      UInt64(operation.kind.rawValue) << 40 | UInt64(operation.order.rawValue) << 32
        | UInt64(operation.word))
    switch operation.kind {
    case .fence, .giveUp, .store: return print
    case .load, .exchange, .compareExchange, .wake, .sleep:
      let found = histories[operation.word].store(at: place)
      let store = UInt64(bitPattern: Int64(found.thread << 16 | found.event))
      return stirred(stirred(print, store), UInt64(found.value))
    }
  }

  func newest(_ word: Int) -> UInt { histories[word].store(at: histories[word].last).value }

  // MARK: Plain accesses: no step of their own, but they must not race

  /// `nil` when the read races with a write.
  mutating func plainRead(_ word: Int, by thread: Int) -> UInt? {
    let event = begin(thread)
    if plain[word].writes == Clock() && plain[word].reads == Clock() { plainTouched.append(word) }
    plain[word].reads.set(thread, to: event + 1)
    return clocks[thread].covers(plain[word].writes) ? plain[word].value : nil
  }

  /// `false` when the write races with a read or another write.
  mutating func plainWrite(_ word: Int, _ value: UInt, by thread: Int) -> Bool {
    let event = begin(thread)
    if plain[word].writes == Clock() && plain[word].reads == Clock() { plainTouched.append(word) }
    let sees =
      clocks[thread].covers(plain[word].writes) && clocks[thread].covers(plain[word].reads)
    plain[word].value = value
    plain[word].writes.set(thread, to: event + 1)
    return sees
  }

  /// The newest value of a word that only `thread` writes; `nil` when another has written it.
  func loadOwn(_ word: Int, by thread: Int) -> UInt? {
    let store = histories[word].store(at: histories[word].last)
    return store.thread == thread || store.thread < 0 ? store.value : nil
  }

  private mutating func begin(_ thread: Int) -> Int {
    let event = clocks[thread][thread]
    precondition(event < Clock.eventsMax, "more events than the model holds")
    clocks[thread].set(thread, to: event + 1)
    return event
  }

  // MARK: Visible operations

  /// Whether the operation can go on now.
  func isEnabled(_ operation: Operation, thread: Int) -> Bool {
    switch operation.kind {
    case .sleep: newest(operation.word) != 0
    case .giveUp: retries[thread] < retriesMax && missedSomething(thread)
    default: true
    }
  }

  mutating func beginAttempt(_ thread: Int) { attempts[thread].removeAll(keepingCapacity: true) }

  /// Whether the thread's attempt failed because it read, of some word, not the newest value. What
  /// it read before it read or wrote the word again doesn't count, or, where `looksTwice`, only
  /// what it read before it wrote it.
  func missedSomething(_ thread: Int) -> Bool {
    var seen: Set<Int> = []
    for access in attempts[thread].reversed() where !seen.contains(access.word) {
      if newest(access.word) != access.value { return true }
      if access.isWrite || !looksTwice { seen.insert(access.word) }
    }
    return false
  }

  /// Every place in the word's modification order that the operation may read from, or land
  /// behind, appended to `places`.
  mutating func places(_ operation: Operation, thread: Int, _ places: inout [Int]) {
    let word = operation.word
    switch operation.kind {
    case .fence, .giveUp:
      places.append(0)
      return
    case .wake, .sleep:  // The kernel's counter is behind a lock.
      places.append(histories[word].last)
      return
    case .load, .store, .exchange, .compareExchange: break
    }
    for place in histories[word].floor(clocks[thread])...histories[word].last {
      let inserts = inserts(operation, place)
      if inserts && histories[word].isTaken(place) { continue }
      if isConsistent(operation, thread: thread, place, inserts: inserts) { places.append(place) }
    }
  }

  private func inserts(_ operation: Operation, _ place: Int) -> Bool {
    switch operation.kind {
    case .load, .fence, .giveUp: false
    case .store, .exchange, .wake, .sleep: true
    case .compareExchange:
      histories[operation.word].store(at: place).value == operation.expected
    }
  }

  /// A compare-and-exchange that fails is a relaxed load.
  private func order(_ operation: Operation, inserts: Bool) -> Operation.Order {
    operation.kind == .compareExchange && !inserts ? .relaxed : operation.order
  }

  private mutating func isConsistent(
    _ operation: Operation, thread: Int, _ place: Int, inserts: Bool
  ) -> Bool {
    let isSequential = order(operation, inserts: inserts) == .sequential
    if !isSequential && fences.isEmpty { return true }
    var trial = sequential
    return connect(operation, thread: thread, place, inserts: inserts, &trial) != nil
  }

  /// Adds the operation to the sequential order; `nil` when that closes a cycle, else its node,
  /// or -1 when it has none.
  private func connect(
    _ operation: Operation, thread: Int, _ place: Int, inserts: Bool,
    _ order: inout SequentialOrder
  ) -> Int? {
    let clock = clocks[thread]
    let event = clock[thread]
    var node = -1
    if self.order(operation, inserts: inserts) == .sequential {
      node = order.add(thread: thread, event: event, isFence: false, earlier: clock)
    }
    let history = histories[operation.word]
    let rank =
      inserts ? WordHistory.rankOfInsert(after: place) : WordHistory.rankOfRead(place)
    for access in history.accesses {
      let other = history.rank(access)
      if other < rank {
        if node < 0 { continue }
        if access.node >= 0 && !order.order(access.node, before: node) { return nil }
        for fence in fences where self.fence(fence, precedes: access) {
          if !order.order(fence, before: node) { return nil }
        }
      } else if other > rank {
        if node >= 0 && !connect(node, toward: access, &order) { return nil }
        for fence in fences
        where clock[sequential.nodes[fence].thread]
          > sequential.nodes[fence].event
        {
          if !connect(fence, toward: access, &order) { return nil }
        }
      }
    }
    return node
  }

  private func connect(
    _ node: Int, toward access: WordHistory.Access, _ order: inout SequentialOrder
  ) -> Bool {
    if access.node >= 0 && !order.order(node, before: access.node) { return false }
    for fence in fences where self.fence(fence, follows: access) {
      if !order.order(node, before: fence) { return false }
    }
    return true
  }

  private func fence(_ fence: Int, follows access: WordHistory.Access) -> Bool {
    sequential.nodes[fence].clock[access.thread] > access.event
  }

  private func fence(_ fence: Int, precedes access: WordHistory.Access) -> Bool {
    access.clock[sequential.nodes[fence].thread] > sequential.nodes[fence].event
  }

  /// Does it; the answer is what it found.
  mutating func perform(_ operation: Operation, thread: Int, _ place: Int) -> UInt {
    let word = operation.word
    fingerprints[thread] = threadFingerprint(after: operation, thread: thread, place)
    if operation.kind == .fence {
      fence(operation.order, thread: thread)
      return 0
    }
    if operation.kind == .giveUp {
      retries[thread] += 1
      return 0
    }

    let found = histories[word].store(at: place)
    let inserts = inserts(operation, place)
    let order = order(operation, inserts: inserts)
    var node = -1
    if order == .sequential || !fences.isEmpty {
      guard let added = connect(operation, thread: thread, place, inserts: inserts, &sequential)
      else { preconditionFailure("place \(place) was offered and is not consistent") }
      node = added
    }
    let event = begin(thread)
    if operation.kind != .store {
      if order.acquires {
        clocks[thread].join(found.released)
      } else {
        pendingAcquires[thread].join(found.released)
      }
      attempts[thread].append((word, found.value, false))
    }
    if histories[word].accesses.isEmpty { touched.append(word) }
    if inserts {
      let released = order.releases ? clocks[thread] : releaseFences[thread]
      var store = WordHistory.Store(
        value: operation.value, thread: thread, event: event, released: released,
        isExchange: operation.kind != .store)
      if store.isExchange { store.released.join(found.released) }
      if operation.kind == .wake { store.value = found.value + max(operation.value, 1) }
      attempts[thread].append((word, store.value, true))
      memoryFingerprint &-= stirred(UInt64(word), histories[word].fingerprint)
      histories[word].insert(store, after: place, node: node, clock: clocks[thread])
      memoryFingerprint &+= stirred(UInt64(word), histories[word].fingerprint)
    } else {
      histories[word].read(place, thread: thread, event: event, node: node, clock: clocks[thread])
    }
    return operation.kind == .store ? 0 : found.value
  }

  private mutating func fence(_ order: Operation.Order, thread: Int) {
    let event = clocks[thread][thread]
    var node = -1
    if order == .sequential {
      node = sequential.add(thread: thread, event: event, isFence: true, earlier: clocks[thread])
    }
    _ = begin(thread)
    if order.acquires { clocks[thread].join(pendingAcquires[thread]) }
    if order.releases { releaseFences[thread] = clocks[thread] }
    guard node >= 0 else { return }
    sequential.setClock(node, clocks[thread])
    fences.append(node)
    // Nothing follows the new fence yet, so this closes no cycle.
    for word in touched {
      let history = histories[word]
      for access in history.accesses where fence(node, follows: access) {
        for earlier in history.accesses where history.rank(earlier) < history.rank(access) {
          if earlier.node >= 0 { _ = sequential.order(earlier.node, before: node) }
          for other in fences where other != node && fence(other, precedes: earlier) {
            _ = sequential.order(other, before: node)
          }
        }
        // An access that happens before the fence and is itself in the order comes before it.
        if access.node >= 0 { _ = sequential.order(access.node, before: node) }
      }
    }
  }
}
