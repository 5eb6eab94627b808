import AloftEngine
import AloftSim
import Testing

/// Length-prefixed frames, in whatever pieces they come.
struct FramingTests {
  static let frames: [[UInt8]] = [[], [1], [], [2, 3], pattern(9), [], [4]]

  static func encoded(_ frames: [[UInt8]]) -> [UInt8] {
    frames.flatMap { frame -> [UInt8] in
      let count = UInt32(frame.count)
      return (0..<4).map { UInt8(truncatingIfNeeded: count >> (24 - 8 * $0)) } + frame
    }
  }

  /// Feeds the pieces to a loop one turn after the other; answers the frames that came out.
  static func run(_ pieces: [ArraySlice<UInt8>], max: UInt32) throws -> ([[UInt8]], Script) {
    let scene = try Scene()
    let server = Script(scene.loop) { $0.framing = .lengthPrefixed(max: max) }
    var got: [[UInt8]] = []
    server.onReceived = { _, bytes in got.append(Array(bytes)) }
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    scene.run(1)
    for piece in pieces {
      peer.send(Array(piece))
      scene.run(1)
    }
    scene.end()
    return (got, server)
  }

  @Test("A short stream, split at every pair of places, gives the same frames")
  func everySplit() throws {
    let stream = Self.encoded(Self.frames)
    for first in 0...stream.count {
      for second in [first, first + 1, first + 4, stream.count] where second <= stream.count {
        let pieces = [stream[..<first], stream[first..<second], stream[second...]]
        let got = try Self.run(pieces, max: 9).0
        #expect(got == Self.frames, "\(first), \(second)")
      }
    }
  }

  @Test("Byte by byte, and in random pieces, the frames are the same")
  func randomPieces() throws {
    let frames = Self.frames + [pattern(1_000), [], pattern(3)]
    let stream = Self.encoded(frames)
    let singly = try Self.run(stream.indices.map { stream[$0...$0] }, max: 1_000).0
    #expect(singly == frames)
    var random = SimRandom(seed: 3)
    for _ in 0..<20 {
      var pieces: [ArraySlice<UInt8>] = []
      var at = 0
      while at < stream.count {
        let end = min(stream.count, at + random.in(1...40))
        pieces.append(stream[at..<end])
        at = end
      }
      let got = try Self.run(pieces, max: 1_000).0
      #expect(got == frames)
    }
  }

  @Test(
    "A frame above the limit ends the connection at its length, in one piece or in five",
    arguments: [0, 1, 2, 3, 4], [UInt32(101), .max])
  func tooLarge(split: Int, length: UInt32) throws {
    let head = (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) }
    let stream = Self.encoded([[5]]) + head + pattern(50)
    let (got, server) = try Self.run([stream[..<(5 + split)], stream[(5 + split)...]], max: 100)
    #expect(got == [[5]] && server.reason() == .frameTooLarge(length))
  }

  @Test("No frame follows a close from within received; one half-way in is let go of")
  func closeWithin() throws {
    let scene = try Scene()
    let server = Script(scene.loop) { $0.framing = .lengthPrefixed(max: 100) }
    server.onReceived = { id, _ in scene.loop.close(id) }
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    peer.send(Self.encoded([[1], [2], [3]]) + [0, 0, 0, 9, 1])
    scene.run(2)
    #expect(server.told() == [.opened, .received(1), .closed(.local)])
    scene.end()
  }

  @Test(
    "Behind setHandler from within received, bytes are the new handler's, in its own framing",
    arguments: [true, false])
  func upgrade(whole: Bool) throws {
    let scene = try Scene()
    let raw = Script(scene.loop)
    let framed = Script(scene.loop) { $0.framing = .lengthPrefixed(max: 100) }
    framed.onReceived = { id, _ in scene.loop.setHandler(id, raw) }
    scene.listen(framed)
    let peer = scene.world.connectPeer(to: scene.address)
    scene.run(1)
    let stream = Self.encoded([[1, 2]]) + [9, 9, 9, 9, 9]
    let pieces = whole ? [stream[...]] : [stream[..<5], stream[5...]]
    for piece in pieces {
      peer.send(Array(piece))
      scene.run(1)
    }
    #expect(framed.received() == [1, 2] && raw.received() == [9, 9, 9, 9, 9])
    scene.end()
  }

  @Test("writeFrame and framing are each other's reverse, over a stream in pieces")
  func roundTrip() throws {
    for seed in UInt64(1)...20 {
      let scene = try Scene(seed: seed, SimOptions(), loops: 2)
      let server = Script(scene.loops[0]) { $0.framing = .lengthPrefixed(max: 70_000) }
      let client = Script(scene.loops[1]) { $0.queuedMax = 1 << 24 }
      let frames = [0, 1, 70_000, 3, 0, 5_000].map { pattern($0) }
      var got: [[UInt8]] = []
      server.onReceived = { _, bytes in got.append(Array(bytes)) }
      scene.listen(server)
      scene.on(scene.loops[1], run: 60_000) {
        client.onOpened = { id in for frame in frames { client.writeFrame(id, frame) } }
        _ = try? scene.loops[1].connect(to: scene.address, handler: client)
      }
      let same = got == frames
      #expect(same, "seed \(seed): \(got.count) frames")
      scene.end()
    }
  }
}
