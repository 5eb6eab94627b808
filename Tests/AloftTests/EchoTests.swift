import Aloft
import Glibc
import Testing

/// Echoes on real sockets, through the callback API and the async API, on one loop and on several.
@Suite struct EchoTests {
  final class Echo: ConnectionHandler {
    func received(_ connection: Connection, _ bytes: RawSpan) { connection.write(bytes) }
  }

  /// An async client talks to a callback server: what comes back is what was sent, however large.
  @Test(.timeLimit(.minutes(1)), arguments: [1, 2, 4], [1, 64, 65_536, 3_000_000])
  func echoes(loops: Int, bytes: Int) async throws {
    try await Runtime.with(.init(eventLoops: loops)) { runtime in
      let listener = try await runtime.listen(on: .init("127.0.0.1", 0), handler: Echo())
      let sent = (0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      let got = try await runtime.withConnection(to: listener.address) { connection in
        async let received = { () async throws -> [UInt8] in
          var all: [UInt8] = []
          for try await message in connection.messages {
            all += message
            if all.count >= bytes { break }
          }
          return all
        }()
        var rest = sent[...]
        while !rest.isEmpty {
          try await connection.write(Array(rest.prefix(100_000)))
          rest = rest.dropFirst(100_000)
        }
        return try await received
      }
      #expect(got == sent)
    }
  }

  /// An async server echoes whole messages, and half-close reaches both sides.
  @Test(.timeLimit(.minutes(1))) func asyncServer() async throws {
    var options = ConnectionOptions()
    options.framing = .lengthPrefixed(max: 1_000)
    let shape = options
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let listener = try await runtime.listen(on: .init("127.0.0.1", 0), options: shape) {
        for try await message in $0.messages { try await $0.write(message) }
      }
      let got = try await runtime.withConnection(to: listener.address, options: shape) {
        connection in
        for length in [0, 1, 999, 1_000] {
          try await connection.write([UInt8](repeating: 7, count: length))
        }
        await connection.finishWriting()
        var lengths: [Int] = []
        for try await message in connection.messages { lengths.append(message.count) }
        return lengths
      }
      #expect(got == [0, 1, 999, 1_000])
    }
  }

  /// A server that greets before anything was said to it is heard.
  @Test(.timeLimit(.minutes(1))) func serverSpeaksFirst() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let listener = try await runtime.listen(on: .init("127.0.0.1", 0)) {
        try await $0.write("hello")
        await $0.finishWriting()
        for try await _ in $0.messages {}
      }
      let got = try await runtime.withConnection(to: listener.address) { connection in
        var all: [UInt8] = []
        for try await message in connection.messages { all += message }
        return all
      }
      #expect(got == Array("hello".utf8))
    }
  }

  /// Nobody listens: the error says so, with the system's number.
  @Test(.timeLimit(.minutes(1))) func refused() async throws {
    try await Runtime.with { runtime in
      let listener = try await runtime.listen(on: .init("127.0.0.1", 0), handler: Echo())
      let address = listener.address
      await listener.close()
      let error = await #expect(throws: AloftError.self) {
        try await runtime.withConnection(to: address) { _ in }
      }
      #expect(error?.errno == 111)
    }
  }

  /// A task that waits for a message is cancelled and returns at once, though nothing arrives.
  @Test(.timeLimit(.minutes(1))) func cancellation() async throws {
    try await Runtime.with { runtime in
      let listener = try await runtime.listen(on: .init("127.0.0.1", 0), handler: Echo())
      let task = Task {
        try await runtime.withConnection(to: listener.address) { connection in
          for try await _ in connection.messages {}
        }
      }
      while runtime.statistics.accepted == 0 { await Task.yield() }
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
    }
  }

  /// Unix-domain sockets: the same API, dealt out over the loops.
  @Test(.timeLimit(.minutes(1))) func unixDomain() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let address = SocketAddress(unixPath: "\0aloft-test-\(UInt64.random(in: 0...(.max)))")
      _ = try await runtime.listen(on: address, handler: Echo())
      for _ in 0..<4 {
        let answer = try await runtime.withConnection(to: address) { connection in
          try await connection.write("hello")
          for try await message in connection.messages { return message }
          return []
        }
        #expect(answer == Array("hello".utf8))
      }
    }
  }

  /// A Unix-domain listener takes its file with it, so that the next one can have the path.
  @Test(.timeLimit(.minutes(1)), arguments: [false, true])
  func unixPathIsFreeAgain(shutDown: Bool) async throws {
    let path = "/var/tmp/aloft-\(UInt64.random(in: 0...(.max)))"
    for _ in 0..<2 {
      try await Runtime.with { runtime in
        let listener = try await runtime.listen(on: .init(unixPath: path), handler: Echo())
        let again = await #expect(throws: AloftError.self) {
          try await runtime.listen(on: .init(unixPath: path), handler: Echo())
        }
        #expect(again?.errno == 98)
        if !shutDown { await listener.close() }
      }
    }
  }

  /// A socket that somebody else has opened is served by all loops; what doesn't listen is refused
  /// and stays its owner's.
  @Test(.timeLimit(.minutes(1)), arguments: [1, 2]) func inherited(loops: Int) async throws {
    let path = "/var/tmp/aloft-\(UInt64.random(in: 0...(.max)))"
    defer { unlink(path) }
    try await Runtime.with(.init(eventLoops: loops)) { runtime in
      let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
      let refused = await #expect(throws: AloftError.self) {
        try await runtime.listen(inherited: descriptor, handler: Echo())
      }
      #expect(refused?.errno == EINVAL)
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
      let bound = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
      #expect(bound == 0 && Glibc.listen(descriptor, 16) == 0)
      let listener = try await runtime.listen(inherited: descriptor, handler: Echo())
      #expect(listener.address == SocketAddress(unixPath: path))
      for _ in 0..<4 {
        let got = try await runtime.withConnection(to: listener.address) { connection in
          try await connection.write("hello")
          var all: [UInt8] = []
          for try await message in connection.messages {
            all += message
            if all.count >= 5 { break }
          }
          return all
        }
        #expect(got == Array("hello".utf8))
      }
      await listener.close()
      // It has been handed over by its name, which the next process finds again.
      #expect(access(path, F_OK) == 0)
    }
  }
}
