import AloftEngine
import AloftUV
import Glibc
import Testing

/// The driver on real sockets of this machine, nothing beyond loopback. Every wait has its limit.
@Suite(.serialized) struct DriverTests {
  @Test(
    "Loops share a port that the system chose, and each serves what it accepts",
    arguments: [1, 2, 4])
  func listening(loops: Int) throws {
    let group = try makeGroup(loops: loops)
    defer { group.stopAndJoin() }
    let server = Counter(echoes: true)
    let address = try group.listen(server)
    for round in 0..<60 {
      let client = try Client(address)
      #expect(client.send([UInt8(round)]) == 1)
      #expect(client.receive(10) == [UInt8(round)])
      client.finish()
      #expect(client.receive(10) == [])
    }
    #expect(eventually { server.told.now.reasons.count == 60 })
    #expect(server.told.now.loops.count == loops)
  }

  @Test("What a slow reader is sent comes whole", arguments: [1, 1_000, 1 << 20, 10 << 20])
  func slowReader(size: Int) throws {
    let group = try makeGroup()
    defer { group.stopAndJoin() }
    let server = Counter(echoes: true) { $0.queuedMax = 64 << 20 }
    let address = try group.listen(server)
    let client = try Client(address, receiveBytes: 8_192)
    let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 &>> 8) }
    let descriptor = client.descriptor
    let writer = Guarded(0)
    var thread = pthread_t()
    final class Work {
      let run: () -> Void
      init(_ run: @escaping () -> Void) { self.run = run }
    }
    let work = Work {
      var at = 0
      while at < size {
        let part = bytes[at..<min(at + 65_536, size)]
        let sent = part.withUnsafeBytes {
          Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        if sent <= 0 { break }
        at += sent
      }
      shutdown(descriptor, Int32(SHUT_WR))
      writer.with { $0 = at }
    }
    pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(work).toOpaque())
    var got: [UInt8] = []
    var round = 0
    while true {
      let part = client.receive(65_536)
      if part.isEmpty { break }
      got += part
      round += 1
      if round % 64 == 0 { usleep(1_000) }
    }
    pthread_join(thread, nil)
    let same = got == bytes
    #expect(same && writer.now == size, "\(got.count) of \(size)")
    #expect(eventually { server.told.now.reasons == [.local] })
  }

  @Test("Unix-domain sockets, accepted by one loop, are dealt out over all", arguments: [1, 3])
  func unixDomain(loops: Int) throws {
    let group = try makeGroup(loops: loops)
    defer { group.stopAndJoin() }
    let server = Counter(echoes: true)
    let address = SocketAddress.unix(path: "\0aloft-test-\(getpid())-\(loops)")
    for (place, loop) in group.loops.enumerated().reversed() {
      let status = group.on(loop) { loop -> Bool in
        guard place == 0 else {
          loop.setListenerHandler(0, server)
          return true
        }
        let request = ListenRequest(
          index: 0, address: address, backlog: 64, first: true, handOver: true)
        return (try? loop.listen(request, handler: server)) != nil
      }
      #expect(status == true)
    }
    for round in 0..<30 {
      let client = try Client(address)
      #expect(client.send([UInt8(round), 1]) == 2)
      #expect(client.receive(10) == [UInt8(round), 1])
    }
    #expect(eventually { server.told.now.reasons.count == 30 })
    #expect(server.told.now.loops.count == loops)
  }

  @Test("A port in use is an error, also when the other is a group of ours")
  func portInUse() throws {
    let first = try makeGroup(loops: 2)
    defer { first.stopAndJoin() }
    let address = try first.listen(Counter())
    let second = try makeGroup()
    defer { second.stopAndJoin() }
    #expect(throws: EngineError.self) { try second.listen(Counter(), on: address) }
    // With the first gone, it can be had at once.
    first.stopAndJoin()
    #expect(try second.listen(Counter(), on: address) == address)
  }

  enum Stage: CaseIterable { case open, queued, closing, finishing, peerEnded, peerEndedQueued }

  @Test("A peer's reset is told as what it was, in each state", arguments: Stage.allCases)
  func peerReset(stage: Stage) throws {
    let group = try makeGroup()
    defer { group.stopAndJoin() }
    // Its reads are not to pause while its output waits, or it would not see the peer's end.
    let server = Counter {
      $0.queuedMax = 64 << 20
      $0.highWater = .max
    }
    let address = try group.listen(server)
    do {
      let client = try Client(address, receiveBytes: 8_192)
      #expect(eventually { server.told.now.opened.count == 1 })
      let id = server.told.now.opened[0]
      _ = group.on(group.loops[0]) { loop -> Bool in
        if [.queued, .closing, .peerEndedQueued].contains(stage) {
          let bytes = [UInt8](repeating: 1, count: 16 << 20)
          #expect(bytes.withUnsafeBytes { loop.write(id, $0) } == .accepted)
        }
        if stage == .closing { loop.close(id) }
        if stage == .finishing { loop.finishWriting(id) }
        return true
      }
      if stage == .peerEnded || stage == .peerEndedQueued {
        client.finish()
        #expect(eventually { server.told.now.ended == 1 })
      }
      #expect(server.told.now.reasons.isEmpty)
      client.resetAtClose()
    }
    if stage == .peerEnded {
      // Who neither reads nor has anything to send learns it when it writes.
      usleep(20_000)
      _ = group.on(group.loops[0]) { loop in
        [UInt8(1)].withUnsafeBytes { loop.write(server.told.now.opened[0], $0) }
      }
    }
    #expect(eventually { server.told.now.reasons.count == 1 })
    let wanted: [CloseReason] =
      stage == .closing
      ? [.local]
      : stage == .peerEnded
        ? [.system(EPIPE), .system(ECONNRESET)] : [.system(ECONNRESET), .system(EPIPE)]
    #expect(wanted.contains(try #require(server.told.now.reasons.first)))
  }

  @Test("Connects that are refused say so; connects between loops of a group work")
  func connecting() throws {
    let group = try makeGroup(loops: 2)
    defer { group.stopAndJoin() }
    let server = Counter(echoes: true)
    let client = Counter()
    let address = try group.listen(server)
    let unused = try Self.unusedAddress()
    for target in [address, unused] {
      let done = group.on(group.loops[1]) { loop in
        (try? loop.connect(to: target, handler: client)) != nil
      }
      #expect(done == true)
    }
    #expect(eventually { client.told.now.reasons == [.system(ECONNREFUSED)] })
    #expect(eventually { client.told.now.opened.count == 1 })
    let id = client.told.now.opened[0]
    let names = group.on(group.loops[1]) { loop -> [SocketAddress?] in
      _ = [UInt8(1), 2, 3].withUnsafeBytes { loop.write(id, $0) }
      return [loop.name(of: id, peer: true), loop.name(of: id, peer: false)]
    }
    #expect(names?[0] == address && names?[1] != nil && names?[1] != address)
    #expect(eventually { client.told.now.received == 3 })
  }

  /// A port that was free a moment ago.
  private static func unusedAddress() throws -> SocketAddress {
    let group = try makeGroup()
    defer { group.stopAndJoin() }
    return try group.listen(Counter())
  }

  @Test("A group that the descriptor limit has no room for is refused with the numbers")
  func descriptorLimit() throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(7), &limit)  // RLIMIT_NOFILE
    guard limit.rlim_cur < 1 << 20 else { return }
    do {
      _ = try makeGroup(connectionsMax: 1 << 20)
      Issue.record("made, with a limit of \(limit.rlim_cur)")
    } catch let error as EngineError {
      #expect(error.code == .descriptorLimit && error.message.contains("\(limit.rlim_cur)"))
    }
  }

  @Test("Above connectionsMax arrivals are turned away, told once, and taken again later")
  func connectionsMax() throws {
    let group = try makeGroup(connectionsMax: 3)
    defer { group.stopAndJoin() }
    let server = Counter(echoes: true)
    let address = try group.listen(server)
    do {
      let a = try Client(address)
      let b = try Client(address)
      let c = try Client(address)
      #expect(eventually { server.told.now.opened.count == 3 })
      for _ in 0..<5 {
        let client = try Client(address)
        #expect(client.receive(1) == [] && errno == ECONNRESET)
      }
      #expect(server.told.now.refused == [ENOSPC])
      _ = (a.send([1]), b.send([1]), c.send([1]))
    }
    #expect(eventually { server.told.now.reasons.count == 3 })
    let again = try Client(address)
    #expect(again.send([5]) == 1 && again.receive(1) == [5])
  }

  @Test(
    "Loops with private descriptor tables, and loops that poll before they sleep, serve as well",
    arguments: [false, true])
  func options(polling: Bool) throws {
    let group = try makeGroup(loops: 2) {
      $0.privateDescriptors = !polling
      $0.loop.busyPollMax = polling ? 200_000 : 0
    }
    defer { group.stopAndJoin() }
    let server = Counter(echoes: true)
    let address = try group.listen(server)
    for round in 0..<100 {
      let client = try Client(address)
      for byte in 0..<3 {
        #expect(client.send([UInt8(round), UInt8(byte)]) == 2)
        #expect(client.receive(2) == [UInt8(round), UInt8(byte)])
      }
    }
    #expect(eventually { server.told.now.reasons.count == 100 })
  }

  @Test("Writes to a peer that is gone raise no signal and end in closed")
  func brokenPipe() throws {
    let group = try makeGroup()
    defer { group.stopAndJoin() }
    let server = Counter()
    let address = try group.listen(server)
    do {
      let client = try Client(address)
      _ = client.send([1])
      #expect(eventually { server.told.now.received == 1 })
    }
    #expect(eventually { server.told.now.ended == 1 })
    let id = server.told.now.opened[0]
    for _ in 0..<1_000 where server.told.now.reasons.isEmpty {
      _ = group.on(group.loops[0]) { loop in [UInt8(1)].withUnsafeBytes { loop.write(id, $0) } }
    }
    #expect([.system(EPIPE), .system(ECONNRESET)].contains(server.told.now.reasons.first))
  }

  @Test("2,000 connects and aborts, and a shutdown with connections open, leave nothing behind")
  func nothingLeft() throws {
    let descriptors = entries(of: "/proc/self/fd")
    let threads = entries(of: "/proc/self/task")
    do {
      let group = try makeGroup(loops: 2)
      let server = Counter(echoes: true)
      let address = try group.listen(server)
      for round in 0..<2_000 {
        let client = try Client(address)
        if round % 3 != 0 { _ = client.send([1, 2, 3]) }
        if round % 2 == 0 { client.resetAtClose() }
      }
      #expect(eventually { server.told.now.opened.count == server.told.now.reasons.count })
      #expect(eventually { entries(of: "/proc/self/fd") <= descriptors + 20 })
      let one = try Client(address)
      let two = try Client(address)
      #expect(two.send([9]) == 1 && two.receive(1) == [9])
      #expect(eventually { server.told.now.opened.count - server.told.now.reasons.count == 2 })
      group.stopAndJoin()
      #expect(one.receive(1) == [] && two.receive(1) == [])
      let told = server.told.now
      #expect(told.opened.count == told.reasons.count)
      #expect(told.reasons.suffix(2) == [.shutdown, .shutdown])
      // Late words are answers, not crashes.
      #expect(throws: EngineError.self) { try group.loops[0].execute {} }
    }
    #expect(eventually { entries(of: "/proc/self/fd") <= descriptors })
    #expect(eventually { entries(of: "/proc/self/task") <= threads })
  }
}
