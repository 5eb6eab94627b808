import Aloft
import AloftNode
import AloftSessionClient
import Testing

/// Clients of real clusters: sockets, links, log and disks, in one process.
@Suite(.serialized)
struct ClientStories {
  @Test("What a client writes at one node, another client reads at another node")
  func everywhere() async throws {
    try await withDoors { nodes in
      let one = try await nodes.client("user", at: [0])
      let made = try await one.create(state: [1])
      #expect(made.id.utf8.count == 32)
      try await made.append([2])
      let other = try await nodes.client("user", at: [1])
      let found = try await other.resume(made.id)
      #expect(try await found.read().state == [1, 2])
      try await found.update { $0.append(3) }
      let last = try await made.read()
      #expect(last.state == [1, 2, 3])
      try await found.put([9])
      #expect(await failure { try await made.put([8], expected: last.version) } == .conflict)
      try await made.touch()
      let named = try await one.create(state: [4], name: "basket")
      #expect(try await other.named("basket") == named)
      #expect(await failure { _ = try await other.create(name: "basket") } == .exists)
      try await named.setPhase(.suspended)
      #expect(try await named.read().phase == .suspended)
      #expect(await failure { try await named.patch(["a": [1]]) } == .invalid)
      let fields = try await one.create()
      try await fields.patch(["a": [1], "b": [2]])
      try await fields.patch(["a": nil])
      #expect(try await fields.read().state.count > 2)
      try await made.close()
      #expect(await failure { _ = try await found.read() } == .closed)
      // In terms of the nodes' own API it's the same session.
      let sessions = nodes.nodes[2].sessions
      let user = try await sessions.principal("user")
      #expect(try await sessions.get(named.id, principal: user)?.read().state == [4])
    }
  }

  @Test("A read that is at least of a version is answered where the client is, and never older")
  func tokens() async throws {
    try await withDoors { nodes in
      var clients: [SessionClient] = []
      for at in 0..<3 { clients.append(try await nodes.client("user", at: [at])) }
      let made = try await clients[0].create(state: [0])
      for number in 1...30 {
        let version = try await made.put([UInt8(number)])
        let other = clients[number % 3]
        let read = try await other.resume(made.id).read(.atLeast(version))
        #expect(read.state == [UInt8(number)])
        #expect(read.version == version)
      }
      // What all nodes know is answered by each.
      let token = await clients[0].token
      for (at, client) in clients.enumerated() {
        let session = try await client.resume(made.id)
        try await eventually("node \(at) answers by itself") {
          let before = await nodes.nodes[at].sessions.statistics()?.readsHere ?? 0
          let read = try? await session.read(.atLeast(token))
          let after = await nodes.nodes[at].sessions.statistics()?.readsHere ?? 0
          return read?.state == [30] && after == before + 1
        }
      }
      let user = try await nodes.nodes[0].sessions.principal("user")
      let inner = try #require(try await nodes.nodes[0].sessions.get(made.id, principal: user))
      #expect(try await inner.read(.atLeast(token)).state == [30])
    }
  }

  @Test("Events come to whoever is attached, at whichever node, in order, from a number on")
  func outbox() async throws {
    try await withDoors { nodes in
      let one = try await nodes.client("user", at: [0])
      let made = try await one.create()
      for number in 0..<3 { try await made.publish([UInt8(number)]) }
      let other = try await nodes.client("user", at: [1])
      let session = try await other.resume(made.id)
      var events = try await session.events().makeAsyncIterator()
      for number in 0..<3 { #expect(try await events.next()?.bytes == [UInt8(number)]) }
      for number in 3..<6 {
        let published = try await made.publish([UInt8(number)])
        let event = try #require(try await events.next())
        #expect(event.number == published)
        #expect(event.bytes == [UInt8(number)])
      }
      try await session.acknowledge(through: 4)
      var rest = try await made.events(from: 6).makeAsyncIterator()
      #expect(try await rest.next()?.number == 6)
      #expect(try await made.read().firstEvent == 5)
      try await made.close()
      #expect(await failure { _ = try await events.next() } == .closed)
    }
  }

  @Test("A node dies: clients go on at another, each write is done once, no event is missed")
  func failover() async throws {
    try await withDoors { nodes in
      let client = try await nodes.client("user", at: [2, 0, 1]) { $0.patience = .seconds(60) }
      // At the one that is to die.
      let doomed = try await nodes.client("user", at: [2]) { $0.patience = .milliseconds(300) }
      var sessions: [ClientSession] = []
      for _ in 0..<12 { sessions.append(try await client.create()) }
      let watched = sessions[0]
      let events = try await nodes.client("user", at: [0, 1]).resume(watched.id).events()
      let attached = try await client.resume(watched.id).attach()
      await withThrowingTaskGroup(of: Void.self) { tasks in
        for session in sessions {
          tasks.addTask {
            for number in 0..<40 {
              try await session.append([UInt8(number)])
              if session == watched { try await session.publish([UInt8(number)]) }
            }
          }
        }
        tasks.addTask {
          try await eventually("writes are under way") {
            (try? await watched.read().state.count > 3) == true
          }
          await nodes.end(2)
        }
        while let result = await tasks.nextResult() {
          if case .failure(let error) = result { Issue.record(error) }
        }
      }
      for session in sessions { #expect(try await session.read().state == Array(0..<40)) }
      var got: [UInt8] = []
      for try await event in events {
        got += event.bytes
        if got.count == 40 { break }
      }
      #expect(got == Array(0..<40))
      attached.detach()
      #expect(await failure { _ = try await doomed.create() } != nil)
      if case .connected(let address, _) = await client.state {
        #expect(address != nodes.doors[2])
      } else {
        Issue.record("it is not connected: \(await client.state)")
      }
    }
  }

  @Test("A client that nobody lets in says why; one whose cluster is gone says so in time")
  func failures() async throws {
    try await withDoors { nodes in
      var options = try nodes.options("user", at: [0])
      options.token = try Node.clientToken(for: "user", key: Array("another cluster's key".utf8))
      #expect(await failure { _ = try await nodes.client(options) } == .denied)
      options.token = "no token"
      #expect(await failure { _ = try await nodes.client(options) } == .denied)
      let client = try await nodes.client("user") { $0.patience = .milliseconds(300) }
      let made = try await client.create(state: [1])
      await nodes.end(0)
      await nodes.end(1)
      // One of three is no majority.
      let code = await failure { try await made.append([2]) }
      #expect(code == .uncertain || code == .notAccepting)
      await client.close()
      #expect(await failure { _ = try await made.read() } == .notAccepting)
      #expect(await client.state == .closed)
    }
  }

  @Test("A session in the memory of one node alone is used from each, and ends with that one")
  func local() async throws {
    try await withDoors { nodes in
      let client = try await nodes.client("user", at: [0])
      let options = SessionOptions(durability: .local)
      let named = await failure { _ = try await client.create(name: "a", options: options) }
      #expect(named == .invalid)
      let made = try await client.create(state: [1], options: options)
      let other = try await nodes.client("user", at: [1])
      let session = try await other.resume(made.id)
      try await session.append([2])
      #expect(try await made.read().state == [1, 2])
      var events = try await session.events().makeAsyncIterator()
      for number in 0..<3 {
        try await made.publish([UInt8(number)])
        #expect(try await events.next()?.bytes == [UInt8(number)])
      }
      let inner = try await nodes.nodes[2].sessions.create(state: [7], options: options)
      #expect(inner.id.localNode != nil)
      #expect(try await inner.read().state == [7])
      try await made.close()
      #expect(await failure { _ = try await events.next() } != nil)
    }
  }

  @Test("A client's writes of one session are done in the order in which they were asked for")
  func order() async throws {
    try await withDoors { nodes in
      let client = try await nodes.client("user")
      let made = try await client.create()
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        for number in 0..<100 {
          tasks.addTask { try await made.append([UInt8(number)]) }
          // Each is asked before the next one is.
          try await eventually("\(number) was asked") {
            await client.statistics().requests >= UInt64(number) + 3
          }
        }
        try await tasks.waitForAll()
      }
      #expect(try await made.read().state == Array(0..<100))
    }
  }
}
