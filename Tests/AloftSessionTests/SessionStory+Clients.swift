import AloftMembership
import AloftSim

@testable import AloftSession

extension SessionStory {
  // MARK: Writes

  private func bytes(_ most: Int) -> [UInt8] {
    (0..<world.random.below(most + 1)).map { _ in UInt8(truncatingIfNeeded: world.random.word()) }
  }

  private func fields(_ isPatch: Bool) -> [SessionField] {
    var names = ["a", "b", "c", "dd", "e"]
    world.random.shuffle(&names)
    return names.prefix(world.random.below(4)).map { name in
      SessionField(
        name: Array(name.utf8), value: isPatch && world.random.chance(30) ? nil : bytes(12))
    }
  }

  private func operation() -> SessionOperation {
    switch world.random.below(20) {
    case 0...5:
      let options = SessionOptions(
        phase: world.random.chance(80) ? .active : .negotiating,
        durability: world.random.chance(50) ? .replicated : .durable,
        idleTimeoutMs: world.random.chance(60) ? UInt32(world.random.in(500...4_000)) : 0,
        lifetimeMs: world.random.chance(20) ? UInt64(world.random.in(2_000...9_000)) : 0,
        stateMax: world.random.chance(30) ? 64 : 64 << 10,
        outboxEventsMax: world.random.chance(50) ? 3 : 256,
        outboxBytesMax: world.random.chance(30) ? 60 : 64 << 10,
        keysMax: UInt8(world.random.in(0...9)))
      let state = world.random.chance(50) ? SessionField.state(fields(false)) : bytes(80)
      return .create(options, name: bytes(6), state: state)
    case 6...8: return .put(world.random.chance(50) ? SessionField.state(fields(false)) : bytes(90))
    case 9...11: return .append(bytes(20))
    case 12, 13: return .patch(fields(true))
    case 14: return .setPhase([.active, .suspended, .closed, .negotiating][world.random.below(4)])
    case 15...17: return .publish(bytes(30))
    case 18: return .acknowledge(through: UInt64(world.random.below(8)))
    default: return .close
    }
  }

  func ask() {
    var request: SessionRequest
    if world.random.chance(25), let old = repeatable.randomElement(using: &world.random) {
      request = old
      count("repeated")
    } else {
      let id = ids[world.random.below(ids.count)]
      let known = plain.sessions[id]?.principal
      let stranger = Self.principals[world.random.below(Self.principals.count)]
      request = SessionRequest(
        id: id, principal: world.random.chance(90) ? known ?? stranger : stranger,
        key: world.random.chance(60) ? world.random.word() | 1 : 0, operation: operation())
      if world.random.chance(25) {
        request.expected = world.random.chance(80) ? plain.sessions[id]?.version : 3
      }
      if request.key != 0 {
        repeatable.append(request)
        if repeatable.count > 12 { repeatable.removeFirst() }
      }
    }
    guard let slot = request.id.slot else { return }
    let node =
      world.random.chance(90)
      ? world.owner(of: slot) ?? world.nodes[0] : world.nodes[world.random.below(world.nodes.count)]
    let token = nextToken
    nextToken += 1
    asked[token] = Asked(
      request: request, floor: floors[request.id] ?? 0, life: node.owner.identity.incarnation)
    let outcome =
      world.random.chance(50)
      ? node.owner.submit(request, token: token, now: world.now)
      : request.bytes.withUnsafeBytes { node.owner.submit(bytes: $0, token: token, now: world.now) }
    if let outcome { answered(SessionAnswer(token: token, outcome: outcome), isImmediate: true) }
  }

  func answered(_ answer: SessionAnswer, isImmediate: Bool = false) {
    guard let was = asked[answer.token] else { return violate("an answer nobody waits for") }
    guard was.answer == nil else { return violate("\(was.request) is answered twice") }
    asked[answer.token]?.answer = answer.outcome
    count("answer \(answer.outcome.code)")
    let outcome = answer.outcome
    if !isImmediate { hold(was, outcome) }
    guard outcome.isDone else { return }
    if outcome.code == .done, isImmediate { violate("done, without the log: \(was.request)") }
    switch was.request.operation {
    case .publish, .acknowledge: break
    default:
      if outcome.code == .done, outcome.version <= was.floor {
        violate("a write has version \(outcome.version), not above \(was.floor)")
      }
      floors[was.request.id] = max(floors[was.request.id] ?? 0, outcome.version)
    }
  }

  /// What came by the log is what the log says.
  private func hold(_ was: Asked, _ outcome: SessionOutcome) {
    let agreed = was.entry.flatMap { outcomes[$0]?[was.position] }
    switch outcome.code {
    case .uncertain: return
    case .moved where agreed == nil: return
    default:
      if agreed != outcome {
        violate(
          "\(was.request) is answered \(outcome), and the log says \(String(describing: agreed))")
      }
    }
  }

  // MARK: Reads

  func read(_ number: Int) {
    let node = world.nodes[number]
    let id = ids[world.random.below(ids.count)]
    let principal = plain.sessions[id]?.principal ?? .anyone
    if world.random.chance(40) { return readLocally(node, id, principal) }
    let reading = node.owner.read(id, by: principal, now: world.now)
    let floor = floors[id] ?? 0
    switch reading {
    case .found(let ref):
      count("read")
      let version = node.store.version(ref)
      if version < floor { violate("node \(number) reads \(version) of \(id) after \(floor)") }
      if let value = values[version], node.store.state(ref) != value {
        violate("node \(number) reads what version \(version) isn't")
      }
      if version >> 16 > UInt64(world.log.count) { violate("a read of the future") }
      floors[id] = max(floor, version)
    case .refused(let outcome):
      // It was told of, so it's there, or was closed.
      let isForgotten = outcome.code == .unknown && floor > 0 && plain.sessions[id] != nil
      if isForgotten, past.allSatisfy({ ($0.sessions[id]?.version ?? floor) == floor }) {
        violate("node \(number) doesn't know of \(id)")
      }
    }
  }

  /// Never back behind what the reader has seen.
  private func readLocally(_ node: WorldNode, _ id: SessionID, _ principal: Principal) {
    let token = floors[id] ?? 0
    guard let ref = node.store.read(id, by: principal, token: token).ref else { return }
    count("local read")
    if node.store.version(ref) < token { violate("a local read goes back behind \(token)") }
  }

  // MARK: Connections

  func use(_ number: Int) {
    let node = world.nodes[number]
    let id = ids[world.random.below(ids.count)]
    let principal = plain.sessions[id]?.principal ?? .anyone
    switch world.random.below(5) {
    case 0, 1:
      let other = world.nodes[world.random.below(world.nodes.count)].owner.identity
      let connection = SessionConnection(
        node: other.id, incarnation: other.incarnation, number: UInt64(world.random.below(3)))
      guard other.id.rawValue != 0,
        node.owner.attach(id, by: principal, connection, now: world.now).ref != nil
      else { return }
      count("attached")
      attached[number, default: [:]][id, default: []].append(connection)
    case 2:
      guard let connection = attached[number]?[id]?.last else { return }
      node.owner.detach(id, connection, now: world.now)
      attached[number]?[id]?.removeAll { $0 == connection }
    case 3:
      guard node.owner.hold(id, by: principal, now: world.now).ref != nil else { return }
      held[number, default: [:]][id, default: 0] += 1
    default:
      guard let count = held[number]?[id], count > 0 else { return }
      node.owner.release(id, now: world.now)
      held[number]?[id] = count - 1
    }
  }

  func heard(_ number: Int, _ news: SessionNews) {
    guard case .closed(let id, let isExpired) = news else { return }
    let node = world.nodes[number]
    if isExpired {
      count("expired")
      let living = (attached[number]?[id] ?? []).filter { connection in
        node.store.fence.isCurrent(connection.node, connection.incarnation)
      }
      if !living.isEmpty || (held[number]?[id] ?? 0) > 0 {
        violate("\(id) ends by its time while somebody uses it")
      }
    }
    attached[number]?[id] = nil
    held[number]?[id] = nil
  }
}
