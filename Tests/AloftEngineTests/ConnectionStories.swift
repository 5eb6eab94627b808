import AloftEngine
import AloftSim
import Testing

/// The life of a connection, in exact worlds: everything ready at once, nothing partial.
struct ConnectionStories {
  @Test(
    "A client's bytes come back from an echo server, whatever the sizes",
    arguments: [
      1, 2, 100, 4_096, 65_535, 65_536, 65_537, 300_000,
    ])
  func echo(size: Int) throws {
    let scene = try Scene(loops: 2)
    let server = Script(scene.loops[0])
    server.echo()
    // Were the client's reads to pause too while it sends, the two would wait for each other.
    let client = Script(scene.loops[1]) { $0.highWater = .max }
    scene.listen(server)
    scene.on(scene.loops[1], run: 100) {
      client.onOpened = { client.write($0, pattern(size)) }
      _ = try? scene.loops[1].connect(to: scene.address, handler: client)
    }
    expectSame(client.received(), pattern(size))
    #expect(server.told().first == .opened)
    scene.end()
    #expect(client.reason() == .shutdown && server.reason() == .shutdown)
  }

  @Test("The same seed gives the same history, and another seed another")
  func sameSeedSameHistory() throws {
    func history(_ seed: UInt64) throws -> (UInt64, Int) {
      let scene = try Scene(seed: seed, SimOptions(), loops: 2)
      let server = Script(scene.loops[0])
      server.echo()
      scene.listen(server)
      for _ in 0..<5 {
        let peer = scene.world.connectPeer(to: scene.address)
        peer.send(pattern(10_000))
        peer.finish()
      }
      scene.run(200)
      scene.end()
      return (scene.world.digest.value, scene.world.steps)
    }
    for seed in UInt64(1)...20 {
      let (first, steps) = try history(seed)
      let (second, again) = try history(seed)
      #expect(first == second && steps == again, "seed \(seed)")
      #expect(try history(seed + 1_000).0 != first)
    }
  }

  @Test("A stale ID does nothing, also when its slot is in use again")
  func staleIDs() throws {
    let scene = try Scene()
    let server = Script(scene.loop)
    scene.listen(server)
    let first = scene.world.connectPeer(to: scene.address)
    scene.run(1)
    let stale = server.ids[0]
    scene.on(scene.loop) { scene.loop.reset(stale) }
    #expect(first.error == -104)
    // The slot comes from one of three chunks by chance: some arrival gets it again.
    var peers: [SimPeer] = []
    for _ in 0..<12 {
      peers.append(scene.world.connectPeer(to: scene.address))
      scene.run(1)
    }
    let heir = try #require(server.ids.dropFirst().first { $0.slot == stale.slot })
    #expect(heir.generation != stale.generation)
    scene.on(scene.loop) {
      #expect(server.write(stale, [1, 2, 3]) == .closed)
      #expect(server.writeFrame(stale, [1]) == .closed)
      scene.loop.close(stale)
      scene.loop.reset(stale)
      scene.loop.finishWriting(stale)
      scene.loop.pauseReading(stale)
      scene.loop.setContext(stale, 7)
      scene.loop.setHandler(stale, Script(scene.loop))
      #expect(scene.loop.name(of: stale, peer: true) == nil)
      #expect(!scene.loop.isOpen(stale) && scene.loop.isOpen(heir))
      #expect(scene.loop.context(heir) == 0 && scene.loop.queuedBytes(stale) == 0)
      // An ID of zeroes is what an unset one looks like.
      let zero = ConnectionID(rawValue: UInt64(scene.loop.number) << 48)
      #expect(server.write(zero, [1]) == .closed)
      scene.loop.close(zero)
      scene.loop.reset(zero)
      #expect(scene.loop.name(of: zero, peer: false) == nil)
      server.write(heir, [9])
    }
    #expect(peers.contains { $0.received == [9] })
    #expect(peers.allSatisfy { $0.error == 0 && !$0.hasEnded })
    scene.end()
  }

  @Test("A connect that is refused, or never answered, is told once and as what it was")
  func failedConnects() throws {
    let scene = try Scene()
    let nowhere = SocketAddress.ip(host: "10.0.0.9", port: 1)
    let silent = SocketAddress.ip(host: "10.0.0.9", port: 2)
    scene.world.makeBlackHole(silent)
    let client = Script(scene.loop) { $0.connectTimeout = 250 }
    scene.on(scene.loop, run: 240) {
      for address in [nowhere, silent] {
        #expect(throws: Never.self) {
          let id = try scene.loop.connect(to: address, handler: client)
          #expect(client.write(id, [1]) == .closed)  // Not yet.
        }
      }
    }
    #expect(client.ids.count == 1 && client.told() == [.closed(.system(111))])
    scene.run(20)
    #expect(client.told(1) == [.closed(.connectTimeout)])
    scene.end()
  }

  @Test("Connecting closed or reset before its answer ends at once, and is told as local")
  func closedWhileConnecting() throws {
    let scene = try Scene()
    let server = Script(scene.loop)
    let client = Script(scene.loop)
    scene.listen(server)
    scene.on(scene.loop, run: 50) {
      for reset in [true, false] {
        guard let id = try? scene.loop.connect(to: scene.address, handler: client) else { continue }
        if reset { scene.loop.reset(id) } else { scene.loop.close(id) }
      }
    }
    #expect(client.told(0) == [.closed(.local)] && client.told(1) == [.closed(.local)])
    scene.end()
  }

  @Test("A handler set in the midst of a callback is told from there on")
  func setHandler() throws {
    let scene = try Scene()
    let first = Script(scene.loop)
    weak var gone: Script?
    do {
      let second = Script(scene.loop)
      gone = second
      first.onReceived = { [unowned second] id, _ in scene.loop.setHandler(id, second) }
      // Released while it is on the stack: the loop holds it until the turn is over.
      second.onReceived = { id, _ in scene.loop.setHandler(id, first) }
      scene.listen(first)
      let peer = scene.world.connectPeer(to: scene.address)
      for round in 0..<3 {
        peer.send([UInt8(round)])
        scene.run(1)
      }
      peer.reset()
      scene.run(1)
      #expect(first.told() == [.opened, .received(1), .received(1)])
      #expect(second.told() == [.received(1), .closed(.system(104))])
      first.onReceived = { _, _ in }
    }
    scene.end()
    #expect(gone == nil, "the handler was retained for good")
  }

  @Test("Handlers may do anything to any connection from any callback", arguments: 0..<6)
  func anythingFromAnywhere(callback: Int) throws {
    let scene = try Scene()
    let server = Script(scene.loop) {
      $0.queuedMax = 1_000
      $0.lowWater = 500
    }
    var count = 0
    func havoc(_ id: ConnectionID) {
      for (place, other) in server.ids.enumerated() {
        switch (place + count) % 5 {
        case 0: server.write(other, pattern(10))
        case 1: scene.loop.close(other)
        case 2: scene.loop.reset(other)
        case 3: scene.loop.finishWriting(other)
        default: scene.loop.setHandler(other, server)
        }
      }
      count += 1
      if count < 40 { _ = try? scene.loop.connect(to: scene.address, handler: server) }
    }
    switch callback {
    case 0: server.onOpened = havoc
    case 1: server.onReceived = { id, _ in havoc(id) }
    case 2: server.onEnded = havoc
    case 3: server.onClosed = { id, _ in havoc(id) }
    case 4: server.onDraining = havoc
    default:
      server.onOpened = { while server.write($0, pattern(100)) == .accepted {} }
      server.onWritable = havoc
    }
    scene.listen(server)
    let peers = (0..<8).map { _ in scene.world.connectPeer(to: scene.address) }
    for peer in peers {
      peer.send(pattern(100))
      peer.finish()
    }
    scene.run(20)
    scene.on(scene.loop, run: 20) { scene.loop.drain() }
    scene.end()
    for id in server.ids {
      let told = server.log[id]!
      #expect(told.filter { if case .closed = $0 { true } else { false } }.count == 1)
      #expect(told.firstIndex(of: .opened) ?? 0 == 0)
      guard case .closed? = told.last else {
        Issue.record("told after closed: \(told)")
        continue
      }
    }
  }
}
