import Aloft
import Foundation
import Testing

extension Robustness {
  /// Descriptors and connections run out: at start that is an error with the numbers in it; later
  /// those beyond the limit are turned away, told of once, and the others are served on.
  @Suite struct LimitTests {
    /// The limit leaves no room for the connections asked for: the text says how much it leaves.
    @Test func descriptorLimitAtStart() throws {
      var limit = rlimit()
      getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      let error = #expect(throws: AloftError.self) {
        try Runtime(.init(eventLoops: 1, connectionsMax: Int(limit.rlim_cur)))
      }
      #expect(error?.code == .descriptorLimit)
      #expect(error?.errno == EMFILE)
      #expect(error?.message.contains("connectionsMax is \(limit.rlim_cur)") == true)
      #expect(error?.message.contains("limit of \(limit.rlim_cur) leaves room for") == true)
    }

    /// Of 40 clients some 12 find a descriptor. The rest are reset, the handler hears of it once an
    /// episode, and places that come free are taken again.
    @Test(.timeLimit(.minutes(1))) func descriptorLimitReached() async throws {
      let helper = try Helper("max=1024")
      #expect(try helper.ask("limit 12") == "ok")
      var accepted = 0
      for episode in 1...2 {
        let peers = try Peer.many(40, port: helper.port)
        let served = peers.filter { $0.echoes([1, 2, 3]) }
        // The limit is on numbers, of which there may be gaps below.
        #expect((10...16).contains(served.count), "\(served.count) served in episode \(episode)")
        let stats = try helper.stats()
        accepted += served.count
        #expect(stats["toldRefused"] == episode && stats["descriptorLimit"] == episode)
        #expect(stats["refused"] == episode * 40 - accepted)
        peers.forEach { $0.close() }
        try await eventually("all gone") { try helper.stats()["open"] == 0 }
        // Whoever comes now is served, which also ends the episode.
        let one = try Peer(port: helper.port)
        #expect(one.echoes([4]))
        one.close()
        try await eventually("the one gone") { try helper.stats()["open"] == 0 }
      }
      #expect(try helper.ask("unlimit") == "ok")
      let end = try helper.end()
      #expect(end.status == 0 && end.words["descriptorsLeft"] == 0)
    }

    /// `connectionsMax` bounds all loops together, in both directions.
    @Test(.timeLimit(.minutes(1)), arguments: [1, 2])
    func connectionsMaxReached(loops: Int) async throws {
      try await Runtime.with(.init(eventLoops: loops, connectionsMax: 16)) { runtime in
        let recorder = Recorder()
        let listener = try await runtime.listen(on: .anyLocal, handler: recorder)
        let port = try #require(listener.address.port)
        for episode in 1...2 {
          let peers = try Peer.many(40, port: port)
          let served = peers.filter { $0.echoes([1, 2, 3]) }
          #expect(served.count == 16, "\(served.count) served in episode \(episode)")
          await #expect(throws: AloftError.self) {
            try await runtime.connect(to: listener.address, handler: Recorder())
          }
          peers.forEach { $0.close() }
          try await eventually("all gone") { runtime.statistics.open == 0 }
          // Each loop tells of its own episodes.
          let told = recorder.log.value.refused
          #expect((1...(loops * episode)).contains(told.count), "told \(told.count) times")
          #expect(told.allSatisfy { $0.code == .connectionLimit && $0.message.contains("16") })
        }
        let one = try Peer(port: port)
        #expect(one.echoes([4]))
      }
    }

    /// Connecting at the limit is answered with the limit.
    @Test(.timeLimit(.minutes(1))) func connectAtTheLimit() async throws {
      try await Runtime.with(.init(eventLoops: 1, connectionsMax: 1)) { runtime in
        let plain = try PlainListener()
        let address = SocketAddress("127.0.0.1", plain.port)
        let first = Recorder()
        _ = try await runtime.connect(to: address, handler: first)
        let error = await #expect(throws: AloftError.self) {
          try await runtime.connect(to: address, handler: Recorder())
        }
        #expect(error?.code == .connectionLimit && error?.message.contains("1") == true)
        #expect(first.log.value.opened.count == 1 && first.log.value.closed.isEmpty)
      }
    }

    /// The port belongs to a plain socket, or to another runtime of this process: an error that
    /// says so, after which the same runtime listens elsewhere, and there once the port is free.
    @Test(.timeLimit(.minutes(1)), arguments: [false, true])
    func portInUse(byRuntime: Bool) async throws {
      let other = try Runtime()
      let plain = try PlainListener()
      let theirs = try await other.listen(on: .anyLocal, handler: Recorder())
      let port = byRuntime ? try #require(theirs.address.port) : plain.port
      try await Runtime.with(.init(eventLoops: 2)) { runtime in
        // More often than there are listeners to be had: none is leaked.
        for _ in 0..<100 {
          let error = await #expect(throws: AloftError.self) {
            try await runtime.listen(on: .init("127.0.0.1", port), handler: Recorder())
          }
          #expect(error?.code == .system && error?.errno == EADDRINUSE)
          #expect(error?.message.contains("127.0.0.1:\(port)") == true)
        }
        let elsewhere = try await runtime.listen(on: .anyLocal, handler: Recorder())
        #expect(try Peer(port: #require(elsewhere.address.port)).echoes([1]))
        await theirs.close()
        plain.close()
        _ = try await runtime.listen(on: .init("127.0.0.1", port), handler: Recorder())
        #expect(try Peer(port: port).echoes([2]))
      }
      await other.shutdown(within: .zero)
    }

    /// The 65th listener is one too many; closing one makes room.
    @Test(.timeLimit(.minutes(1))) func listenerLimit() async throws {
      try await Runtime.with { runtime in
        var listeners: [Listener] = []
        for _ in 0..<64 {
          listeners.append(try await runtime.listen(on: .anyLocal, handler: Recorder()))
        }
        let error = await #expect(throws: AloftError.self) {
          try await runtime.listen(on: .anyLocal, handler: Recorder())
        }
        #expect(error?.code == .listenerLimit && error?.message.contains("64") == true)
        await listeners[10].close()
        let again = try await runtime.listen(on: .anyLocal, handler: Recorder())
        #expect(try Peer(port: #require(again.address.port)).echoes([1]))
      }
    }
  }
}
