import AloftMembership
import AloftSim

@testable import AloftSession

/// A random history of sessions, from one seed: clients ask whoever they like, entries get lost,
/// doubled and overtaken, nodes lag, end and come back, slots move. All that is answered, read and
/// kept is held against ``PlainSessions``, which applies the log as it stands.
final class SessionStory {
  let world: SessionWorld
  var plain = PlainSessions()
  /// By length of the log.
  var past: [PlainSessions] = [PlainSessions()]
  var violation: String?
  var counts: [String: Int] = [:]

  struct Asked {
    var request: SessionRequest
    var floor: UInt64
    /// The life that was asked.
    var life: Incarnation
    /// Life and sequence of its entry, once it's taken, and where it stands there.
    var entry: String?
    var position = 0
    var answer: SessionOutcome?
  }

  var asked: [UInt64: Asked] = [:]
  var nextToken: UInt64 = 1
  var repeatable: [SessionRequest] = []
  /// What entries came to, by life and sequence.
  var outcomes: [String: [SessionOutcome]] = [:]
  /// By session: the greatest version that anybody was told.
  var floors: [SessionID: UInt64] = [:]
  var values: [UInt64: [UInt8]] = [:]
  var transit: [[UInt8]] = []
  /// By node and session: what is attached or held.
  var attached: [Int: [SessionID: [SessionConnection]]] = [:]
  var held: [Int: [SessionID: Int]] = [:]
  var convictedAt: [Incarnation: UInt64] = [:]
  /// Snapshots under way.
  var snapshots: [Int: (index: UInt64, plain: [SessionID: PlainSessions.Session], [[UInt8]])] =
    [:]
  let ids: [SessionID]
  static let principals = [Principal(high: 1, low: 1), Principal(high: 2, low: 2), .anyone]

  init(seed: UInt64, faults: Set<SessionFault> = []) {
    world = SessionWorld(seed: seed, nodes: 4, faults: faults)
    ids = (1...12).map { [world] in world.id($0, slot: UInt16($0 % 5)) }
    for node in world.nodes { node.owner.tellsNews = true }
    catchUpPlain()
  }

  func count(_ what: String) { counts[what, default: 0] += 1 }

  func violate(_ text: @autoclosure () -> String) {
    if violation == nil { violation = text() }
  }

  // MARK: The course of things

  func run(steps: Int) -> String? {
    for _ in 0..<steps where violation == nil {
      step()
      afterStep()
    }
    if violation == nil { finish() }
    return violation
  }

  private func step() {
    let number = world.random.below(world.nodes.count)
    let node = world.nodes[number]
    switch world.random.below(100) {
    case 0..<38: ask()
    case 38..<55: take(node)
    case 55..<72: for _ in 0...world.random.below(4) { world.step(node) }
    case 72..<77: overtake(node)
    case 77..<80: again(node)
    case 80..<83: pass(UInt64(world.random.below(1_500)))
    case 83..<88: read(number)
    case 88..<92: use(number)
    case 92..<95: announce(number)
    case 95..<97: snapshot(number)
    case 97: moveSlot()
    case 98: if world.random.chance(50) { newLife(number) }
    default: if world.random.chance(50) { restart(number) }
    }
  }

  private func afterStep() {
    catchUpPlain()
    for (number, node) in world.nodes.enumerated() {
      while let answer = node.owner.nextAnswer() { answered(answer) }
      while let news = node.owner.nextNews() { heard(number, news) }
      while let event = node.owner.nextSlotEvent() {
        guard case .lost(let slot) = event else { continue }
        attached[number]?.keys.filter { $0.slot == slot }.forEach { attached[number]?[$0] = nil }
        held[number]?.keys.filter { $0.slot == slot }.forEach { held[number]?[$0] = nil }
      }
      let life = node.owner.identity.incarnation
      let over = convictedAt[life].map { world.now > $0 + SessionWorld.lease } ?? false
      node.owner.isAccepting = !over
    }
  }

  /// What the log says, whoever has heard it.
  func catchUpPlain() {
    while past.count <= world.log.count {
      let index = UInt64(past.count)
      let entry = world.log[past.count - 1]
      let results = plain.apply(index: index, entry: entry)
      past.append(plain)
      if let results, let (header, views) = PlainSessions.parse(entry) {
        outcomes["\(header.incarnation.rawValue)/\(header.sequence)"] = results
        for (view, outcome) in zip(views, results) where outcome.code == .done {
          count("\(view.head.kind)")
          if let session = plain.sessions[view.head.id], session.version == outcome.version {
            values[outcome.version] = session.state
          }
        }
        // A state that was changed again within the same entry is nobody's to read.
      }
      for member in plain.cluster.members where !member.isAlive {
        if convictedAt[member.incarnation] == nil { convictedAt[member.incarnation] = world.now }
      }
    }
  }

  private func pass(_ ms: UInt64) {
    world.now += ms * 1_000_000
    afterStep()
    for node in world.nodes { _ = node.owner.tick(now: world.now) }
  }

  private func finish() {
    for entry in transit { world.log.append(entry) }
    transit = []
    for _ in 0..<20 {
      world.now += world.limits.entryRetryNs + 1_000_000
      for node in world.nodes {
        node.owner.leaderChanged(now: world.now)
        while let entry = takeEntry(node) { world.log.append(entry.bytes) }
      }
      catchUpPlain()
      for node in world.nodes { world.catchUp(node) }
      afterStep()
    }
    for (number, node) in world.nodes.enumerated() {
      if node.store.plain != plain.sessions { violate("node \(number) has other sessions") }
      if node.owner.pendingOperations != 0 { violate("node \(number) still waits for something") }
      if node.store.count != plain.sessions.count { violate("node \(number) counts wrong") }
      check(node.store)
    }
  }

  /// Counts and lists follow from the sessions.
  private func check(_ store: SessionStore) {
    for principal in Self.principals {
      let own = plain.sessions.filter { $0.value.principal == principal }
      let bytes = own.values.reduce(0) { sum, session in
        sum + session.state.count + session.name.count
          + session.events.reduce(0) { $0 + $1.count + 4 }
      }
      if store.count(principal: principal) != own.count { violate("a principal's count is wrong") }
      if store.bytes(principal: principal) != bytes { violate("a principal's bytes are wrong") }
      let open = Set(own.filter { $0.value.phase != .closed }.keys)
      if Set(store.list(principal: principal)) != open { violate("a principal's list is wrong") }
    }
  }

  // MARK: Entries

  func takeEntry(_ node: WorldNode) -> SessionEntry? {
    guard let entry = node.owner.takeEntry(now: world.now) else { return nil }
    let name = "\(node.owner.identity.incarnation.rawValue)/\(entry.sequence)"
    let operations = node.owner.entries.first { $0.sequence == entry.sequence }?.operations ?? []
    for (position, operation) in operations.enumerated() where operation.isAwaited {
      asked[operation.token]?.entry = name
      asked[operation.token]?.position = position
    }
    return entry
  }

  private func take(_ node: WorldNode) {
    guard let entry = takeEntry(node) else { return }
    switch world.random.below(10) {
    case 0: transit.append(entry.bytes)
    case 1: node.owner.entryFailed(entry.sequence, now: world.now)
    case 2: world.log += [entry.bytes, entry.bytes]
    default: world.log.append(entry.bytes)
    }
    if world.random.chance(20), let late = transit.popLast() { world.log.append(late) }
  }

  /// A verdict of another node's comes before the log does.
  private func overtake(_ node: WorldNode) {
    guard let entry = node.owner.entries.randomElement(using: &world.random) else { return }
    let name = "\(node.owner.identity.incarnation.rawValue)/\(entry.sequence)"
    guard let verdict = world.nodes.lazy.compactMap({ $0.verdicts[name] }).first else { return }
    count("overtaken")
    node.owner.entryDone(entry.sequence, verdict, now: world.now)
  }

  private func again(_ node: WorldNode) {
    if world.random.chance(50) { return node.owner.leaderChanged(now: world.now) }
    guard let entry = node.owner.entries.randomElement(using: &world.random) else { return }
    node.owner.entryFailed(entry.sequence, now: world.now)
    world.now += 5_000_000
  }
}

extension SimRandom: RandomNumberGenerator {
  public mutating func next() -> UInt64 { word() }
}
