import AloftEngine
import AloftSim
import Testing

/// How connections end: by halves, by resets, by time, with the loop.
struct EndingStories {
  @Test(
    "Half-close, the peer first or the loop first: both say all they have to say",
    arguments: [true, false], [0, 10, 200_000])
  func halfClose(peerFirst: Bool, size: Int) throws {
    let scene = try Scene()
    let server = Script(scene.loop)
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    scene.run(1)
    let id = server.ids[0]
    func finish() {
      scene.on(scene.loop, run: 5) {
        if size > 0 { server.write(id, pattern(size)) }
        scene.loop.finishWriting(id)
        scene.loop.finishWriting(id)
        #expect(server.write(id, [1]) == .closed)
      }
    }
    if peerFirst {
      peer.send([7])
      peer.finish()
      scene.run(5)
      #expect(server.told() == [.opened, .received(1), .ended])
      finish()
    } else {
      finish()
      #expect(peer.hasEnded && server.told() == [.opened])
      peer.send([7])
      peer.finish()
      scene.run(5)
    }
    expectSame(peer.received, pattern(size))
    #expect(server.received() == [7] && server.reason() == .peer)
    scene.end()
  }

  enum Stage: CaseIterable { case open, queued, closing, finishing, peerEnded, peerEndedQueued }

  @Test(
    "A peer's reset is told once, in each state, and with the first reason",
    arguments: Stage.allCases)
  func peerReset(stage: Stage) throws {
    let scene = try Scene()
    let server = Script(scene.loop)
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    peer.reads = false
    scene.run(1)
    let id = server.ids[0]
    scene.on(scene.loop) {
      if [.queued, .closing, .peerEndedQueued].contains(stage) {
        server.write(id, pattern(200_000))
      }
      if stage == .closing { scene.loop.close(id) }
      if stage == .finishing { scene.loop.finishWriting(id) }
    }
    if stage == .peerEnded || stage == .peerEndedQueued { peer.finish() }
    scene.run(1)
    peer.reset()
    scene.run(5)
    // Who neither reads nor has anything to send does not look, and learns it when it writes.
    if stage == .peerEnded {
      #expect(server.reason() == nil)
      scene.on(scene.loop) { server.write(id, [1]) }
    }
    #expect(server.reason() == (stage == .closing ? .local : .system(104)))
    #expect(server.told().filter { if case .closed = $0 { true } else { false } }.count == 1)
    scene.end()
  }

  // MARK: Time

  @Test(
    "The idle time-out comes when no byte has passed either way, neither early nor late",
    arguments: 0..<20)
  func idle(seed: Int) throws {
    let scene = try Scene(seed: UInt64(seed))
    let server = Script(scene.loop) { $0.idleTimeout = 50 }
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    // Off the ticks' grid on purpose.
    for _ in 0..<5 {
      scene.world.run(milliseconds: 40)
      while scene.world.step(until: scene.world.now + UInt64(scene.world.random.below(900_000))) {}
      peer.send([1])
    }
    // Written, and taken at once: activity as well.
    for _ in 0..<5 { scene.on(scene.loop, run: 40) { server.write(server.ids[0], [2]) } }
    #expect(server.reason() == nil)
    let last = scene.world.now - 40_000_000
    var end: UInt64 = 0
    server.onClosed = { _, _ in end = scene.world.now }
    scene.run(20)
    #expect(server.reason() == .idleTimeout)
    #expect(end >= last + 50_000_000 && end <= last + 52_000_000, "\(Int(end) - Int(last))")
    scene.end()
  }

  @Test(
    "A peer that takes nothing for the stall time-out is reset; one that takes some is not",
    arguments: [false, true])
  func stall(closing: Bool) throws {
    let scene = try Scene()
    let server = Script(scene.loop) {
      $0.stallTimeout = 100
      $0.idleTimeout = closing ? 0 : 10_000
    }
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    peer.reads = false
    scene.run(1)
    var end: UInt64 = 0
    server.onClosed = { _, _ in end = scene.world.now }
    scene.on(scene.loop) {
      server.write(server.ids[0], pattern(400_000))
      if closing { scene.loop.close(server.ids[0]) }
    }
    for _ in 0..<4 {
      scene.run(80)
      peer.reads = true
      peer.reads = false
    }
    #expect(server.told() == [.opened])
    let last = scene.world.now
    scene.run(99)
    #expect(server.told() == [.opened])
    scene.run(10)
    #expect(server.reason() == (closing ? .local : .writeStalled))
    #expect(peer.error == -104)
    #expect(end >= last + 99_000_000 && end < last + 103_000_000)
    scene.end()
  }

  @Test("The connect time-out comes at its time, however many wait", arguments: [1, 50, 5_000])
  func connectTimeout(timeout: Int) throws {
    let scene = try Scene()
    let silent = SocketAddress.ip(host: "10.0.0.9", port: 2)
    scene.world.makeBlackHole(silent)
    let client = Script(scene.loop) { $0.connectTimeout = UInt32(timeout) }
    var begun: UInt64 = 0
    var ends: [UInt64] = []
    client.onClosed = { _, _ in ends.append(scene.world.now) }
    scene.on(scene.loop, run: timeout + 5) {
      begun = scene.world.now
      for _ in 0..<20 { _ = try? scene.loop.connect(to: silent, handler: client) }
    }
    let wanted = UInt64(timeout) * 1_000_000
    #expect(ends.count == 20)
    #expect(ends.allSatisfy { $0 >= begun + wanted && $0 <= begun + wanted + 2_000_000 })
    scene.end()
  }

  // MARK: The loop's end

  @Test("Shutdown tells closed to every connection, in whatever state, once and last")
  func shutdown() throws {
    let scene = try Scene()
    let silent = SocketAddress.ip(host: "10.0.0.9", port: 2)
    scene.world.makeBlackHole(silent)
    let server = Script(scene.loop)
    scene.listen(server)
    let peers = (0..<6).map { _ in scene.world.connectPeer(to: scene.address) }
    for peer in peers { peer.reads = false }
    scene.run(1)
    scene.on(scene.loop) {
      _ = try? scene.loop.connect(to: silent, handler: server)
      for place in [1, 2, 3] { server.write(server.ids[place], pattern(200_000)) }
      scene.loop.close(server.ids[2])
      scene.loop.finishWriting(server.ids[3])
    }
    peers[4].finish()
    // Whatever handlers ask for at the end must not begin anything.
    server.onClosed = { id, _ in
      #expect((try? scene.loop.connect(to: scene.address, handler: server)) == nil)
      for other in server.ids { server.write(other, [1]) }
      scene.world.perform(on: scene.loop) {
        _ = try? scene.loop.connect(to: scene.address, handler: server)
      }
    }
    scene.run(1)
    scene.end()
    #expect(server.ids.count == 7)
    for place in 0..<7 {
      #expect(server.reason(place) == (place == 2 ? .local : .shutdown), "connection \(place)")
      #expect(server.told(place).filter { if case .closed = $0 { true } else { false } }.count == 1)
    }
  }

  @Test("Ten thousand jobs that wait at the end are run or released, none is lost")
  func jobsAtTheEnd() throws {
    final class Token {}
    let scene = try Scene()
    var runs = 0
    weak var token: Token?
    do {
      let held = Token()
      token = held
      scene.on(scene.loop, run: 0) {
        for _ in 0..<10_000 {
          scene.world.perform(on: scene.loop) {
            withExtendedLifetime(held) { runs += 1 }
          }
        }
        scene.loop.requestStop()
      }
    }
    scene.end()
    #expect(runs == 10_000 && token == nil)
  }

  @Test("drain asks every open connection, and those that open later; whenEmpty comes at the end")
  func drain() throws {
    let scene = try Scene(loops: 2)
    let other = Script(scene.loops[1])
    scene.listen(other, on: scene.loops[1])
    let server = Script(scene.loop)
    server.onDraining = { scene.loop.close($0) }
    let own = SocketAddress.ip(host: "10.0.0.1", port: 8_000)
    scene.listen(server, at: own)
    let peers = (0..<3).map { _ in scene.world.connectPeer(to: own) }
    scene.run(1)
    var empty = 0
    scene.on(scene.loop, run: 10) {
      _ = try? scene.loop.connect(to: scene.address, handler: server)
      scene.loop.whenEmpty { empty += 1 }
      scene.loop.drain()
    }
    #expect(server.ids.count == 4 && empty == 1)
    for place in 0..<4 {
      #expect(server.told(place) == [.opened, .draining, .closed(.local)])
    }
    #expect(peers.allSatisfy { $0.hasEnded })
    let late = scene.world.connectPeer(to: own)
    scene.run(5)
    #expect(late.error == -111)
    scene.end()
  }

  @Test(
    "A chain of closes, each from within the last one's closed, ends in the same turn",
    arguments: [3, 17, 100])
  func chainOfCloses(count: Int) throws {
    let scene = try Scene()
    let server = Script(scene.loop)
    scene.listen(server)
    let peers = (0..<count).map { _ in scene.world.connectPeer(to: scene.address) }
    scene.run(1)
    var times: Set<UInt64> = []
    server.onClosed = { id, _ in
      times.insert(scene.loop.statistics.turns.load(ordering: .relaxed))
      guard let place = server.ids.firstIndex(of: id), place + 1 < count else { return }
      // Queued, so that it is the driver's answer that ends it.
      server.write(server.ids[place + 1], [1])
      scene.loop.close(server.ids[place + 1])
    }
    scene.on(scene.loop) { scene.loop.close(server.ids[0]) }
    // Slots are used again from here on; nobody may be forgotten.
    _ = peers.map { _ in scene.world.connectPeer(to: scene.address) }
    scene.run(5)
    #expect(times.count == 1)
    for place in 0..<count { #expect(server.reason(place) == .local) }
    scene.end()
  }
}
