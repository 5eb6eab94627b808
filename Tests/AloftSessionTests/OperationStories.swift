import AloftMembership
import Testing

@testable import AloftSession

/// What each operation does, asked of the owner and found on all nodes.
struct OperationStories {
  private static func create(
    _ state: String = "", _ options: SessionOptions = SessionOptions(), name: String = ""
  ) -> SessionOperation {
    .create(options, name: Array(name.utf8), state: Array(state.utf8))
  }

  private static func state(_ world: SessionWorld, _ id: SessionID) -> [String?] {
    world.nodes.map { node in
      node.store.find(id).map { String(decoding: node.store.state($0), as: UTF8.self) }
    }
  }

  @Test("A session is made, read, changed and ended, and all nodes know")
  func life() throws {
    let world = SessionWorld()
    let id = world.id(1)
    #expect(world.ask(id, .put([1])).code == .unknown)
    let made = world.ask(id, Self.create("one", name: "cart"))
    #expect(made.code == .done && made.version > 0)
    #expect(Self.state(world, id) == ["one", "one", "one"])
    let info = try #require(world.nodes[1].store.find(id).map { world.nodes[1].store.info($0) })
    #expect(info.name == Array("cart".utf8) && info.phase == .active && info.stateLength == 3)
    #expect(world.ask(id, Self.create("two")).code == .exists)
    let put = world.ask(id, .put(Array("three".utf8)))
    #expect(put.code == .done && put.version > made.version)
    #expect(world.ask(id, .append(Array("four".utf8))).isDone)
    #expect(Self.state(world, id) == ["threefour", "threefour", "threefour"])
    #expect(world.ask(id, .close).isDone)
    #expect(world.ask(id, .put([1])).code == .closed)
    #expect(world.nodes[2].store.read(id, by: .anyone).ref == nil)
    // A tombstone for a while, then nothing; and the ID may serve again.
    world.sleep(ms: 6_000)
    #expect(world.nodes.allSatisfy { $0.store.count == 0 && $0.store.tombstones == 0 })
    #expect(world.ask(id, Self.create("again")).isDone)
  }

  @Test("A write that expects a version is done if that is it, whatever is in flight")
  func compareAndSet() throws {
    let world = SessionWorld()
    let id = world.id(2)
    let made = world.ask(id, Self.create("a"))
    let put = world.ask(id, .put([2]), expected: made.version)
    #expect(put.isDone)
    let late = world.ask(id, .put([3]), expected: made.version)
    #expect(late.code == .conflict && late.version == put.version)
    // Two at once, of which the first wins.
    let node = try #require(world.owner(of: Slot(rawValue: 5)))
    for token in [1, 2] as [UInt64] {
      let request = SessionRequest(
        id: id, principal: .anyone, expected: put.version, operation: .put([UInt8(token)]))
      #expect(node.owner.submit(request, token: token, now: world.now) == nil)
    }
    world.settle()
    #expect(node.owner.nextAnswer()?.outcome.code == .done)
    #expect(node.owner.nextAnswer()?.outcome.code == .conflict)
    #expect(node.owner.nextAnswer() == nil)
  }

  @Test("A write that may have been done is not done again when its key may be forgotten")
  func forgottenKeys() throws {
    let world = SessionWorld()
    let id = world.id(3)
    #expect(world.ask(id, Self.create("")).isDone)
    let node = try #require(world.owner(of: Slot(rawValue: 5)))
    let since = node.store.appliedIndex
    #expect(world.ask(id, .append([65]), key: 1).isDone)
    func again(_ key: UInt64, since: UInt64) -> SessionOutcome? {
      let request = SessionRequest(id: id, principal: .anyone, key: key, operation: .append([65]))
      return request.bytes.withUnsafeBytes {
        node.owner.submit(bytes: $0, repeatedSince: since, token: 1, now: world.now)
      }
    }
    let keysMax = UInt64(SessionOptions().keysMax)
    for key in 2...keysMax { #expect(world.ask(id, .append([66]), key: key).isDone) }
    // It's remembered to the last.
    #expect(again(1, since: since)?.code == .repeated)
    #expect(world.ask(id, .append([66]), key: 100).isDone)
    #expect(again(1, since: since) == SessionOutcome(.uncertain, number: 1))
    // Asked for so late that it can't have been among those that are forgotten.
    #expect(again(200, since: node.store.appliedIndex) == nil)
    // What is on its way counts as well.
    for key in 300..<(299 + keysMax) { #expect(again(key, since: node.store.appliedIndex) == nil) }
    #expect(again(1_000, since: node.store.appliedIndex)?.code == .uncertain)
  }

  @Test("A write that is repeated with its key is done once, and answered the same")
  func keys() throws {
    let world = SessionWorld()
    let id = world.id(3)
    #expect(world.ask(id, Self.create("a"), key: 1).isDone)
    #expect(world.ask(id, Self.create("a"), key: 1).code == .repeated)
    let first = world.ask(id, .append(Array("b".utf8)), key: 2)
    let second = world.ask(id, .append(Array("b".utf8)), key: 2)
    #expect(second.code == .repeated && second.version == first.version)
    #expect(Self.state(world, id)[0] == "ab")
    // The second one comes while the first is in flight.
    let node = try #require(world.owner(of: Slot(rawValue: 5)))
    for token in [1, 2] as [UInt64] {
      let request = SessionRequest(
        id: id, principal: .anyone, key: 9, operation: .publish([1]))
      #expect(node.owner.submit(request, token: token, now: world.now) == nil)
    }
    world.settle()
    let (one, two) = (node.owner.nextAnswer()?.outcome, node.owner.nextAnswer()?.outcome)
    #expect(one?.code == .done && two?.code == .repeated && one?.number == two?.number)
    // As many keys as the session has room for.
    for key in 10..<(10 + UInt64(SessionOptions().keysMax)) {
      #expect(world.ask(id, .append([65]), key: key).code == .done)
    }
    #expect(world.ask(id, .append([65]), key: 10).code == .repeated)
    #expect(world.ask(id, .append([65]), key: 2).code == .done)
    #expect(world.ask(id, .close, key: 50).code == .done)
    #expect(world.ask(id, .close, key: 50).code == .repeated)
  }

  @Test("Fields are set, kept and taken away by name")
  func patch() throws {
    let world = SessionWorld()
    let id = world.id(4)
    func field(_ name: String, _ value: String?) -> SessionField {
      SessionField(name: Array(name.utf8), value: value.map { Array($0.utf8) })
    }
    let state = SessionField.state([field("a", "1"), field("b", "2"), field("c", "")])
    #expect(world.ask(id, .create(SessionOptions(), name: [], state: state)).isDone)
    #expect(
      world.ask(id, .patch([field("b", nil), field("c", "3"), field("d", "4")])).isDone)
    for node in world.nodes {
      let ref = try #require(node.store.find(id))
      #expect(node.store.fields(ref) == [field("a", "1"), field("c", "3"), field("d", "4")])
    }
    #expect(world.ask(id, .put([200, 1, 2])).isDone)
    #expect(world.ask(id, .patch([field("a", "1")])).code == .notFields)
    #expect(world.ask(id, .put([])).isDone)
    #expect(world.ask(id, .patch([field("a", "1")])).isDone)
    let many = (0..<65).map { field("f\($0)", "") }
    #expect(world.ask(id, .patch(many)).code == .malformed)
  }

  @Test("Phases follow each other as they may")
  func phases() {
    let world = SessionWorld()
    let id = world.id(5)
    #expect(world.ask(id, Self.create("", SessionOptions(phase: .negotiating))).isDone)
    #expect(world.ask(id, .setPhase(.suspended)).code == .badTransition)
    #expect(world.ask(id, .setPhase(.active)).isDone)
    #expect(world.ask(id, .setPhase(.suspended)).isDone)
    #expect(world.ask(id, .setPhase(.negotiating)).code == .badTransition)
    #expect(world.ask(id, .setPhase(.active)).isDone)
    #expect(world.ask(id, .setPhase(.closed)).isDone)
    #expect(world.ask(id, .setPhase(.active)).code == .closed)
    for from in SessionPhase.allCases {
      #expect(from.mayBecome(.closed) == (from != .closed))
      #expect(!from.mayBecome(.negotiating) || from == .negotiating)
    }
  }

  @Test("Events are numbered, bounded, replayed from a number, and go when they're acknowledged")
  func outbox() throws {
    let world = SessionWorld()
    let id = world.id(6)
    let options = SessionOptions(outboxEventsMax: 4, outboxBytesMax: 100)
    #expect(world.ask(id, Self.create("", options)).isDone)
    let version = world.ask(id, .put([1])).version
    for number in 1...3 as ClosedRange<UInt64> {
      let outcome = world.ask(id, .publish([UInt8(number)]))
      #expect(outcome.isDone && outcome.number == number && outcome.version == version)
    }
    for node in world.nodes {
      let ref = try #require(node.store.find(id))
      #expect(node.store.events(ref).events == [[1], [2], [3]])
      #expect(node.store.events(ref, from: 2) == SessionEvents(first: 2, events: [[2], [3]]))
      #expect(node.store.events(ref, from: 2, countMax: 1).events == [[2]])
      #expect(node.store.events(ref, from: 9) == SessionEvents(first: 4, events: []))
    }
    #expect(world.ask(id, .acknowledge(through: 4)).code == .badNumber)
    #expect(world.ask(id, .acknowledge(through: 2)).number == 3)
    let ref = try #require(world.nodes[0].store.find(id))
    #expect(world.nodes[0].store.events(ref, from: 1) == SessionEvents(first: 3, events: [[3]]))
    #expect(world.ask(id, .acknowledge(through: 1)).number == 3)
    let tooLong = world.ask(id, .publish(Array(repeating: 0, count: 92)))
    #expect(tooLong.code == .outboxFull && tooLong.number == 100)
    #expect(world.ask(id, .publish(Array(repeating: 0, count: 91))).number == 4)
    #expect(world.ask(id, .acknowledge(through: 4)).number == 5)
    for _ in 0..<4 { #expect(world.ask(id, .publish([1])).isDone) }
    #expect(world.ask(id, .publish([1])).code == .outboxFull)
  }

  @Test("An outbox that lets one event too many go is seen to")
  func trimsTooFar() throws {
    let world = SessionWorld(faults: [.outboxTrimmedTooFar])
    let id = world.id(6)
    #expect(world.ask(id, Self.create("", SessionOptions(outboxEventsMax: 4))).isDone)
    for number in 1...3 as ClosedRange<UInt8> { _ = world.ask(id, .publish([number])) }
    _ = world.ask(id, .acknowledge(through: 1))
    let ref = try #require(world.nodes[0].store.find(id))
    #expect(world.nodes[0].store.events(ref, from: 1).first == 3)
  }

  @Test("A state is as long as its session may have it")
  func sizes() throws {
    let world = SessionWorld()
    let id = world.id(7)
    let options = SessionOptions(stateMax: 10)
    let eleven = String(repeating: "x", count: 11)
    #expect(world.ask(id, Self.create(eleven, options)).code == .tooLarge)
    #expect(world.ask(id, Self.create("12345", options)).isDone)
    #expect(world.ask(id, .append(Array("123456".utf8))).code == .tooLarge)
    #expect(world.ask(id, .append(Array("12345".utf8))).isDone)
    #expect(world.ask(id, .put(Array(eleven.utf8))).code == .tooLarge)
    #expect(Self.state(world, id) == ["1234512345", "1234512345", "1234512345"])
    var greedy = SessionOptions()
    greedy.stateMax = world.limits.stateMax + 1
    #expect(world.ask(world.id(8), Self.create("", greedy)).code == .tooLarge)
    #expect(SessionLimits().stateMax > SessionOptions().stateMax)
  }
}
