import AloftMembership
import Testing

@testable import AloftSession

/// Entries on their way: lost, doubled, out of order, overtaken by their verdicts, and of lives and
/// slots that are over.
struct EntryStories {
  private let world = SessionWorld()
  private var slot: Slot { Slot(rawValue: 5) }

  private func owner() throws -> WorldNode { try #require(world.owner(of: slot)) }

  private func submit(
    _ node: WorldNode, _ number: UInt64, _ operation: SessionOperation, token: UInt64 = 1
  ) -> SessionOutcome? {
    node.owner.submit(
      SessionRequest(id: world.id(number), principal: .anyone, operation: operation),
      token: token, now: world.now)
  }

  private static let create = SessionOperation.create(SessionOptions(), name: [], state: [1])

  @Test("An entry that comes twice counts once, and one that is missing stops those behind it")
  func sequence() throws {
    let node = try owner()
    #expect(submit(node, 1, Self.create, token: 1) == nil)
    let first = try #require(node.owner.takeEntry(now: world.now))
    #expect(submit(node, 1, .append([2]), token: 2) == nil)
    let second = try #require(node.owner.takeEntry(now: world.now))
    #expect((first.sequence, second.sequence) == (1, 2))
    // The first one is lost.
    world.log.append(second.bytes)
    for node in world.nodes { world.catchUp(node) }
    #expect(world.nodes.allSatisfy { $0.store.count == 0 })
    world.now += world.limits.entryRetryNs
    let again = try #require(node.owner.takeEntry(now: world.now))
    #expect(again == first)
    #expect(node.owner.takeEntry(now: world.now) == second)
    world.log += [first.bytes, first.bytes, second.bytes, first.bytes, second.bytes]
    for node in world.nodes { world.catchUp(node) }
    #expect(node.owner.nextAnswer()?.outcome.code == .done)
    #expect(node.owner.nextAnswer()?.outcome.code == .done)
    #expect(node.owner.nextAnswer() == nil)
    let states = world.nodes.map { node in
      node.store.find(world.id(1)).map { node.store.state($0) }
    }
    #expect(states == [[1, 2], [1, 2], [1, 2]])
  }

  @Test("A verdict that overtakes the log is answered at once, and the log's copy changes nothing")
  func early() throws {
    let node = try owner()
    let other = try #require(world.nodes.first { $0 !== node })
    #expect(submit(node, 1, Self.create, token: 1) == nil)
    let first = try #require(node.owner.takeEntry(now: world.now))
    #expect(submit(node, 1, .append([2]), token: 2) == nil)
    let second = try #require(node.owner.takeEntry(now: world.now))
    world.log += [first.bytes, second.bytes]
    world.catchUp(other)
    let verdicts = try (1...2).map { number in
      try #require(other.verdicts["\(node.identity.incarnation.rawValue)/\(number)"])
    }
    let bytes = try SessionVerdict(bytes: verdicts[1].bytes)
    #expect(bytes == verdicts[1])
    // The second one's comes first, and waits.
    node.owner.entryDone(2, verdicts[1], now: world.now)
    #expect(node.owner.nextAnswer() == nil)
    node.owner.entryDone(1, verdicts[0], now: world.now)
    let answers = [node.owner.nextAnswer(), node.owner.nextAnswer()]
    #expect(answers.map { $0?.token } == [1, 2])
    #expect(answers.allSatisfy { $0?.outcome.isDone == true })
    let ref = try #require(node.owner.read(world.id(1), by: .anyone, now: world.now).ref)
    #expect(node.store.state(ref) == [1, 2])
    let version = node.store.version(ref)
    world.catchUp(node)
    #expect(node.store.version(ref) == version && node.store.state(ref) == [1, 2])
    #expect(node.owner.nextAnswer() == nil)
    // A read elsewhere that has seen this version doesn't go back behind it.
    let third = try #require(world.nodes.first { $0 !== node && $0 !== other })
    guard case .refused(let refusal) = third.store.read(world.id(1), by: .anyone, token: version)
    else { return #expect(Bool(false), "a read went back in time") }
    #expect(refusal.code == .behind)
    world.catchUp(third)
    #expect(third.store.read(world.id(1), by: .anyone, token: version).ref != nil)
    #expect(
      third.store.read(world.id(2), by: .anyone, token: version)
        == .refused(SessionOutcome(.unknown)))
  }

  @Test("Operations on a slot that was lost are refused, those beside them in the entry done")
  func lostSlot() throws {
    let node = try owner()
    let heir = try #require(world.nodes.first { $0 !== node })
    let kept = try #require(
      (0..<UInt16(Slot.count)).first { number in
        number != 5 && world.owner(of: Slot(rawValue: number)) === node
      })
    #expect(submit(node, 1, Self.create, token: 1) == nil)
    let other = SessionRequest(
      id: world.id(2, slot: kept), principal: .anyone, operation: Self.create)
    #expect(node.owner.submit(other, token: 2, now: world.now) == nil)
    let entry = try #require(node.owner.takeEntry(now: world.now))
    world.give(slot, to: heir)
    world.log.append(entry.bytes)
    world.settle()
    #expect(node.owner.nextAnswer()?.outcome.code == .moved)
    #expect(node.owner.nextAnswer()?.outcome.code == .done)
    #expect(world.nodes.allSatisfy { $0.store.count == 1 })
    #expect(submit(node, 1, Self.create)?.code == .moved)
    #expect(submit(node, 1, Self.create)?.number == UInt64(heir.identity.id.rawValue))
    #expect(world.ask(world.id(1), Self.create).isDone)
  }

  @Test("An operation from before a slot went and came back doesn't count")
  func backAgain() throws {
    let node = try owner()
    let heir = try #require(world.nodes.first { $0 !== node })
    #expect(world.ask(world.id(1), Self.create).isDone)
    #expect(submit(node, 1, .append([2]), token: 1) == nil)
    let entry = try #require(node.owner.takeEntry(now: world.now))
    world.give(slot, to: heir)
    for node in world.nodes { world.catchUp(node) }
    world.announce()
    #expect(world.ask(world.id(1), .put([7])).isDone)
    world.give(slot, to: node)
    for node in world.nodes { world.catchUp(node) }
    world.announce()
    #expect(node.owner.isReady(slot))
    world.log.append(entry.bytes)
    world.settle()
    #expect(node.owner.nextAnswer()?.outcome.code == .moved)
    let ref = try #require(node.store.find(world.id(1)))
    #expect(node.store.state(ref) == [7])
  }

  @Test("What a life has on its way when it's over is not done, and the next life begins anew")
  func newLife() throws {
    let node = try owner()
    #expect(submit(node, 1, Self.create, token: 1) == nil)
    let entry = try #require(node.owner.takeEntry(now: world.now))
    let former = node.identity
    world.propose(.convict(former.incarnation))
    world.admit("n\(world.nodes.firstIndex { $0 === node } ?? 0)", former: former)
    world.log.append(entry.bytes)
    world.settle()
    #expect(node.identity.incarnation > former.incarnation)
    #expect(node.owner.nextAnswer()?.outcome.code == .moved)
    #expect(world.nodes.allSatisfy { $0.store.count == 0 })
    #expect(world.ask(world.id(1), Self.create).isDone)
    #expect(node.owner.pendingOperations == 0)
  }

  @Test("An entry sent again after its life was over says nothing of the first time")
  func staleCopy() throws {
    let node = try owner()
    let other = try #require(world.nodes.first { $0 !== node })
    #expect(submit(node, 1, Self.create, token: 1) == nil)
    let entry = try #require(node.owner.takeEntry(now: world.now))
    world.log.append(entry.bytes)
    world.propose(.convict(node.identity.incarnation))
    world.catchUp(other)
    // Cut off, it knows of neither, and has sent it once more.
    let verdict = entry.bytes.withUnsafeBytes {
      other.owner.apply(index: UInt64(world.log.count + 1), entry: $0, now: world.now)
    }
    world.log.append(entry.bytes)
    #expect(verdict.kind == .stale)
    node.owner.entryDone(entry.sequence, verdict, now: world.now)
    #expect(node.owner.nextAnswer() == nil)
    world.catchUp(node)
    #expect(node.owner.nextAnswer()?.outcome.code == .done)
    #expect(node.owner.pendingOperations == 0)
  }

  @Test("When no more entries may be on their way operations wait, and then busy is the answer")
  func pressure() throws {
    let node = try owner()
    var answered = 0
    var busy: SessionOutcome?
    for number in 1...2_000 as ClosedRange<UInt64> {
      let outcome = submit(
        node, number, .create(SessionOptions(), name: [], state: Array(repeating: 1, count: 200)),
        token: number)
      if let outcome {
        busy = outcome
        break
      }
      answered += 1
    }
    #expect(busy?.code == .busy && busy?.number == UInt64(answered))
    #expect(answered > 200 && answered < 400)
    var taken: [SessionEntry] = []
    while let entry = node.owner.takeEntry(now: world.now) { taken.append(entry) }
    #expect(taken.count == world.limits.entriesInFlightMax)
    #expect(taken.allSatisfy { $0.bytes.count <= world.limits.entryBytesMax + 400 })
    world.log += taken.map(\.bytes)
    world.settle()
    var done = 0
    while let answer = node.owner.nextAnswer() { done += answer.outcome.isDone ? 1 : 0 }
    #expect(done == answered && node.store.count == answered)
    #expect(node.owner.pendingOperations == 0)
  }

  @Test("A slot that moved is served when all that could serve it know, or can't any more")
  func handOver() throws {
    let node = try owner()
    let heir = try #require(world.nodes.first { $0 !== node })
    let third = try #require(world.nodes.first { $0 !== node && $0 !== heir })
    world.give(slot, to: heir)
    world.catchUp(heir)
    #expect(submit(heir, 1, Self.create)?.code == .notReady)
    heir.owner.announced(
      by: third.identity.id, third.identity.incarnation, epoch: heir.owner.epoch, now: world.now)
    #expect(submit(heir, 1, Self.create) == SessionOutcome(.notReady))
    world.catchUp(node)
    heir.owner.announced(
      by: node.identity.id, node.identity.incarnation, epoch: node.owner.epoch, now: world.now)
    #expect(heir.owner.isReady(slot) && submit(heir, 1, Self.create) == nil)
    world.settle()
    // Now the one who has it is found dead: a lease's time, unless its process is gone.
    let orphan = Slot(rawValue: 6)
    let dead = try #require(world.owner(of: orphan))
    let living = world.nodes.filter { $0 !== dead }
    world.propose(.convict(dead.identity.incarnation))
    world.spread()
    for node in living { world.catchUp(node) }
    for node in living {
      for other in living where other !== node {
        other.owner.announced(
          by: node.identity.id, node.identity.incarnation, epoch: node.owner.epoch, now: world.now)
      }
    }
    let next = try #require(world.owner(of: orphan))
    #expect(next !== dead && !next.owner.isReady(orphan))
    _ = next.owner.tick(now: world.now + SessionWorld.lease - 1_000_000)
    #expect(!next.owner.isReady(orphan))
    let last = try #require(living.first { $0 !== next })
    last.owner.isGone(dead.identity.id, dead.identity.incarnation, now: world.now)
    let lastSlot = (0..<UInt16(Slot.count)).map { Slot(rawValue: $0) }.first {
      world.owner(of: $0) === last
    }
    #expect(lastSlot.map { last.owner.isReady($0) } == true)
    _ = next.owner.tick(now: world.now + SessionWorld.lease)
    #expect(next.owner.isReady(orphan))
  }
}
