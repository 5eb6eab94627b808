import Aloft
import AloftNode
import Testing

/// Sessions of a real cluster: links, log and disks, in one process.
struct SessionStories {
  private static func failure(_ body: () async throws -> Void) async -> SessionFailure.Code? {
    do {
      try await body()
      return nil
    } catch {
      return (error as? SessionFailure)?.code
    }
  }

  @Test("What was written at one node is read at each, whichever serves it")
  func everywhere() async throws {
    try await withVoters { nodes, _ in
      for (at, node) in nodes.enumerated() {
        let made = try await node.node.sessions.create(state: [UInt8(at)])
        var expected = [UInt8(at)]
        for other in nodes {
          let found = try #require(try await other.node.sessions.get(made.id))
          #expect(try await found.read().state == expected)
          try await found.update { $0.append(7) }
          expected.append(7)
        }
        #expect(try await made.read().state == expected)
      }
      for node in nodes {
        try await eventually("all know of three") { await node.node.sessions.count() == 3 }
      }
    }
  }

  @Test("Updates of one session from all nodes at once are each done once")
  func contended() async throws {
    try await withVoters { nodes, _ in
      let made = try await nodes[0].node.sessions.create()
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        for (at, node) in nodes.enumerated() {
          tasks.addTask {
            let session = try #require(try await node.node.sessions.get(made.id))
            for number in 0..<20 {
              try await session.update { $0 += [UInt8(at), UInt8(number)] }
            }
          }
        }
        try await tasks.waitForAll()
      }
      let state = try await made.read().state
      #expect(state.count == 120)
      for at in 0..<3 {
        let own = stride(from: 0, to: state.count, by: 2).filter { state[$0] == UInt8(at) }
        #expect(own.map { state[$0 + 1] } == (0..<20).map { UInt8($0) })
      }
    }
  }

  @Test("A node that is gone: what was acknowledged is read at the others, and written on")
  func failover() async throws {
    try await withVoters { nodes, _ in
      var made: [Session] = []
      for number in 0..<60 {
        made.append(try await nodes[number % 3].node.sessions.create(state: [UInt8(number)]))
      }
      let lost = await nodes[2].number
      let moved = made.count { session in
        session.id.slot.map { nodes[0].node.owners[Int($0.rawValue)] == lost } ?? false
      }
      // Each node mints by what it knows at that moment.
      #expect((16...24).contains(moved), "about a third is on each node: \(moved)")
      await nodes[2].end()
      for (number, session) in made.enumerated() {
        let found = try #require(try await nodes[number % 2].node.sessions.get(session.id))
        #expect(try await found.read().state == [UInt8(number)])
        try await found.append([9])
        let other = try #require(try await nodes[(number + 1) % 2].node.sessions.get(session.id))
        #expect(try await other.read().state == [UInt8(number), 9])
      }
    }
  }

  @Test("On one node sessions are durable and survive its restart; replicated ones it refuses")
  func alone() async throws {
    let data = try DataDirectories()
    let node = try await TestNode("a", seeds: [], data: data["a"])
    let refused = await Self.failure { _ = try await node.node.sessions.create(state: [1]) }
    #expect(refused == .weaker)
    let options = SessionOptions(durability: .durable)
    let made = try await node.node.sessions.create(
      state: [1, 2], name: "basket", options: options)
    try await made.append([3])
    let text = try await node.node.sessions.text(of: made.id)
    await node.end()
    let again = try await TestNode("a", seeds: [], data: data["a"])
    let found = try await again.node.sessions.named("basket")
    #expect(try await found?.read().state == [1, 2, 3])
    #expect(try await again.node.sessions.get(text) == found)
    await again.end()
  }

  @Test("A session is its principal's, and an ID that was made up is found out")
  func principals() async throws {
    try await withVoters { nodes, _ in
      let sessions = nodes[0].node.sessions
      let (one, two) = (try await sessions.principal("one"), try await sessions.principal("two"))
      let made = try await sessions.create(state: [5], principal: one)
      let taken = await Self.failure {
        _ = try await nodes[1].node.sessions.get(made.id, principal: two)
      }
      #expect(taken == .forbidden)
      #expect(try await nodes[1].node.sessions.get(made.id, principal: one) != nil)
      #expect(await sessions.list(principal: one) == [made.id])
      #expect(await sessions.count(principal: two) == 0)
      var text = Array(try await sessions.text(of: made.id).utf8)
      text[3] = text[3] == 65 ? 66 : 65
      let forged = String(decoding: text, as: UTF8.self)
      #expect(try await sessions.get(forged, principal: one) == nil)
      try await made.close()
      #expect(try await sessions.get(made.id, principal: one) == nil)
    }
  }

  @Test("A session that nobody uses ends; one that a connection is attached to does not")
  func idle() async throws {
    try await withVoters { nodes, _ in
      let sessions = nodes[0].node.sessions
      let user = try await sessions.principal("user")
      let kept = try await sessions.create(
        state: [1], principal: user, idleTimeout: .milliseconds(150))
      let left = try await sessions.create(
        state: [2], principal: user, idleTimeout: .milliseconds(150))
      let attachment = try await kept.attach()
      #expect(attachment.contents.state == [1])
      let brief = try await left.attach()
      // Reading it would be to use it: the store of the other node tells.
      try await eventually("both are known") {
        await nodes[1].node.sessions.list(principal: user).count == 2
      }
      brief.detach()
      try await eventually("one is over") {
        await nodes[1].node.sessions.list(principal: user) == [kept.id]
      }
      #expect(try await sessions.get(left.id, principal: user) == nil)
      #expect(try await sessions.get(kept.id, principal: user) != nil)
      attachment.detach()
      try await eventually("both are over") {
        await nodes[1].node.sessions.list(principal: user).isEmpty
      }
    }
  }

  @Test("Events wait in the outbox, in order, until they are acknowledged")
  func outbox() async throws {
    try await withVoters { nodes, _ in
      let made = try await nodes[0].node.sessions.create()
      var numbers: [UInt64] = []
      for event in 0..<5 { numbers.append(try await made.publish([UInt8(event)])) }
      #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 + 1 == $1 })
      let other = try #require(try await nodes[1].node.sessions.get(made.id))
      let replayed = try await other.events(from: numbers[2])
      #expect(replayed.first == numbers[2])
      #expect(replayed.events == [[2], [3], [4]])
      try await other.acknowledge(through: numbers[3])
      #expect(try await made.events().events == [[4]])
    }
  }

  @Test("Slots that move to a new node and away again are served all the time")
  func migration() async throws {
    try await withVoters { nodes, data in
      let made = try await nodes[0].node.sessions.create()
      let first = await nodes[0].node.address
      let last = try await TestNode("d", seeds: [first], data: data["d"])
      var expected: [UInt8] = []
      for number in 0..<100 {
        let node = number % 4 == 3 ? last : nodes[number % 4]
        let session = try #require(try await node.node.sessions.get(made.id))
        try await session.append([UInt8(number)])
        expected.append(UInt8(number))
        if number == 30 { try await last.node.setDraining("a", true) }
        if number == 60 { try await last.node.setDraining("a", false) }
      }
      #expect(try await made.read().state == expected)
      await last.end()
    }
  }

  @Test("On the node's own loop, a session is written and read by callbacks")
  func callbacks() async throws {
    try await withVoters { nodes, _ in
      let node = nodes[0].node
      let sessions = node.sessions
      try await eventually("the node can make sessions") {
        await withCheckedContinuation { done in
          node.eventLoop.executeOrFail(done) {
            let bytes: [UInt8] = [1, 2, 3]
            let id = sessions.create(bytes.span.bytes) { _, failure in
              done.resume(returning: failure == nil)
            }
            if id == nil { done.resume(returning: false) }
          }
        }
      }
      let made = try await sessions.create(state: [4])
      let read = await withCheckedContinuation { done in
        node.eventLoop.executeOrFail(done) {
          sessions.read(made.id) { state, _, failure in
            done.resume(returning: failure == nil && state.byteCount == 1)
          }
        }
      }
      #expect(read)
    }
  }
}

/// Three nodes, each with a vote.
private func withVoters(
  _ body: ([TestNode], DataDirectories) async throws -> Void
) async throws {
  try await withCluster(["a", "b", "c"]) { nodes, data in
    for node in nodes {
      try await eventually("all vote, as far as \(node.node.name) knows") {
        await node.node.status()?.members.filter(\.isVoter).count == 3
      }
    }
    try await body(nodes, data)
  }
}

extension EventLoop {
  fileprivate func executeOrFail(
    _ done: CheckedContinuation<Bool, Never>, _ body: @escaping @Sendable () -> Void
  ) {
    do { try execute(body) } catch { done.resume(returning: false) }
  }
}
