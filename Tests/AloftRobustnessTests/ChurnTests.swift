import Aloft
import Foundation
import Testing

extension Robustness {
  /// Connections that come and go leave nothing behind: no descriptor, no memory, no thread, and no
  /// handler that was not told.
  @Suite struct ChurnTests {
    private static let isQuick = ProcessInfo.processInfo.environment["ALOFT_QUICK"] != nil

    /// 100,000 connects that end at once, by reset and by close in turn, some before they have been
    /// accepted, from 16 addresses. (10,000 with ALOFT_QUICK set.)
    @Test(.timeLimit(.minutes(2))) func connectsAndAborts() async throws {
      let helper = try Helper("max=8192", "loops=1")
      try await abort(4_000, helper, from: 0)
      let before = try helper.stats()
      let count = Self.isQuick ? 10_000 : 100_000
      try await abort(count, helper, from: 4_000)
      let after = try helper.stats()
      #expect(after["descriptors"] == before["descriptors"])
      #expect(after["opened"] == after["closed"] && after["refused"] == 0)
      let growth = (after["resident"] ?? 0) - (before["resident"] ?? 0)
      #expect(growth < 1 << 20, "memory grew by \(growth)")
      #expect(try Peer(port: helper.port).echoes([1]))
      let end = try helper.end()
      #expect(end.status == 0)
      #expect(end.words["descriptorsLeft"] == 0 && end.words["threadsLeft"] == 0)
    }

    /// Waits every 500 for the helper to come along, so that no backlog overflows.
    private func abort(_ count: Int, _ helper: Helper, from base: Int) async throws {
      for index in 1...count {
        let peer = try Peer(port: helper.port, source: 1 + UInt32(index / 4 % 16))
        switch index % 4 {
        case 0: peer.reset()
        case 1:
          peer.send([1, 2, 3])
          peer.reset()
        case 2: peer.close()
        default:
          peer.finish()
          peer.close()
        }
        guard index % 500 == 0 || index == count else { continue }
        try await eventually("all accepted and closed") {
          try helper.stats()["closed"] == base + index
        }
      }
    }

    /// Shuts down with 1,000 connections idle, in the midst of a message, not reading, half-closed
    /// and stalled: the threads end, the descriptors are back, and handlers heard `closed` once.
    @Test(.timeLimit(.minutes(1)), arguments: [1, 4])
    func shutdownWithOpenConnections(loops: Int) async throws {
      let helper = try Helper("max=2048", "loops=\(loops)", "mode=linger", "frame=100000")
      let peers = try Peer.many(1_000, port: helper.port)
      for (index, peer) in peers.enumerated() {
        switch index % 5 {
        case 1: peer.send([0, 0, 0, 50, 1, 2, 3])
        case 2: peer.send([0, 0])
        case 3: peer.finish()
        case 4: peer.send([0, 0, 0, 1, 9])
        default: break
        }
      }
      try await eventually("all accepted") { try helper.stats()["open"] == 1_000 }
      let begun = ContinuousClock.now
      let end = try helper.end()
      #expect(ContinuousClock.now - begun < .seconds(10))
      #expect(end.status == 0)
      #expect(end.words["opened"] == 1_000 && end.words["closed"] == 1_000)
      #expect(end.words["threadsLeft"] == 0)
      #expect(end.words["descriptorsLeft"] == 0, "\(end.line)")
      for peer in peers { #expect(peer.receive() != .bytes([1])) }
    }

    /// In this process: with full queues, and every connection's `closed` counted by itself.
    @Test(.timeLimit(.minutes(1)), arguments: [Duration.zero, .milliseconds(200)])
    func shutdownWithFullQueues(drain: Duration) async throws {
      let runtime = try Runtime(.init(eventLoops: 2, connectionsMax: 256))
      let recorder = Recorder(opened: Recorder.fill)
      let listener = try await runtime.listen(on: .anyLocal, handler: recorder)
      let peers = try (0..<64).map { _ in
        try Peer(port: #require(listener.address.port), receiveBuffer: 4_096)
      }
      try await eventually("all opened") { recorder.log.value.opened.count == 64 }
      let begun = ContinuousClock.now
      await runtime.shutdown(within: drain)
      #expect(ContinuousClock.now - begun < .seconds(5))
      let log = recorder.log.value
      #expect(log.closed.count == 64)
      #expect(log.closed.values.allSatisfy { $0.count == 1 })
      #expect(runtime.statistics.open == 0)
      withExtendedLifetime(peers) {}
      // What comes after the end is refused, and doesn't wait.
      await #expect(throws: AloftError.self) {
        try await runtime.listen(on: .anyLocal, handler: recorder)
      }
      let error = await #expect(throws: AloftError.self) {
        try await runtime.connect(to: listener.address, handler: recorder)
      }
      #expect(error?.code == .closed)
    }
  }
}
