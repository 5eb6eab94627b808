import Aloft
import Foundation
import Testing

extension Robustness {
  /// Peers that are slower than they should be cost the others nothing, and memory in bounds.
  @Suite struct SlowPeerTests {
    /// 1,000 clients send a message byte by byte, all at once, a byte each round; meanwhile another
    /// is answered as ever. In the end each slow one has its whole answer.
    @Test(.timeLimit(.minutes(1))) func slowDrip() async throws {
      let helper = try Helper("max=2048", "frame=64")
      let drips = try Peer.many(1_000, port: helper.port)
      let brisk = try Peer(port: helper.port)
      let payload: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
      let message: [UInt8] = [0, 0, 0, UInt8(payload.count)] + payload
      for byte in message {
        for drip in drips { #expect(drip.send([byte])) }
        #expect(brisk.send(message) && brisk.receive(exactly: payload.count) == payload)
      }
      // With framing the helper still answers bare bytes.
      for drip in drips { #expect(drip.receive(exactly: payload.count) == payload) }
      let stats = try helper.stats()
      #expect(stats["accepted"] == 1_001 && stats["open"] == 1_001)
      #expect(stats["bytes"] == 1_001 * message.count + 11 * message.count)
      drips.forEach { $0.close() }
      brisk.close()
      try await eventually("all gone") { try helper.stats()["open"] == 0 }
      let end = try helper.end()
      #expect(end.status == 0 && end.words["descriptorsLeft"] == 0)
    }

    /// 200 clients ask for a flood and read nothing. Each one's queue is bounded by the options, so
    /// that memory stays what it was while others are served; then the stall time-out resets them.
    @Test(.timeLimit(.minutes(2))) func readerThatNeverReads() async throws {
      let helper = try Helper("mode=push", "max=1024", "stall=3000")
      let readers = try (0..<200).map { _ in
        try Peer(port: helper.port, source: 1, receiveBuffer: 4_096)
      }
      let begun = ContinuousClock.now
      for reader in readers { #expect(reader.send([0x70])) }
      try await eventually("all blocked") { try (helper.stats()["blocked"] ?? 0) >= 200 }
      let full = try #require(try helper.stats()["resident"])
      let brisk = try Peer(port: helper.port)
      var served = 0
      while ContinuousClock.now - begun < .seconds(2) {
        #expect(brisk.echoes([1, 2, 3]))
        served += 1
      }
      let later = try #require(try helper.stats()["resident"])
      // A queue's bound is 128 KiB, its chunks' spare room included below twice that.
      #expect(full < 200 * (256 << 10) + (64 << 20))
      #expect(later - full < 4 << 20, "memory grew by \(later - full)")
      #expect(served > 1_000)
      #expect(try helper.stats()["stalled"] == 0)
      try await eventually("all reset") { try helper.stats()["stalled"] == 200 }
      #expect(ContinuousClock.now - begun >= .seconds(3))
      #expect(try helper.stats()["open"] == 1)
      for reader in readers { #expect(reader.receiveAll() == nil) }
      #expect(brisk.echoes([4]))
    }

    /// What the writer of such a reader is told: `wouldBlock` at the bound, no byte taken; room
    /// again once the reader reads, and then everything that was accepted arrives.
    @Test(.timeLimit(.minutes(1))) func boundedQueue() async throws {
      var options = ConnectionOptions()
      options.writeQueueMax = 256 << 10
      try await Runtime.with(drain: .zero) { [options] runtime in
        let accepted = Locked(0)
        let recorder = Recorder(received: { connection, _ in
          let block = [UInt8](repeating: 3, count: 16 << 10)
          while connection.write(block) == .accepted { accepted.with { $0 += block.count } }
          #expect(connection.queuedBytes <= 256 << 10)
          #expect(connection.write("x") != .closed)
        })
        let listener = try await runtime.listen(on: .anyLocal, options: options, handler: recorder)
        let peer = try Peer(port: #require(listener.address.port), receiveBuffer: 4_096)
        peer.send([1])
        try await eventually("full") { accepted.value > 256 << 10 }
        #expect(recorder.log.value.writable == 0)
        var got = 0
        while got < accepted.value {
          guard case .bytes(let bytes) = peer.receive() else { break }
          got += bytes.count
        }
        #expect(got >= accepted.value && got <= accepted.value + 1)
        try await eventually("room") { recorder.log.value.writable == 1 }
      }
    }
  }
}
