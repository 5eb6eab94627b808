import AloftCluster
import AloftEngine
import AloftMembership
import Glibc
import Testing

/// What is sent on streams, on real sockets: in order, whole, bounded by credit, and nothing small
/// behind anything large.
@Suite(.serialized)
struct StreamStories {
  /// A message that can be told from any other of its length.
  private func pattern(_ count: Int, _ seed: UInt8 = 1) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8 &+ Int(seed)) }
  }

  @Test(
    "A message of any length arrives as it was",
    arguments: [
      0, 1, 63, 64, 1_024, 16_000, 16_368, 16_369, 65_472, 65_535, 65_536, 65_537, 131_072,
      1 << 20, 10 << 20,
    ])
  func lengths(count: Int) throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    let message = pattern(count)
    #expect(try a.send(to: "b", stream: 4, kind: 9, message) == .accepted)
    #expect(try a.send(to: "b", stream: 4 | LinkStream.acknowledged, kind: 8, message) == .accepted)
    #expect(eventually { b.told.now.messages.count == 2 })
    let got = b.told.now.messages.sorted { $0.stream < $1.stream }
    #expect(got.map(\.stream) == [4, 4 | LinkStream.acknowledged])
    #expect(got.map(\.kind) == [9, 8])
    #expect(got.allSatisfy { $0.bytes == message })
    #expect(a.told.now.down.isEmpty && b.told.now.down.isEmpty)
  }

  @Test("A message that is too long is refused; the largest is not")
  func tooLarge() throws {
    let (a, b) = try makePair { $0.messageMax = 100_000 }
    defer {
      a.stop()
      b.stop()
    }
    #expect(try a.send(to: "b", pattern(100_001)) == .tooLarge)
    #expect(try a.send(to: "b", pattern(100_000)) == .accepted)
    #expect(eventually { b.told.now.messages.map(\.bytes.count) == [100_000] })
  }

  @Test(
    "Who was told that there is no room is told when there is, whatever lengths wait",
    arguments: [UInt16(1), 1 | LinkStream.acknowledged])
  func roomAgain(stream: UInt16) throws {
    let (a, b) = try makePair { $0.creditBytes = 1 << 18 }
    defer { [a, b].forEach { $0.stop() } }
    var random = Seeded(state: 5)
    for round in 0..<40 {
      let most = [100, 20_000, 70_000, 300_000][round % 4]
      let lengths = (0..<64).map { _ in Int.random(in: 0...most, using: &random) }
      let told = a.told.now.writable.count
      try a.on { node in
        guard let peer = node.table.peer(named: "b") else { return }
        var sent = 0
        let bytes = [UInt8](repeating: 1, count: most)
        while true {
          let result = bytes.withUnsafeBytes { bytes in
            let message = UnsafeRawBufferPointer(rebasing: bytes.prefix(lengths[sent % 64]))
            return node.table.send(to: peer, stream: stream, kind: 0, message)
          }
          guard result == .accepted else { break }
          sent += 1
        }
      }
      #expect(eventually { a.told.now.writable.count == told + 1 }, "round \(round)")
    }
  }

  /// Sends numbered messages of `bytes` on a stream until all are taken, going on at `writable`.
  private func sendAll(
    _ node: Node, to name: String, stream: UInt16, count: Int, bytes: Int
  ) throws {
    let next = Guarded(0)
    while next.now < count {
      try node.on { node in
        guard let peer = node.table.peer(named: name) else { return }
        var message = [UInt8](repeating: 0, count: bytes)
        while next.now < count {
          let number = next.now
          message.withUnsafeMutableBytes { $0.storeBytes(of: number, as: Int.self) }
          let result = message.withUnsafeBytes {
            node.table.send(to: peer, stream: stream, kind: 0, $0)
          }
          guard result == .accepted else { return }
          next.with { $0 += 1 }
        }
      }
      if next.now < count { usleep(200) }
    }
  }

  @Test(
    "Messages of a stream arrive in order, each once, however many and large",
    arguments: [(64, 50_000), (1_024, 10_000), (70_000, 100)],
    [UInt16(1), LinkStream.acknowledged | 1])
  func order(size: (bytes: Int, count: Int), stream: UInt16) throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    let expected = Guarded(0)
    let wrong = Guarded(0)
    try b.on {
      $0.onMessage = { _, _, _, message in
        let number = message.loadUnaligned(as: Int.self)
        if expected.with({ next in
          defer { next += 1 }
          return next != number || message.count != size.bytes
        }) {
          wrong.with { $0 += 1 }
        }
      }
    }
    try sendAll(a, to: "b", stream: stream, count: size.count, bytes: size.bytes)
    #expect(eventually { expected.now == size.count })
    #expect(wrong.now == 0)
    #expect(a.told.now.down.isEmpty && b.told.now.down.isEmpty)
  }

  @Test("Without credit a send would block; when the receiver gives some, there is room again")
  func credit() throws {
    let (a, b) = try makePair { $0.creditBytes = 128 << 10 }
    defer {
      a.stop()
      b.stop()
    }
    try b.on { $0.table.holdCredit(of: $0.table.peer(named: "a")!, stream: 5) }
    var taken = 0
    while try a.send(to: "b", stream: 5, pattern(1_000)) == .accepted { taken += 1 }
    #expect(taken == (128 << 10) / 1_016)
    #expect(try a.send(to: "b", stream: 6, [1]) == .accepted)
    #expect(eventually { b.told.now.messages.count == taken + 1 })
    #expect(a.told.now.writable.isEmpty)
    try b.on { $0.table.giveCredit(to: $0.table.peer(named: "a")!, stream: 5, bytes: 100_000) }
    #expect(eventually { a.told.now.writable == [5] })
    #expect(try a.send(to: "b", stream: 5, [2]) == .accepted)
    try b.on { $0.table.giveCredit(to: $0.table.peer(named: "a")!, stream: 5, bytes: nil) }
    for _ in 0..<1_000 { #expect(try a.send(to: "b", stream: 5, pattern(100)) == .accepted) }
    #expect(eventually { b.told.now.messages.count == taken + 2 + 1_000 })
  }

  @Test("Small messages pass a large one of another stream; on its own there is no room yet")
  func fair() throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    let streams = Guarded<[UInt16]>([])
    try b.on { $0.onMessage = { _, _, stream, _ in streams.with { $0.append(stream) } } }
    let large = pattern(32 << 20)
    #expect(try a.send(to: "b", stream: 1, large) == .accepted)
    #expect(try a.send(to: "b", stream: 1, [1]) == .wouldBlock)
    for _ in 0..<10 { #expect(try a.send(to: "b", stream: 2, [2]) == .accepted) }
    #expect(eventually { a.told.now.writable == [1] })
    #expect(try a.send(to: "b", stream: 1, [1]) == .accepted)
    #expect(eventually { streams.now.count == 12 })
    #expect(streams.now == [UInt16](repeating: 2, count: 10) + [1, 1])
  }

  @Test("Two large messages share the link, and neither waits for the other's end")
  func shared() throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    let streams = Guarded<[UInt16]>([])
    try b.on { $0.onMessage = { _, _, stream, _ in streams.with { $0.append(stream) } } }
    try a.on { node in
      let peer = node.table.peer(named: "b")!
      for (stream, count) in [(UInt16(1), 32 << 20), (2, 4 << 20)] {
        let bytes = [UInt8](repeating: 3, count: count)
        let result = bytes.withUnsafeBytes {
          node.table.send(to: peer, stream: stream, kind: 0, $0)
        }
        #expect(result == .accepted)
      }
    }
    #expect(eventually { streams.now.count == 2 })
    #expect(streams.now == [2, 1])
  }

  @Test("More large messages than the receiver puts together at a time wait for each other")
  func assemblyRoom() throws {
    let (a, b) = try makePair {
      $0.messageMax = 1 << 20
      $0.reassemblyMax = 2 << 20
    }
    defer {
      a.stop()
      b.stop()
    }
    for stream in UInt16(1)...8 {
      #expect(try a.send(to: "b", stream: stream, pattern(1 << 20, UInt8(stream))) == .accepted)
    }
    #expect(eventually { b.told.now.messages.count == 8 })
    for message in b.told.now.messages {
      #expect(message.bytes == pattern(1 << 20, UInt8(message.stream)))
    }
    #expect(b.told.now.down.isEmpty)
  }

  @Test("Acknowledged messages survive links that are cut again and again: each once, in order")
  func acknowledged() throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    let stream = LinkStream.acknowledged | 7
    let seen = Guarded<[Int]>([])
    try b.on {
      $0.onMessage = { _, _, _, message in
        seen.with { $0.append(message.loadUnaligned(as: Int.self)) }
      }
    }
    var cuts = 0
    for number in 0..<2_000 {
      // Some are large enough to be cut in the midst of their fragments.
      var message = [UInt8](repeating: 0, count: number % 50 == 0 ? 200_000 : 16)
      message.withUnsafeMutableBytes { $0.storeBytes(of: number, as: Int.self) }
      while true {
        let result = try a.send(to: "b", stream: stream, message)
        if result == .accepted { break }
        #expect(result == .wouldBlock)
        usleep(500)
      }
      if number % 100 == 50 {
        cuts += 1
        let cutter = cuts % 2 == 0 ? a : b
        try cutter.on { node in
          guard let peer = node.table.linkedPeers.first else { return }
          node.table.close(peer, redial: true)
        }
      }
    }
    #expect(eventually { seen.now.count == 2_000 })
    #expect(seen.now == Array(0..<2_000))
    #expect(a.told.now.undelivered == 0)
    let resent = try a.statistics().resent
    #expect(cuts == 20 && resent > 0, "nothing had to be sent again")
  }

  @Test("An acknowledged stream keeps so much and no more while there is no link")
  func keepsBounded() throws {
    let (a, b) = try makePair { $0.unacknowledgedMax = 10_000 }
    defer { a.stop() }
    b.kill()
    #expect(eventually { a.told.now.down.count == 1 })
    let stream = LinkStream.acknowledged
    for _ in 0..<10 { #expect(try a.send(to: "b", stream: stream, pattern(1_000)) == .accepted) }
    #expect(try a.send(to: "b", stream: stream, pattern(1_000)) == .wouldBlock)
  }

  @Test("A stream of bytes takes what there is credit for, and goes on when there is more")
  func bytes() throws {
    let (a, b) = try makePair { $0.creditBytes = 128 << 10 }
    defer {
      a.stop()
      b.stop()
    }
    let all = pattern(3 << 20)
    let got = Guarded<[UInt8]>([])
    try b.on { $0.onMessage = { _, _, _, message in got.with { $0.append(contentsOf: message) } } }
    var at = 0
    while at < all.count {
      let start = at
      at += try a.on { node in
        all[start...].withUnsafeBytes {
          node.table.write(to: node.table.peer(named: "b")!, stream: 1, kind: 0, $0) ?? 0
        }
      }
      if at < all.count { usleep(100) }
    }
    #expect(eventually { got.now.count == all.count })
    #expect(got.now == all)
    #expect(try a.statistics().wouldBlocks > 0)
  }
}
