import Aloft
import Foundation
import Testing

extension Robustness {
  /// The peer resets the connection, in each state that a connection can be in: its handler hears
  /// `closed` once, with the system's reason, and another client is served as before.
  @Suite struct ResetTests {
    enum State: CaseIterable, Sendable {
      case accepted, midMessage, paused, fullQueue, endedByPeer, endedByPeerFullQueue
      case finishedByUs, closing
    }

    private static func recorder(_ state: State) -> Recorder {
      switch state {
      case .accepted, .midMessage: Recorder()
      case .paused: Recorder(received: { connection, _ in connection.pauseReading() })
      case .fullQueue: Recorder(opened: Recorder.fill)
      case .endedByPeer: Recorder(readClosed: { _ in })
      case .endedByPeerFullQueue: Recorder(opened: Recorder.fill, readClosed: { _ in })
      case .finishedByUs: Recorder(opened: { $0.finishWriting() })
      case .closing:
        Recorder(opened: { connection in
          Recorder.fill(connection)
          connection.close()
        })
      }
    }

    @Test(.timeLimit(.minutes(1)), arguments: State.allCases)
    func resetByPeer(state: State) async throws {
      var options = ConnectionOptions()
      if state == .midMessage { options.framing = .lengthPrefixed(max: 1_000) }
      try await Runtime.with(.init(eventLoops: 1), drain: .zero) { [options] runtime in
        let recorder = Self.recorder(state)
        let listener = try await runtime.listen(on: .anyLocal, options: options, handler: recorder)
        let echo = try await runtime.listen(on: .anyLocal, handler: Recorder())
        let peer = try Peer(port: #require(listener.address.port), receiveBuffer: 4_096)
        try await bring(peer, to: state, recorder, runtime)
        peer.reset()
        if state == .endedByPeer {
          // Nothing is read or queued any more: the next write finds out.
          let connection = try #require(recorder.log.value.opened.first)
          let loop = try #require(runtime.eventLoops.first)
          try await eventually("closed at a write") {
            try await loop.run { _ = connection.write("x") }
            return !recorder.log.value.closed.isEmpty
          }
        }
        try await eventually("closed") { !recorder.log.value.closed.isEmpty }
        let reasons = recorder.log.value.reasons
        #expect(reasons.count == 1)
        switch (state, reasons.first) {
        case (.closing, .local): break  // It was we who began.
        case (_, .system(let errno)):
          #expect(errno == ECONNRESET || errno == EPIPE, "\(describe(errno))")
        default: Issue.record("\(state): \(reasons)")
        }
        #expect(try Peer(port: #require(echo.address.port)).echoes([1, 2]))
        try await eventually("none open") { runtime.statistics.open == 0 }
        #expect(recorder.log.value.reasons.count == 1)
      }
    }

    private func describe(_ errno: Int32) -> String { String(cString: strerror(errno)) }

    /// Has the connection be in the state, as its handler or the counters show.
    private func bring(
      _ peer: Peer, to state: State, _ recorder: Recorder, _ runtime: Runtime
    ) async throws {
      let loop = runtime.eventLoops[0]
      func queued() async throws -> Int {
        guard let connection = recorder.log.value.opened.first else { return 0 }
        return try await loop.run { connection.queuedBytes }
      }
      switch state {
      case .accepted: break
      case .midMessage:
        peer.send([0, 0, 0, 100] + [UInt8](repeating: 1, count: 10))
        try await eventually("half a message") { runtime.statistics.bytesReceived == 14 }
        #expect(recorder.log.value.bytes == 0)
      case .paused:
        peer.send([1])
        try await eventually("paused") { recorder.log.value.bytes == 1 }
        peer.send([2])
      case .fullQueue: try await eventually("a full queue") { try await queued() > 500_000 }
      case .endedByPeer:
        peer.finish()
        try await eventually("the peer's end") { recorder.log.value.readClosed == 1 }
      case .endedByPeerFullQueue:
        try await eventually("a full queue") { try await queued() > 500_000 }
        peer.finish()
      // Reads are paused above the high-water mark, so the end itself isn't seen.
      case .finishedByUs: #expect(peer.receive() == .end)
      case .closing:
        try await eventually("opened and closing") { !recorder.log.value.opened.isEmpty }
      }
    }

    /// Nobody listens; who listened has gone with us in his backlog; nobody answers.
    @Test(.timeLimit(.minutes(1))) func whileConnecting() async throws {
      try await Runtime.with(drain: .zero) { runtime in
        let plain = try PlainListener()
        let address = SocketAddress("127.0.0.1", plain.port)
        let recorder = Recorder()
        _ = try await runtime.connect(to: address, handler: recorder)
        plain.close()
        try await eventually("reset by the listener's end") {
          recorder.log.value.reasons == [.system(errno: ECONNRESET)]
        }
        let error = await #expect(throws: AloftError.self) {
          try await runtime.connect(to: address, handler: recorder)
        }
        #expect(error?.errno == ECONNREFUSED)
        #expect(error?.message.contains("127.0.0.1:\(plain.port)") == true)
        #expect(recorder.log.value.opened.count == 1 && recorder.log.value.reasons.count == 1)
      }
    }

    /// From our side: the peer sees a reset, and what was queued is lost.
    @Test(.timeLimit(.minutes(1))) func resetByUs() async throws {
      try await Runtime.with { runtime in
        let recorder = Recorder(received: { connection, _ in connection.reset() })
        let listener = try await runtime.listen(on: .anyLocal, handler: recorder)
        let peer = try Peer(port: #require(listener.address.port))
        peer.send([1])
        #expect(peer.receive() == .failed(ECONNRESET))
        try await eventually("closed") { recorder.log.value.reasons == [.local] }
      }
    }

    /// In a process with the default disposition of SIGPIPE, 200 peers ask for a flood and reset:
    /// the writes that follow don't end it.
    @Test(.timeLimit(.minutes(1))) func noSIGPIPE() async throws {
      let helper = try Helper("mode=push", "max=1024")
      for _ in 0..<20 {
        let peers = try Peer.many(10, port: helper.port)
        for peer in peers { peer.send([0x70]) }
        for (index, peer) in peers.enumerated() {
          if index % 2 == 0 { peer.finish() }
          peer.reset()
        }
      }
      try await eventually("all gone") {
        let stats = try helper.stats()
        return stats["open"] == 0 && stats["closed"] == 200
      }
      #expect(try Peer(port: helper.port).echoes([1]))
      let end = try helper.end()
      #expect(end.status == 0 && end.words["descriptorsLeft"] == 0)
    }
  }
}
