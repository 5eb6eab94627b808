import AloftEngine
import AloftSim
import Testing

/// The user's timers, and jobs from elsewhere.
struct TimerStories {
  @Test(
    "No timer is early, and none is more than a tick late on a free loop",
    arguments: [0, 1, 2, 10, 255, 256, 1_000, 70_000])
  func times(delay: Int) throws {
    let scene = try Scene()
    for phase in [0, 1, 400_000, 999_999] {
      while scene.world.step(until: scene.world.now + UInt64(phase)) {}
      var begun: UInt64 = 0
      var fired: [UInt64] = []
      scene.on(scene.loop, run: delay + 5) {
        begun = scene.world.now
        _ = scene.loop.startTimer(afterMilliseconds: UInt64(delay)) {
          fired.append(scene.world.now)
        }
      }
      let due = begun + UInt64(delay) * 1_000_000
      #expect(fired.count == 1 && fired[0] >= due && fired[0] <= due + 1_000_000)
    }
    scene.end()
  }

  @Test("A periodic timer keeps its period until it is cancelled, also by itself")
  func periodic() throws {
    let scene = try Scene()
    var fired: [UInt64] = []
    var id: TimerID?
    scene.on(scene.loop, run: 200) {
      id = scene.loop.startTimer(afterMilliseconds: 10, period: 20) {
        fired.append(scene.world.now)
        if fired.count == 5 { #expect(scene.loop.cancelTimer(id!)) }
      }
    }
    #expect(fired.count == 5)
    #expect(zip(fired, fired.dropFirst()).allSatisfy { $1 - $0 == 20_000_000 })
    scene.on(scene.loop) { #expect(!scene.loop.cancelTimer(id!)) }
    scene.end()
  }

  @Test("Timers may be moved, cancelled and started from within one another")
  func fromWithin() throws {
    let scene = try Scene()
    var log: [String] = []
    var ids: [String: TimerID] = [:]
    func start(_ name: String, _ delay: UInt64, _ body: @escaping () -> Void = {}) {
      ids[name] = scene.loop.startTimer(afterMilliseconds: delay) {
        log.append(name)
        body()
      }
    }
    scene.on(scene.loop, run: 100) {
      start("first", 10) {
        // Due in the same tick: still there to be cancelled and moved.
        #expect(scene.loop.cancelTimer(ids["same"]!))
        #expect(scene.loop.rearmTimer(ids["moved"]!, afterMilliseconds: 30))
        #expect(!scene.loop.cancelTimer(ids["first"]!))
        #expect(!scene.loop.rearmTimer(ids["first"]!, afterMilliseconds: 1))
        start("new", 0)
      }
      start("same", 10)
      start("moved", 10)
      start("earlier", 90)
      #expect(scene.loop.rearmTimer(ids["earlier"]!, afterMilliseconds: 5))
    }
    #expect(log == ["earlier", "first", "new", "moved"])
    scene.end()
  }

  @Test("At timersMax the answer is nil; an ID left over from a timer gone moves nobody else's")
  func limit() throws {
    let scene = try Scene(timersMax: 4)
    scene.on(scene.loop) {
      let ids = (0..<4).map { _ in scene.loop.startTimer(afterMilliseconds: 1_000) {} }
      #expect(ids.allSatisfy { $0 != nil })
      #expect(scene.loop.startTimer(afterMilliseconds: 1) {} == nil)
      #expect(scene.loop.cancelTimer(ids[2]!))
      let heir = scene.loop.startTimer(afterMilliseconds: 1_000) {}
      #expect(heir != nil && !scene.loop.cancelTimer(ids[2]!))
      #expect(!scene.loop.rearmTimer(ids[2]!, afterMilliseconds: 1))
      #expect(scene.loop.cancelTimer(heir!))
    }
    scene.end()
  }

  @Test("Jobs run in their sender's order, from siblings, from outside and from the loop itself")
  func jobOrder() throws {
    for seed in UInt64(1)...50 {
      let scene = try Scene(seed: seed, SimOptions(), loops: 3)
      var got: [Int: [Int]] = [:]
      func send(_ sender: Int) {
        for number in 0..<20 {
          scene.world.perform(on: scene.loops[2]) { got[sender, default: []].append(number) }
        }
      }
      scene.world.perform(on: scene.loops[0]) { send(0) }
      scene.world.perform(on: scene.loops[1]) { send(1) }
      scene.world.perform(on: scene.loops[2]) { send(2) }
      send(3)
      scene.run(50)
      for sender in 0..<4 { #expect(got[sender] == Array(0..<20), "sender \(sender)") }
      scene.end()
    }
  }

  @Test("A full inbox is an answer with the numbers, and nobody is told twice")
  func inboxFull() throws {
    let scene = try Scene()
    nonisolated(unsafe) var runs = 0
    var refused = 0
    for _ in 0..<100 {
      do {
        try scene.loop.execute { runs += 1 }
      } catch {
        #expect(error.code == .inboxFull && error.message.contains("64"))
        refused += 1
      }
    }
    scene.run(5)
    #expect(runs == 64 && refused == 36)
    scene.end()
  }
}

/// Arrivals: dealt out, refused, limited.
struct ListenerStories {
  @Test("Siblings share a port; a stranger, and a second first one, can't have it")
  func sharing() throws {
    let scene = try Scene(SimOptions.exact, loops: 3)
    let handlers = scene.loops.map { Script($0) }
    for (place, loop) in scene.loops.enumerated() {
      scene.listen(handlers[place], on: loop, first: place == 0)
    }
    let other = try scene.world.makeLoops(1)[0]
    for (loop, first) in [(other, true), (other, false), (scene.loops[0], true)] {
      scene.on(loop) {
        let request = ListenRequest(
          index: 5, address: scene.address, backlog: 8, first: first, handOver: false)
        do throws(EngineError) {
          _ = try loop.listen(request, handler: handlers[0])
          Issue.record("two have one port")
        } catch {
          #expect(error.errno == 98)
        }
      }
    }
    for _ in 0..<60 { _ = scene.world.connectPeer(to: scene.address) }
    scene.run(10)
    #expect(handlers.map(\.ids.count).reduce(0, +) == 60)
    #expect(handlers.allSatisfy { $0.ids.count > 5 })
    scene.end()
  }

  @Test(
    "Accepted descriptors are dealt out evenly over the loops, and none is lost at the end",
    arguments: [1, 2, 4])
  func dealing(loops: Int) throws {
    let scene = try Scene(SimOptions(), loops: loops)
    let handlers = scene.loops.map { Script($0) }
    for (place, loop) in scene.loops.enumerated().dropFirst() {
      scene.on(loop) { loop.setListenerHandler(0, handlers[place]) }
    }
    scene.listen(handlers[0], handOver: true)
    let peers = (0..<40).map { _ in scene.world.connectPeer(to: scene.address) }
    scene.run(100)
    #expect(handlers.allSatisfy { $0.ids.count == 40 / loops })
    #expect(peers.allSatisfy { $0.isConnected && $0.error == 0 })
    // Some are on their way between loops when the end comes.
    for _ in 0..<40 { _ = scene.world.connectPeer(to: scene.address) }
    while scene.world.step(until: scene.world.now + 3_000_000) {}
    scene.end()
  }

  @Test("An episode of refusals is told once; the next one again", arguments: [true, false])
  func descriptors(spare: Bool) throws {
    let scene = try Scene(timersMax: 1)
    let server = Script(scene.loop)
    scene.listen(server)
    // The user's timers are used up: the listener's pause must end all the same.
    scene.on(scene.loop) { _ = scene.loop.startTimer(afterMilliseconds: 1 << 40) {} }
    scene.process.descriptorsMax = 2
    scene.process.hasSpare = spare
    let peers = (0..<5).map { _ in scene.world.connectPeer(to: scene.address) }
    scene.run(10)
    #expect(server.ids.count == 2 && server.refusals == [24])
    #expect(peers.filter { $0.error == -104 }.count == (spare ? 3 : 0))
    scene.on(scene.loop) { for id in server.ids { scene.loop.close(id) } }
    scene.run(200)
    if spare { _ = scene.world.connectPeer(to: scene.address) }
    scene.run(200)
    #expect(server.ids.count > 2)
    for _ in 0..<5 { _ = scene.world.connectPeer(to: scene.address) }
    scene.run(10)
    #expect(server.refusals == [24, 24])
    scene.end()
  }

  @Test("connectionsMax refuses arrivals and connects with what there is to know")
  func slots() throws {
    let scene = try Scene(connectionsMax: 3)
    let server = Script(scene.loop)
    scene.listen(server)
    let peers = (0..<5).map { _ in scene.world.connectPeer(to: scene.address) }
    scene.run(5)
    #expect(server.ids.count == 3 && server.refusals == [28])
    #expect(peers.filter { $0.error == -104 }.count == 2)
    scene.on(scene.loop) {
      do throws(EngineError) {
        _ = try scene.loop.connect(to: scene.address, handler: server)
        Issue.record("a connection above the limit")
      } catch {
        #expect(error.code == .connectionLimit && error.message.contains("3"))
      }
    }
    scene.end()
  }

  @Test("A listener closed from within opened or refused turns the rest away, and can be had again")
  func closedWithin() throws {
    let scene = try Scene()
    let server = Script(scene.loop)
    server.onOpened = { _ in scene.loop.closeListener(0) }
    scene.listen(server)
    let peers = (0..<5).map { _ in scene.world.connectPeer(to: scene.address) }
    scene.run(5)
    #expect(server.ids.count == 1)
    #expect(peers.filter { $0.error != 0 || $0.hasEnded }.count == 4)
    scene.listen(server)
    _ = scene.world.connectPeer(to: scene.address)
    scene.run(5)
    #expect(server.ids.count == 2)
    scene.end()
  }
}
