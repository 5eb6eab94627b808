import AloftEngine
import AloftQueue
import AloftSim
import Testing

/// Messages made of what a connection receives, and messages as output, on the simulator: what a
/// message holds stays as it was, however often the arena is used again.
struct MessageStories {
  /// A server that takes over all it receives, with a peer connected.
  private func taking(framing: ConnectionSettings.Framing = .none) throws -> (
    Scene, Script, SimPeer, Box
  ) {
    let scene = try Scene()
    let server = Script(scene.loop) { $0.framing = framing }
    let box = Box()
    server.onReceived = { _, bytes in box.blocks.append(scene.loop.takeReceived(bytes)) }
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    scene.run(1)
    return (scene, server, peer, box)
  }

  private func takenOver(_ scene: Scene) -> UInt64 {
    scene.loop.statistics.takenOver.load(ordering: .relaxed)
  }

  final class Box {
    var blocks: [MessageBlock] = []
    func drop() {
      for block in blocks { MessageBlock.release(block) }
      blocks = []
    }
    deinit { drop() }
  }

  @Test("Messages keep their bytes across turns, and the loop has its memory back when they end")
  func kept() throws {
    let (scene, _, peer, box) = try taking()
    let parts = [5_000, 2_000, 1_024, 60_000, 1, 1_023]
    var at = 0
    for part in parts {
      peer.send(pattern(part, from: at))
      at += part
      scene.run(1)
    }
    #expect(box.blocks.map { Int($0.header.pointee.count) } == parts)
    #expect(
      box.blocks.map { $0.header.pointee.region != 0 } == [true, true, true, true, false, false])
    #expect(scene.loop.messages.arenasOut == 5, "four are held, one is being received into")
    let all = box.blocks.flatMap { Array(UnsafeRawBufferPointer($0.bytes)) }
    expectSame(all, pattern(at))
    #expect(takenOver(scene) == 4)
    #expect(scene.loop.statistics.takenCopied.load(ordering: .relaxed) == 2)
    box.drop()
    scene.on(scene.loop) {}
    scene.loop.messages.takeReturned()
    #expect(scene.loop.messages.arenasOut == 1)
    scene.end()
  }

  @Test("A message dropped within its turn leaves the arena where it is")
  func droppedAtOnce() throws {
    let scene = try Scene()
    let server = Script(scene.loop)
    var arenas: Set<UInt> = []
    server.onReceived = { _, bytes in
      let block = scene.loop.takeReceived(bytes)
      arenas.insert(block.header.pointee.region)
      MessageBlock.release(block)
    }
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    for _ in 0..<10 {
      peer.send(pattern(4_000))
      scene.run(1)
    }
    #expect(arenas.count == 1 && !arenas.contains(0))
    #expect(scene.loop.messages.arenasOut <= 2)
    scene.end()
  }

  @Test("Whoever keeps all gets copies when the loop's limit of arenas is reached")
  func limit() throws {
    let (scene, _, peer, box) = try taking()
    let rounds = 100
    for round in 0..<rounds {
      peer.send(pattern(2_000, from: round * 2_000))
      scene.run(1)
    }
    #expect(box.blocks.count == rounds)
    #expect(scene.loop.messages.arenasOut == 64)
    #expect(takenOver(scene) == 63)
    #expect(scene.loop.statistics.takenAtLimit.load(ordering: .relaxed) == UInt64(rounds - 63))
    expectSame(box.blocks.flatMap { Array(UnsafeRawBufferPointer($0.bytes)) }, pattern(200_000))
    // With one given back, the next is taken over again.
    MessageBlock.release(box.blocks.removeFirst())
    scene.on(scene.loop) {}
    peer.send(pattern(2_000))
    scene.run(1)
    #expect(takenOver(scene) == 64)
    scene.end()
  }

  @Test(
    "Frames, whole or in parts, are taken over; twice taken they are two messages",
    arguments: [true, false])
  func frames(whole: Bool) throws {
    let (scene, server, peer, box) = try taking(framing: .lengthPrefixed(max: 100_000))
    server.onReceived = { _, bytes in
      box.blocks.append(scene.loop.takeReceived(bytes))
      box.blocks.append(scene.loop.takeReceived(bytes))
      box.blocks.append(scene.loop.takeReceived(.init(rebasing: bytes.dropFirst(bytes.count / 2))))
    }
    let frames = [pattern(3_000), pattern(70_000, from: 9), pattern(10, from: 3)]
    let stream = FramingTests.encoded(frames)
    if whole {
      for frame in frames where frame.count < 65_000 {
        peer.send(FramingTests.encoded([frame]))
        scene.run(1)
      }
    } else {
      for piece in stride(from: 0, to: stream.count, by: 777) {
        peer.send(Array(stream[piece..<min(piece + 777, stream.count)]))
        scene.run(1)
      }
    }
    let expected = frames.filter { !whole || $0.count < 65_000 }.flatMap {
      [$0, $0, Array($0.dropFirst($0.count / 2))]
    }
    #expect(box.blocks.count == expected.count)
    for (block, frame) in zip(box.blocks, expected) {
      expectSame(Array(UnsafeRawBufferPointer(block.bytes)), frame)
    }
    #expect(Set(box.blocks.map { $0.address }).count == expected.count, "a block is one message")
    box.drop()
    scene.end()
    scene.loop.messages.takeReturned()
    #expect(scene.loop.messages.countBlocksOut() <= 2, "the arena and the next one")
  }

  @Test("A written message is one operation, sent from where it lies, and let go of")
  func written() throws {
    let scene = try Scene()
    let server = Script(scene.loop)
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    scene.run(1)
    let before = scene.loop.messages.countBlocksOut()
    let driver = scene.world.driver(of: scene.loop)
    driver.logsOperations = true
    let counts = [64, 0, 3_000, 10, 1_024, 1_025, 70_000]
    scene.on(scene.loop) {
      var at = 0
      for count in counts {
        let block = pattern(count, from: at).withUnsafeBytes { EventLoop.newMessage(copying: $0) }
        let result = scene.loop.write(server.ids[0], Message(adopting: block))
        #expect(result == .accepted)
        at += count
      }
    }
    let total = counts.reduce(0, +)
    scene.run(5)
    expectSame(peer.received, pattern(total))
    // 10 and 1,024 are one piece in the staging area.
    #expect(driver.operationLog.map(\.bytes) == [64, 3_000, 1_034, 1_025, 70_000])
    #expect(scene.loop.messages.countBlocksOut() == before)
    scene.end()
  }

  @Test("Refused as bytes are: what is not accepted is the caller's still, or gone if given up")
  func refused() throws {
    let scene = try Scene()
    let server = Script(scene.loop) { $0.queuedMax = 10_000 }
    scene.listen(server)
    let peer = scene.world.connectPeer(to: scene.address)
    peer.reads = false
    scene.run(1)
    let before = scene.loop.messages.countBlocksOut()
    var accepted = 0
    scene.on(scene.loop) {
      let id = server.ids[0]
      for framed in [true, false, true, false] {
        while true {
          let block = pattern(4_000, from: accepted).withUnsafeBytes {
            EventLoop.newMessage(copying: $0)
          }
          let result =
            framed
            ? scene.loop.writeFrame(id, adopting: block) : scene.loop.write(id, adopting: block)
          guard result == .accepted else {
            #expect(result == .wouldBlock)
            #expect(Array(UnsafeRawBufferPointer(block.bytes)) == pattern(4_000, from: accepted))
            MessageBlock.release(block)
            break
          }
          accepted += 4_000
          #expect(scene.loop.queuedBytes(id) <= 10_000)
        }
      }
    }
    #expect(accepted > 65_536)
    // All that the peer does not take is in the driver's queue, within its limit.
    #expect(scene.loop.messages.countBlocksOut() == before)
    scene.on(scene.loop) {
      scene.loop.reset(server.ids[0])
      let block = EventLoop.newMessage(count: 5_000)
      #expect(scene.loop.write(server.ids[0], adopting: block) == .closed)
      let result = scene.loop.write(server.ids[0], Message(adopting: block))
      #expect(result == .closed)
    }
    #expect(scene.loop.messages.countBlocksOut() == before)
    scene.end()
  }

  @Test("Messages outlive the loop that made them")
  func outlive() throws {
    let (scene, _, peer, box) = try taking()
    peer.send(pattern(9_000))
    scene.run(1)
    scene.end()
    let all = box.blocks.flatMap { Array(UnsafeRawBufferPointer($0.bytes)) }
    expectSame(all, pattern(9_000))
  }
}

extension MessageBlock {
  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: header.pointee.bytes, count: Int(header.pointee.count))
  }
}
