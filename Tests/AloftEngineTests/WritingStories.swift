import AloftEngine
import AloftSim
import Testing

/// Output: gathered, queued, refused, flushed.
struct WritingStories {
  @Test("A turn's writes become one operation, in order", arguments: [1, 2, 100, 2_000])
  func coalescing(writes: Int) throws {
    let scene = try Scene()
    let server = Script(scene.loop) { $0.queuedMax = 1 << 24 }
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    scene.run(1)
    let driver = scene.world.driver(of: scene.loop)
    driver.logsOperations = true
    scene.on(scene.loop) {
      for place in 0..<writes { server.write(server.ids[0], pattern(10, from: place * 10)) }
    }
    expectSame(peer.received, pattern(writes * 10))
    #expect(driver.operationLog.map(\.kind) == [.write])
    scene.end()
  }

  @Test("Writes to two connections are two operations, each with its own pieces chained")
  func chaining() throws {
    let scene = try Scene()
    let server = Script(scene.loop)
    scene.listen(server)
    let peers = (0..<2).map { _ in scene.world.connectPeer(to: scene.address) }
    scene.run(1)
    let driver = scene.world.driver(of: scene.loop)
    driver.logsOperations = true
    scene.on(scene.loop) {
      for place in 0..<5 {
        for id in server.ids { server.write(id, pattern(8, from: place * 8)) }
      }
    }
    #expect(
      driver.operationLog.map(\.kind) == [.write, .write] + Array(repeating: .segment, count: 8))
    for peer in peers { #expect(peer.received == pattern(40)) }
    scene.end()
  }

  @Test("Bytes of the arena are echoed without a copy, and whole, though the arena is used again")
  func arena() throws {
    let scene = try Scene()
    let server = Script(scene.loop)
    server.onReceived = { id, bytes in
      // From the arena and from elsewhere in turns.
      for (place, byte) in bytes.enumerated() {
        if place % 2 == 0 {
          _ = scene.loop.write(id, .init(rebasing: bytes[place...place]))
        } else {
          server.write(id, [byte])
        }
      }
    }
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    peer.send(pattern(5_000))
    scene.run(10)
    expectSame(peer.received, pattern(5_000))
    scene.end()
  }

  @Test("At queuedMax a write is refused whole; writable comes once, when there is room")
  func wouldBlock() throws {
    let scene = try Scene()
    let server = Script(scene.loop) {
      $0.queuedMax = 10_000
      $0.lowWater = 2_000
    }
    var sent = 0
    func fill(_ id: ConnectionID) {
      while server.write(id, pattern(1_000, from: sent)) == .accepted { sent += 1_000 }
      // Asked again and again: told once all the same.
      for _ in 0..<3 { #expect(server.write(id, pattern(1_000)) == .wouldBlock) }
      #expect(scene.loop.queuedBytes(id) <= 10_000)
    }
    server.onOpened = fill
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    peer.reads = false
    scene.run(5)
    #expect(sent == 65_536 / 1_000 * 1_000 + 10_000 - 0 || sent > 65_536)
    #expect(server.told() == [.opened])
    peer.reads = true
    scene.run(5)
    #expect(server.told() == [.opened, .writable])
    expectSame(peer.received, pattern(sent))
    scene.end()
  }

  @Test(
    "One message above queuedMax goes out when nothing waits before it, a frame likewise whole",
    arguments: [true, false], [0, 65_534, 65_536])
  func oneLargeMessage(framed: Bool, before: Int) throws {
    let scene = try Scene()
    let server = Script(scene.loop) {
      $0.queuedMax = 100
      $0.framing = framed ? .lengthPrefixed(max: 1 << 20) : .none
    }
    var result: WriteResult?
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    peer.reads = false
    scene.run(1)
    scene.on(scene.loop) {
      // With the socket's buffers nearly full, a part of the frame's length is queued.
      if before > 0 { #expect(server.write(server.ids[0], pattern(before)) == .accepted) }
    }
    scene.on(scene.loop) {
      let large = pattern(5_000)
      result = framed ? server.writeFrame(server.ids[0], large) : server.write(server.ids[0], large)
      #expect(
        server.write(server.ids[0], [1]) == .wouldBlock || result == .wouldBlock || before == 0)
    }
    peer.reads = true
    scene.run(5)
    let header: [UInt8] = framed ? [0, 0, 0x13, 0x88] : []
    if result == .accepted {
      expectSame(
        Array(peer.received.prefix(before + header.count + 5_000)),
        pattern(before) + header + pattern(5_000))
    } else {
      expectSame(peer.received, pattern(before))
    }
    #expect(result == .accepted)
    scene.end()
  }

  @Test("Above highWater a connection's own reads pause; at lowWater they go on")
  func watermarks() throws {
    let scene = try Scene()
    let server = Script(scene.loop) {
      $0.highWater = 10_000
      $0.lowWater = 1_000
    }
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    peer.reads = false
    scene.run(1)
    let id = server.ids[0]
    scene.on(scene.loop) { server.write(id, pattern(80_000)) }
    peer.send(pattern(10))
    scene.run(5)
    #expect(server.received() == [], "read above the high-water mark")
    peer.reads = true
    scene.run(5)
    #expect(server.received() == pattern(10))
    expectSame(peer.received, pattern(80_000))
    scene.end()
  }

  @Test("A pause by the user outlives one by output, in either order", arguments: [true, false])
  func twoPauses(userFirst: Bool) throws {
    let scene = try Scene()
    let server = Script(scene.loop) { $0.highWater = 10_000 }
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    peer.reads = false
    scene.run(1)
    let id = server.ids[0]
    scene.on(scene.loop) {
      if userFirst { scene.loop.pauseReading(id) }
      server.write(id, pattern(100_000))
    }
    scene.on(scene.loop) { if !userFirst { scene.loop.pauseReading(id) } }
    peer.send([1])
    peer.reads = true
    scene.run(5)
    #expect(peer.received.count == 100_000 && server.received() == [])
    scene.on(scene.loop) { scene.loop.resumeReading(id) }
    #expect(server.received() == [1])
    scene.end()
  }

  @Test("close sends what is queued; reset loses it", arguments: [true, false])
  func closeAndReset(reset: Bool) throws {
    let scene = try Scene()
    let server = Script(scene.loop)
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    peer.reads = false
    scene.run(1)
    scene.on(scene.loop) {
      server.write(server.ids[0], pattern(200_000))
      if reset { scene.loop.reset(server.ids[0]) } else { scene.loop.close(server.ids[0]) }
      #expect(server.write(server.ids[0], [1]) == .closed)
    }
    #expect((server.reason() == nil) == !reset)
    peer.reads = true
    scene.run(20)
    #expect(server.told() == [.opened, .closed(.local)])
    if reset {
      #expect(peer.received.count < 200_000 && peer.error == -104)
    } else {
      expectSame(peer.received, pattern(200_000))
      #expect(peer.hasEnded)
    }
    scene.end()
  }

  @Test("A write forced out before an older PROGRESS is seen is not forgotten by it")
  func lateProgress() throws {
    // Connection A's data makes its handler write much to B, whose PROGRESS stands behind in the
    // same turn; then B is finished, which may only happen when all its bytes are out.
    for seed in UInt64(1)...200 {
      var options = SimOptions.exact
      options.streamBytes = 4_096...4_096
      let scene = try Scene(seed: seed, options)
      let server = Script(scene.loop) { $0.queuedMax = 6_000 }
      scene.listen(server)
      let a = scene.world.connectPeer(to: scene.address)
      scene.run(1)
      let b = scene.world.connectPeer(to: scene.address)
      b.reads = false
      scene.run(1)
      var sent = 0
      func fill() {
        let id = server.ids[1]
        while server.write(id, pattern(500, from: sent)) == .accepted { sent += 500 }
      }
      server.onReceived = { _, _ in
        fill()
        scene.loop.finishWriting(server.ids[1])
      }
      scene.on(scene.loop) { fill() }
      b.reads = true
      a.send([1])
      scene.run(20)
      expectSame(b.received, pattern(sent))
      #expect(b.hasEnded, "seed \(seed)")
      scene.end()
    }
  }
}
