import Aloft
import Foundation
import Testing

extension Robustness {
  /// What can't be is refused at once, in words that name the numbers.
  @Suite struct OptionTests {
    /// A peer announces 4 GiB, whole or byte by byte: it is reset before any memory is taken.
    @Test(.timeLimit(.minutes(1)), arguments: [[1], [4], [1, 1, 1, 1], [2, 2]])
    func frameTooLarge(parts: [Int]) async throws {
      var options = ConnectionOptions()
      options.framing = .lengthPrefixed(max: 65_536)
      try await Runtime.with(drain: .zero) { [options] runtime in
        let recorder = Recorder()
        let listener = try await runtime.listen(on: .anyLocal, options: options, handler: recorder)
        let header: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]
        // Exactly the limit passes, and is told as one message.
        let good = try Peer(port: #require(listener.address.port))
        good.send([0, 1, 0, 0] + [UInt8](repeating: 1, count: 65_536))
        try await eventually("the largest frame") { recorder.log.value.bytes == 65_536 }
        let peer = try Peer(port: #require(listener.address.port))
        var sent = 0
        for part in parts {
          let before = runtime.statistics.bytesReceived
          peer.send(Array(header[sent..<sent + part]))
          sent += part
          try await eventually("its part") {
            runtime.statistics.bytesReceived == before + UInt64(part)
          }
        }
        if sent < 4 { peer.send(Array(header[sent...])) }
        #expect(peer.receive() == .failed(ECONNRESET))
        try await eventually("closed") {
          recorder.log.value.reasons == [.frameTooLarge(0xFFFF_FFFF)]
        }
      }
    }

    @Test func invalidOptions() async throws {
      func refusal(_ options: Runtime.Options) -> AloftError? {
        #expect(throws: AloftError.self) { try Runtime(options) }
      }
      let tooMany = refusal(.init(eventLoops: 257))
      #expect(tooMany?.code == .invalidOption && tooMany?.message.contains("257") == true)
      #expect(tooMany?.message.contains("1 to 256") == true)
      #expect(refusal(.init(eventLoops: 0))?.code == .invalidOption)
      let none = refusal(.init(eventLoops: 1, connectionsMax: 0))
      #expect(none?.message.contains("connectionsMax is 0") == true)
      var options = Runtime.Options()
      options.timersMax = -1
      #expect(refusal(options)?.message.contains("-1") == true)
      options = .init()
      options.inboxCapacity = 0
      #expect(refusal(options)?.code == .invalidOption)
      options = .init()
      options.busyPoll = .seconds(2)
      #expect(refusal(options)?.message.contains("2.0 seconds") == true)
    }

    @Test(.timeLimit(.minutes(1))) func invalidConnectionOptions() async throws {
      try await Runtime.with { runtime in
        func refusal(_ change: (inout ConnectionOptions) -> Void) async -> AloftError? {
          var options = ConnectionOptions()
          change(&options)
          do {
            _ = try await runtime.listen(on: .anyLocal, options: options, handler: Recorder())
          } catch { return error as? AloftError }
          return nil
        }
        let marks = await refusal { $0.writeLowWater = 1 << 20 }
        #expect(marks?.code == .invalidOption && marks?.message.contains("1048576") == true)
        let queue = await refusal { $0.writeQueueMax = 1 << 31 }
        #expect(queue?.message.contains("\(1 << 31)") == true)
        let frame = await refusal { $0.framing = .lengthPrefixed(max: -5) }
        #expect(frame?.message.contains("-5") == true)
        let idle = await refusal { $0.idleTimeout = .zero }
        #expect(idle?.message.contains("idleTimeout is 0.0 seconds") == true)
        let stall = await refusal { $0.writeStallTimeout = .seconds(1 << 40) }
        #expect(stall?.message.contains("writeStallTimeout") == true)
      }
    }

    @Test(
      .timeLimit(.minutes(1)),
      arguments: [
        SocketAddress("localhost", 80), SocketAddress("300.1.1.1", 80), SocketAddress("", 80),
        SocketAddress("1.2.3", 80), SocketAddress("::1::", 80), SocketAddress("127.0.0.1 ", 80),
        SocketAddress(unixPath: ""), SocketAddress(unixPath: String(repeating: "a", count: 108)),
      ])
    func invalidAddress(address: SocketAddress) async throws {
      try await Runtime.with { runtime in
        let listening = await #expect(throws: AloftError.self) {
          try await runtime.listen(on: address, handler: Recorder())
        }
        #expect(listening?.code == .invalidAddress)
        #expect([EINVAL, ENAMETOOLONG].contains(listening?.errno))
        #expect(listening?.message.hasPrefix("listen on \(address)") == true)
        let connecting = await #expect(throws: AloftError.self) {
          try await runtime.connect(to: address, handler: Recorder())
        }
        #expect(connecting?.code == .invalidAddress)
        let from = await #expect(throws: AloftError.self) {
          try await runtime.connect(to: .anyLocal, from: address, handler: Recorder())
        }
        #expect(from?.code == .invalidAddress)
      }
    }

    /// Addresses that are well-formed and not ours.
    @Test(.timeLimit(.minutes(1))) func foreignAddress() async throws {
      try await Runtime.with { runtime in
        let error = await #expect(throws: AloftError.self) {
          try await runtime.listen(on: .init("192.0.2.1", 0), handler: Recorder())
        }
        #expect(error?.code == .system && error?.errno == EADDRNOTAVAIL)
      }
    }
  }
}
