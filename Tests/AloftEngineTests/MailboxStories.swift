import AloftEngine
import AloftQueue
import AloftSim
import Testing

/// Mailboxes on simulated loops, in virtual time: told stories.
struct MailboxStories {
  @Test("Messages arrive in their sender's order: on one loop, from a sibling, from outside")
  func order() throws {
    for seed in UInt64(1)...20 {
      let scene = try Scene(seed: seed, SimOptions(), loops: 2)
      let handler = MailScript(in: scene.world)
      let id = scene.mailbox(handler)
      for sender in 0..<3 {
        let body = {
          for number in 0..<150 {
            let result = send(UInt64(sender * 1_000 + number), to: id)
            #expect(result == .accepted || sender == 2 && result == .busy)
          }
        }
        if sender == 2 { body() } else { scene.world.perform(on: scene.loops[sender], body) }
      }
      scene.run(100)
      let got = handler.got[id] ?? []
      for sender in 0..<3 {
        let mine = got.filter { Int($0) / 1_000 == sender }.map { Int($0) % 1_000 }
        // The inbox for foreign threads holds 64 words, the first sender's job among them.
        #expect(mine == Array(0..<(sender == 2 ? 63 : 150)), "sender \(sender)")
      }
      scene.end()
      #expect(handler.ends == [id: [.shutdown]])
    }
  }

  @Test("A bounded mailbox refuses beyond its capacity, and takes again what it has handled")
  func bounded() throws {
    let scene = try Scene(loops: 2)
    let handler = MailScript(in: scene.world)
    let id = scene.mailbox(handler, MailboxOptions(capacity: 10))
    scene.on(scene.loop) { scene.loop.suspendMailbox(id) }
    var results: [SendResult] = []
    for loop in scene.loops {
      scene.on(loop, run: 5) { for n in 0..<8 { results.append(send(UInt64(n), to: id)) } }
    }
    #expect(results.filter { $0 == .accepted }.count == 10)
    #expect(results.filter { $0 == .full }.count == 6)
    #expect(scene.statistics(id)?.depth == 10 && scene.statistics(id)?.refused == 6)
    scene.on(scene.loop) { scene.loop.resumeMailbox(id) }
    #expect(handler.got[id]?.count == 10)
    scene.on(scene.loops[1], run: 5) {
      for n in 0..<10 { #expect(send(UInt64(n), to: id) == .accepted) }
      #expect(send(10, to: id) == .full)
    }
    let statistics = try #require(scene.statistics(id))
    #expect(statistics.received == 20 && statistics.handled == 20 && statistics.refused == 7)
    scene.end()
  }

  @Test("What a loop keeps back of a large capacity is given back before it sleeps")
  func hoards() throws {
    let scene = try Scene(loops: 3)
    let handler = MailScript(in: scene.world)
    let id = scene.mailbox(handler, MailboxOptions(capacity: 4_096))
    scene.on(scene.loop) { scene.loop.suspendMailbox(id) }
    for loop in scene.loops { scene.on(loop, run: 2) { #expect(send(1, to: id) == .accepted) } }
    // Within one turn a loop may keep up to an eighth of the capacity from the others, no more.
    var accepted = 0
    scene.on(scene.loops[2], run: 5) { while send(2, to: id) == .accepted { accepted += 1 } }
    #expect(accepted == 4_096 - 3)
    scene.end()
  }

  @Test("Full, a mailbox that drops makes room by the oldest of the least urgent")
  func dropOldest() throws {
    let scene = try Scene()
    let handler = MailScript(in: scene.world)
    var options = MailboxOptions(capacity: 3)
    options.overflow = .dropOldest
    let id = scene.mailbox(handler, options)
    scene.on(scene.loop) {
      for (number, priority) in [(1, 1), (2, 3), (3, 3), (4, 0), (5, 1)] {
        #expect(send(UInt64(number), to: id, priority: UInt8(priority)) == .accepted)
      }
      #expect(scene.loop.mailboxStatistics(id)?.dropped == 2)
    }
    #expect(handler.got[id] == [4, 1, 5])
    let statistics = try #require(scene.statistics(id))
    #expect(statistics.received == 5 && statistics.handled == 3 && statistics.depth == 0)
    scene.end()
  }

  @Test("The more urgent first, in order within a class")
  func priorities() throws {
    let scene = try Scene()
    let handler = MailScript(in: scene.world)
    let id = scene.mailbox(handler)
    scene.on(scene.loop) {
      for number in 0..<12 {
        #expect(send(UInt64(number), to: id, priority: UInt8(3 - number % 4)) == .accepted)
      }
    }
    #expect(handler.got[id] == [3, 7, 11, 2, 6, 10, 1, 5, 9, 0, 4, 8])
    scene.end()
  }

  @Test("Nobody holds the loop: mailboxes take turns, each with its share")
  func fairness() throws {
    let scene = try Scene()
    let handler = MailScript(in: scene.world)
    var options = MailboxOptions()
    options.turnMax = 16
    let ids = (0..<3).map { _ in scene.mailbox(handler, options) }
    scene.on(scene.loop) {
      for id in ids { for n in 0..<40 { _ = send(UInt64(n), to: id) } }
    }
    #expect(handler.batches == [16, 16, 16, 16, 16, 16, 8, 8, 8])
    for id in ids { #expect(handler.got[id] == (0..<40).map { UInt64($0) }) }
    scene.end()
  }

  @Test("A handler that throws: its mailbox keeps what waits until another one goes on")
  func failure() throws {
    let scene = try Scene()
    let handler = MailScript(in: scene.world)
    let heir = MailScript(in: scene.world)
    let id = scene.mailbox(handler)
    var failures: [MailboxID] = []
    scene.loop.onMailboxFailed = { id, error in if error is Refusal { failures.append(id) } }
    handler.onReceived = { _, number in if number == 2 { throw Refusal() } }
    scene.on(scene.loop) { for n in 0..<5 { #expect(send(UInt64(n), to: id) == .accepted) } }
    #expect(failures == [id] && handler.got[id] == [0, 1, 2])
    scene.on(scene.loop) { #expect(send(5, to: id) == .accepted) }
    #expect(scene.statistics(id)?.isSuspended == true && scene.statistics(id)?.depth == 3)
    scene.on(scene.loop) { scene.loop.resumeMailbox(id, handler: heir) }
    #expect(heir.got[id] == [3, 4, 5] && handler.got[id] == [0, 1, 2])
    scene.end()
    #expect(heir.ends == [id: [.shutdown]] && handler.ends == [:])
  }

  @Test("Without anybody to tell, a mailbox whose handler throws ends")
  func failureAlone() throws {
    let scene = try Scene()
    let handler = MailScript(in: scene.world)
    let id = scene.mailbox(handler)
    handler.onReceived = { _, _ in throw Refusal() }
    scene.on(scene.loop) { for n in 0..<5 { _ = send(UInt64(n), to: id) } }
    #expect(handler.got[id] == [0] && handler.ends == [id: [.failed]])
    #expect(scene.loop.mailStatistics.dropped.load(ordering: .relaxed) == 4)
    scene.on(scene.loop) { #expect(send(9, to: id) == .closed) }
    scene.end()
  }

  @Test("Closed, a mailbox drops what waits; drained, it handles all that was sent before")
  func closing() throws {
    for drain in [false, true] {
      let scene = try Scene(seed: 3, SimOptions(), loops: 2)
      let handler = MailScript(in: scene.world)
      let id = scene.mailbox(handler)
      scene.world.perform(on: scene.loops[1]) {
        for n in 0..<20 { #expect(send(UInt64(n), to: id) == .accepted) }
        scene.world.perform(on: scene.loops[0]) { scene.loops[0].closeMailbox(id, drain: drain) }
        // The gate is open until then.
        for n in 20..<30 { #expect(send(UInt64(n), to: id) == .accepted) }
      }
      scene.run(50)
      #expect(handler.ends == [id: [.closed]])
      #expect(handler.drains == (drain ? [id] : []))
      if drain { #expect(handler.got[id] == (0..<30).map { UInt64($0) }) }
      scene.on(scene.loops[1]) { #expect(send(99, to: id) == .closed) }
      #expect(send(99, to: id) == .closed)
      let (handled, dropped, dead) = scene.counts
      #expect(handled + dropped + dead == 30)
      scene.end()
    }
  }

  @Test("Stale and forged IDs are told apart from open ones, on the loop and off it")
  func stale() throws {
    let scene = try Scene(loops: 2)
    let handler = MailScript(in: scene.world)
    let first = scene.mailbox(handler)
    scene.on(scene.loop) { scene.loop.closeMailbox(first) }
    let second = scene.mailbox(handler)
    #expect(first.slot == second.slot && first != second)
    let forged = [
      first, MailboxID(rawValue: 0), MailboxID(rawValue: .max),
      MailboxID(loop: second.loop, slot: second.slot + 1, generation: 1),
      MailboxID(loop: second.loop, slot: second.slot, generation: second.generation + 1),
      MailboxID(node: 1, loop: second.loop, slot: second.slot, generation: second.generation),
      MailboxID(loop: 255, slot: 0, generation: 1),
    ]
    for loop in scene.loops {
      scene.on(loop) {
        for id in forged { #expect(send(1, to: id) == .closed) }
        #expect(send(1, to: second) == .accepted)
      }
    }
    for id in forged { #expect(send(1, to: id) == .closed && !EventLoop.isOpen(id)) }
    #expect(EventLoop.isOpen(second) && handler.got[second] == [1, 1])
    scene.end()
  }

  @Test("Watched, a mailbox's end is told to the hooks once")
  func watching() throws {
    let scene = try Scene()
    let handler = MailScript(in: scene.world)
    var told: [MailboxID] = []
    scene.loop.addMailboxClosedHook { id, _ in told.append(id) }
    let ids = (0..<3).map { _ in scene.mailbox(handler) }
    #expect(EventLoop.watchMailbox(ids[0]) && EventLoop.watchMailbox(ids[0]))
    scene.on(scene.loop) { for id in ids.prefix(2) { scene.loop.closeMailbox(id) } }
    #expect(told == [ids[0]])
    #expect(!EventLoop.watchMailbox(ids[0]) && EventLoop.watchMailbox(ids[2]))
    scene.end()
    #expect(told == [ids[0], ids[2]])
  }
}

extension Scene {
  /// Of all loops together.
  var counts: (handled: Int, dropped: Int, dead: Int) {
    var sum = MailSnapshot()
    for loop in loops { sum.add(loop.mailStatistics) }
    return (Int(sum.handled), Int(sum.dropped), Int(sum.deadLetters))
  }
}
