import AloftMembership
import Testing

@testable import AloftSession

/// What an owner sees to: time-outs, connections, limits, entries on their way, slots that move.
struct OwnerStories {
  private static let slot = Slot(rawValue: 5)

  private static func make(
    _ world: SessionWorld, _ number: UInt64, _ options: SessionOptions = SessionOptions(),
    by principal: Principal = .anyone
  ) -> SessionID {
    let id = world.id(number)
    let outcome = world.ask(
      id, .create(options, name: [], state: [1]), by: principal)
    #expect(outcome.isDone, "\(outcome)")
    return id
  }

  private static func phase(_ world: SessionWorld, _ id: SessionID) -> SessionPhase? {
    let store = world.nodes[2].store
    return store.find(id).map { store.info($0).phase }
  }

  // MARK: Time

  @Test("A session that nobody uses ends, and a use puts that off")
  func idle() throws {
    let world = SessionWorld()
    let owner = try #require(world.owner(of: Self.slot)).owner
    let id = Self.make(world, 1, SessionOptions(idleTimeoutMs: 2_000))
    owner.tellsNews = true
    world.sleep(ms: 1_500)
    #expect(world.ask(id, .put([2])).isDone)
    world.sleep(ms: 1_500)
    #expect(owner.touch(id, by: .anyone, now: world.now).isDone)
    world.sleep(ms: 1_500)
    #expect(owner.read(id, by: .anyone, now: world.now).ref != nil)
    world.sleep(ms: 1_800)
    #expect(Self.phase(world, id) == .active)
    world.sleep(ms: 400)
    #expect(Self.phase(world, id) == .closed)
    #expect(owner.nextNews() == .changed(id) && owner.nextNews() == .closed(id, isExpired: true))
    #expect(owner.expiries == 1)
    world.sleep(ms: 6_000)
    #expect(Self.phase(world, id) == nil)
  }

  @Test("A session's life has an end, whoever uses it")
  func lifetime() throws {
    let world = SessionWorld()
    let owner = try #require(world.owner(of: Self.slot)).owner
    let id = Self.make(world, 1, SessionOptions(lifetimeMs: 3_000))
    let info = try #require(owner.store.find(id).map { owner.store.info($0) })
    #expect(info.deadlineMs == 1_000_000_000_000 + world.now / 1_000_000 + 3_000)
    for _ in 0..<5 {
      world.sleep(ms: 500)
      #expect(world.ask(id, .put([2])).isDone)
    }
    world.sleep(ms: 700)
    #expect(Self.phase(world, id) == .closed)
  }

  @Test("A store that lets attached sessions end is seen to")
  func endsWhileAttached() throws {
    let world = SessionWorld(faults: [.expiredWhileAttached])
    let owner = try #require(world.owner(of: Self.slot)).owner
    let id = Self.make(world, 1, SessionOptions(idleTimeoutMs: 1_000, lifetimeMs: 5_000))
    let connection = SessionConnection(
      node: owner.identity.id, incarnation: owner.identity.incarnation, number: 1)
    #expect(owner.attach(id, by: .anyone, connection, now: world.now).ref != nil)
    world.sleep(ms: 10_000)
    #expect(Self.phase(world, id) != .active)
  }

  @Test("A session doesn't end while a connection is attached, or a request is under way")
  func attached() throws {
    let world = SessionWorld()
    let node = try #require(world.owner(of: Self.slot))
    let owner = node.owner
    let id = Self.make(world, 1, SessionOptions(idleTimeoutMs: 1_000, lifetimeMs: 5_000))
    let other = world.nodes[0] === node ? world.nodes[1] : world.nodes[0]
    func connection(_ number: UInt64, _ node: WorldNode) -> SessionConnection {
      SessionConnection(
        node: node.identity.id, incarnation: node.identity.incarnation, number: number)
    }
    let (near, far) = (connection(1, node), connection(2, other))
    for connection in [near, far, far] {
      #expect(owner.attach(id, by: .anyone, connection, now: world.now).ref != nil)
    }
    let ref = try #require(owner.store.find(id))
    #expect(Set(owner.connections(ref)) == [near, far])
    world.sleep(ms: 10_000)
    #expect(owner.detach(id, near, now: world.now) && !owner.detach(id, near, now: world.now))
    world.sleep(ms: 3_000)
    #expect(Self.phase(world, id) == .active)
    // The other node's life ends, and with it its connections.
    world.propose(.convict(other.identity.incarnation))
    world.settle()
    #expect(owner.hold(id, by: .anyone, now: world.now).ref != nil)
    #expect(owner.connections(ref) == [])
    world.sleep(ms: 3_000)
    #expect(Self.phase(world, id) == .active)
    owner.release(id, now: world.now)
    world.sleep(ms: 2_000)
    #expect(Self.phase(world, id) == .closed)
  }

  @Test("A session doesn't end while a write is on its way, however long that takes")
  func inFlight() throws {
    let world = SessionWorld()
    let owner = try #require(world.owner(of: Self.slot)).owner
    let id = Self.make(world, 1, SessionOptions(idleTimeoutMs: 1_000))
    let request = SessionRequest(id: id, principal: .anyone, operation: .put([2]))
    #expect(owner.submit(request, token: 1, now: world.now) == nil)
    let entry = try #require(owner.takeEntry(now: world.now))
    for _ in 0..<50 {
      world.now += 100_000_000
      _ = owner.tick(now: world.now)
      #expect(owner.takeEntry(now: world.now) == nil)
    }
    world.log.append(entry.bytes)
    world.settle()
    #expect(owner.nextAnswer()?.outcome.code == .done)
    world.sleep(ms: 900)
    #expect(Self.phase(world, id) == .active)
    world.sleep(ms: 600)
    #expect(Self.phase(world, id) == .closed)
  }

  @Test("Who comes while a session is ending is told to wait, and then that it's closed")
  func ending() throws {
    let world = SessionWorld()
    let node = try #require(world.owner(of: Self.slot))
    let owner = node.owner
    let id = Self.make(world, 1, SessionOptions(idleTimeoutMs: 1_000))
    world.now += 2_000_000_000
    _ = owner.tick(now: world.now)
    let entry = try #require(owner.takeEntry(now: world.now))
    let connection = SessionConnection(
      node: node.identity.id, incarnation: node.identity.incarnation, number: 1)
    guard case .refused(let refusal) = owner.attach(id, by: .anyone, connection, now: world.now)
    else { return #expect(Bool(false), "attached to a session that is ending") }
    #expect(refusal.code == .notReady)
    let request = SessionRequest(id: id, principal: .anyone, operation: .put([2]))
    #expect(owner.submit(request, token: 1, now: world.now) == nil)
    world.log.append(entry.bytes)
    world.settle()
    #expect(owner.nextAnswer()?.outcome.code == .closed)
    #expect(owner.read(id, by: .anyone, now: world.now).ref == nil)
  }

  // MARK: Whose it is

  @Test("One principal can't use another's session, nor one that is just being made")
  func principals() throws {
    let world = SessionWorld()
    let owner = try #require(world.owner(of: Self.slot)).owner
    let (ann, bob) = (Principal(high: 1, low: 1), Principal(high: 1, low: 2))
    let id = Self.make(world, 1, by: ann)
    #expect(world.ask(id, .put([2]), by: ann).isDone)
    for operation in [
      .put([3]), .append([3]), .patch([]), .publish([3]), .acknowledge(through: 0), .close,
      .setPhase(.suspended), .create(SessionOptions(), name: [], state: []),
    ] as [SessionOperation] {
      #expect(world.ask(id, operation, by: bob).code == .forbidden, "\(operation)")
    }
    for reading in [
      owner.read(id, by: bob, now: world.now), owner.hold(id, by: bob, now: world.now),
      owner.store.read(id, by: bob), owner.store.read(id, by: .anyone),
      owner.attach(
        id, by: bob,
        SessionConnection(
          node: owner.identity.id, incarnation: owner.identity.incarnation, number: 1),
        now: world.now),
    ] {
      #expect(reading == .refused(SessionOutcome(.forbidden)))
    }
    #expect(owner.touch(id, by: bob, now: world.now).code == .forbidden)
    // The owner can't tell yet whose it will be.
    let fresh = world.id(2)
    let create = SessionRequest(
      id: fresh, principal: ann, operation: .create(SessionOptions(), name: [], state: []))
    #expect(owner.submit(create, token: 1, now: world.now) == nil)
    let steal = SessionRequest(id: fresh, principal: bob, operation: .put([9]))
    #expect(owner.submit(steal, token: 2, now: world.now) == nil)
    world.settle()
    #expect(owner.nextAnswer()?.outcome.code == .done)
    #expect(owner.nextAnswer()?.outcome.code == .forbidden)
    #expect(owner.store.list(principal: ann).count == 2)
    #expect(owner.store.list(principal: bob) == [] && owner.store.count(principal: bob) == 0)
  }

  @Test("A principal has as many sessions and bytes as it may, those on their way counted")
  func principalLimits() throws {
    var limits = SessionWorld.limits
    limits.sessionsPerPrincipalMax = 3
    limits.bytesPerPrincipalMax = 400
    let world = SessionWorld(limits: limits)
    let owner = try #require(world.owner(of: Self.slot)).owner
    let (ann, bob) = (Principal(high: 1, low: 1), Principal(high: 1, low: 2))
    func create(_ number: UInt64, _ principal: Principal) -> SessionOutcome? {
      let request = SessionRequest(
        id: world.id(number), principal: principal,
        operation: .create(SessionOptions(), name: [], state: [1]))
      return owner.submit(request, token: number, now: world.now)
    }
    for number in 1...3 as ClosedRange<UInt64> { #expect(create(number, ann) == nil) }
    #expect(create(4, ann) == SessionOutcome(.principalFull, number: 3))
    #expect(create(5, bob) == nil)
    world.settle()
    #expect(create(6, ann) == SessionOutcome(.principalFull, number: 3))
    #expect(world.ask(world.id(1), .close, by: ann).isDone)
    #expect(owner.store.bytes(principal: ann) == 2)
    world.sleep(ms: 6_000)
    #expect(create(7, ann) == nil)
    world.settle()
    let long = Array(repeating: UInt8(1), count: 300)
    #expect(world.ask(world.id(2), .put(long), by: ann).isDone)
    #expect(world.ask(world.id(3), .append(long), by: ann).code == .principalFull)
    #expect(world.ask(world.id(3), .publish(long), by: ann).code == .principalFull)
    #expect(world.ask(world.id(2), .put([]), by: ann).isDone)
    #expect(world.ask(world.id(3), .append(long), by: ann).isDone)
    #expect(owner.store.bytes(principal: ann) == 302)
  }

  @Test("The store has as many sessions as it may, those on their way counted")
  func storeLimit() throws {
    var limits = SessionWorld.limits
    limits.sessionsMax = 4
    let world = SessionWorld(limits: limits)
    let owner = try #require(world.owner(of: Self.slot)).owner
    for number in 1...5 as ClosedRange<UInt64> {
      let request = SessionRequest(
        id: world.id(number), principal: .anyone,
        operation: .create(SessionOptions(), name: [], state: []))
      let outcome = owner.submit(request, token: number, now: world.now)
      #expect(outcome == (number < 5 ? nil : SessionOutcome(.storeFull, number: 4)))
    }
    world.settle()
    #expect(world.nodes.allSatisfy { $0.store.count == 4 })
  }

  // MARK: Durability

  @Test("What can't be had is refused, and nothing weaker given")
  func durability() throws {
    let world = SessionWorld()
    let owner = try #require(world.owner(of: Self.slot)).owner
    let id = Self.make(world, 1, SessionOptions(durability: .replicated))
    let durable = Self.make(world, 2, SessionOptions(durability: .durable))
    owner.voters = 1
    #expect(world.ask(id, .put([2])) == SessionOutcome(.weaker, number: 1))
    #expect(world.ask(durable, .put([2])).isDone)
    let create = SessionOperation.create(SessionOptions(), name: [], state: [])
    #expect(world.ask(world.id(3), create).code == .weaker)
    #expect(owner.read(id, by: .anyone, now: world.now).ref != nil)
    // Local ones have IDs of their own.
    let local = SessionOperation.create(SessionOptions(durability: .local), name: [], state: [])
    #expect(world.ask(world.id(3), local).code == .malformed)
  }

  @Test("A session of one node's memory is there at once, and nowhere else")
  func local() throws {
    let world = SessionWorld()
    let (node, other) = (world.nodes[0], world.nodes[1])
    let id = SessionID(high: 1, low: 2, localTo: node.identity.id)
    func ask(_ node: WorldNode, _ operation: SessionOperation, key: UInt64 = 0) -> SessionOutcome? {
      node.owner.submit(
        SessionRequest(id: id, principal: .anyone, key: key, operation: operation), token: 1,
        now: world.now)
    }
    let options = SessionOptions(durability: .local, idleTimeoutMs: 1_000)
    let create = SessionOperation.create(options, name: [], state: [1])
    #expect(ask(other, create)?.code == .moved)
    #expect(ask(node, create, key: 4)?.code == .done)
    #expect(ask(node, create, key: 4)?.code == .repeated)
    #expect(ask(node, .append([2]))?.code == .done)
    let ref = try #require(node.owner.read(id, by: .anyone, now: world.now).ref)
    #expect(node.store.state(ref) == [1, 2])
    #expect(node.owner.takeEntry(now: world.now) == nil)
    node.store.beginSnapshot()
    var pieces: [[UInt8]] = []
    while let piece = node.store.nextPiece() { pieces.append(piece) }
    var restorer = SessionRestorer(limits: world.limits)
    for piece in pieces { try piece.withUnsafeBytes { try restorer.take($0) } }
    let restored = try restorer.finish()
    #expect(restored.count == 0)
    // It outlives a snapshot that replaces the rest.
    node.owner.restore(restored, now: world.now)
    node.owner.clusterChanged(
      node.cluster, index: UInt64(node.applied), identity: node.identity, now: world.now)
    let again = try #require(node.owner.read(id, by: .anyone, now: world.now).ref)
    #expect(node.store.state(again) == [1, 2])
    #expect(ask(node, create, key: 4)?.code == .repeated)
    world.sleep(ms: 3_000)
    #expect(ask(node, .put([]))?.code == .closed)
    world.sleep(ms: 6_000)
    #expect(ask(node, .put([]))?.code == .unknown)
  }
}
