import Aloft
import Glibc
import Synchronization
import Testing

/// Messages through the Swift API on real sockets: what a socket receives goes by way of a mailbox
/// on another loop to another socket, and is copied nowhere.
@Suite struct MessageTests {
  static let bytes = 2_000

  /// Takes over what it receives and sends it to a mailbox.
  final class Inlet: ConnectionHandler {
    let relay: Mailbox
    init(_ relay: Mailbox) { self.relay = relay }

    func received(_ connection: Connection, _ bytes: RawSpan) {
      let result = relay.send(connection.takeReceived(bytes))
      if result != .accepted { Issue.record("the mailbox says \(result)") }
    }
  }

  /// Writes messages to the connection that it is told of.
  final class Outlet: MailboxHandler, ConnectionHandler {
    // Its loop's alone.
    nonisolated(unsafe) private var connection: Connection?

    func opened(_ connection: Connection) { self.connection = connection }
    func received(_ connection: Connection, _ bytes: RawSpan) {}

    func received(_ mailbox: Mailbox, _ message: consuming Message) {
      let result = connection?.writeFrame(message)
      if result != .accepted { Issue.record("the connection says \(String(describing: result))") }
    }
  }

  static func frame(_ number: Int) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: bytes >> (24 - 8 * $0)) }
      + (0..<bytes).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0 &* ($0 >> 8 | 1)) }
  }

  /// 100,000 frames of 2,000 bytes, at most 16 under way, from a blocking socket to a blocking
  /// socket: in order, each once, whole, and by the loops' own count without a copy.
  @Test(.timeLimit(.minutes(2))) func relay() async throws {
    #if DEBUG
      let count = 20_000
    #else
      let count = 100_000
    #endif
    let runtime = try Runtime(.init(eventLoops: 2))
    let outlet = Outlet()
    let loops = runtime.eventLoops
    let mailbox = try await runtime.mailbox(on: loops[1], handler: outlet)
    var options = ConnectionOptions()
    options.framing = .lengthPrefixed(max: 4_096)
    let inlet = try await runtime.listen(
      on: .init("127.0.0.1", 0), options: options, handler: Inlet(mailbox))
    let reader = Peer(listening: true)
    _ = try await runtime.connect(
      to: .init("127.0.0.1", reader.port), on: loops[1], handler: outlet)
    let read = reader.accept()
    let writer = Peer(connectingTo: inlet.address.port ?? 0)
    let frames = (0..<64).map(Self.frame)
    var wrong = 0
    var buffer = [UInt8](repeating: 0, count: Self.bytes + 4)
    for number in 0..<count {
      writer.send(frames[number % 64])
      if number >= 16 {
        read.receive(&buffer)
        if buffer != frames[(number - 16) % 64] { wrong += 1 }
      }
    }
    for number in count - 16..<count {
      read.receive(&buffer)
      if buffer != frames[number % 64] { wrong += 1 }
    }
    let statistics = runtime.statistics
    #expect(wrong == 0)
    #expect(statistics.messagesTakenOver == UInt64(count))
    #expect(statistics.messagesCopied == 0 && statistics.messagesCopiedAtLimit == 0)
    #expect(statistics.messagesWrittenInPlace == UInt64(count))
    #expect(statistics.messagesWrittenTogether == 0)
    await runtime.shutdown(within: .seconds(1))
  }

  /// A message tells its bytes, count and tag; shared, it is two.
  @Test(arguments: [0, 1, 64, 300, 70_000]) func surface(count: Int) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    var message = Message(copying: bytes)
    message.tag = 4_711
    var other = message.share()
    let counts = [message.count, other.count]
    let tags = [message.tag, other.tag]
    #expect(counts == [count, count] && tags == [4_711, 4_711])
    other.tag = 1
    let tag = message.tag
    #expect(tag == 4_711)
    let isSame = Self.hold(message.bytes, bytes)
    #expect(isSame)
    _ = consume message
    let isStillSame = Self.hold(other.bytes, bytes)
    #expect(isStillSame)
  }

  private static func hold(_ span: RawSpan, _ bytes: [UInt8]) -> Bool {
    span.byteCount == bytes.count
      && bytes.indices.allSatisfy {
        span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) == bytes[$0]
      }
  }

  /// A message is written where it is to lie.
  @Test func initializing() {
    let message = Message(capacity: 100) { output in
      for byte in UInt8(1)...7 { output.append(byte) }
    }
    message.withUnsafeBytes { #expect(Array($0) == [1, 2, 3, 4, 5, 6, 7]) }
  }

  /// A peer that never reads: messages are refused at `queuedMax`, the refused one stays the
  /// caller's, and memory goes no further than that.
  @Test(.timeLimit(.minutes(1))) func deafPeer() async throws {
    final class Server: ConnectionHandler {
      let accepted = Atomic<Int>(0)
      let queuedMost = Atomic<Int>(0)
      let refused = Atomic<Int>(0)

      func opened(_ connection: Connection) {
        while true {
          var message: Message? = Message(copying: [UInt8](repeating: 9, count: 10_000))
          let result = connection.write(offering: &message)
          queuedMost.store(connection.queuedBytes, ordering: .relaxed)
          guard result == .accepted else {
            refused.store(message?.count ?? -1, ordering: .releasing)
            return
          }
          accepted.add(1, ordering: .relaxed)
        }
      }
      func received(_ connection: Connection, _ bytes: RawSpan) {}
    }
    let runtime = try Runtime(.init(eventLoops: 1))
    let server = Server()
    var options = ConnectionOptions()
    options.writeQueueMax = 200_000
    let listener = try await runtime.listen(
      on: .init("127.0.0.1", 0), options: options, handler: server)
    let peer = Peer(connectingTo: listener.address.port ?? 0)
    while server.refused.load(ordering: .acquiring) == 0 { await Task.yield() }
    #expect(server.refused.load(ordering: .acquiring) == 10_000)
    #expect(server.accepted.load(ordering: .relaxed) >= 20)
    #expect(server.queuedMost.load(ordering: .relaxed) <= 200_000)
    _ = peer
    await runtime.shutdown(within: .zero)
  }
}

/// A plain blocking socket.
final class Peer: @unchecked Sendable {
  // @unchecked: one thread at a time uses it.
  let descriptor: Int32
  private(set) var port: UInt16 = 0

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  private static func address(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
  }

  convenience init(connectingTo port: UInt16) {
    self.init(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    var address = Self.address(port)
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    precondition(status == 0, "connect: errno \(errno)")
    var on: Int32 = 1
    setsockopt(
      descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  convenience init(listening: Bool) {
    self.init(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    var address = Self.address(0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        precondition(bind(descriptor, $0, length) == 0 && listen(descriptor, 8) == 0)
        precondition(getsockname(descriptor, $0, &length) == 0)
      }
    }
    port = UInt16(bigEndian: address.sin_port)
  }

  func accept() -> Peer { Peer(Glibc.accept(descriptor, nil, nil)) }

  func send(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes {
      var at = 0
      while at < $0.count {
        let sent = Glibc.send(descriptor, $0.baseAddress! + at, $0.count - at, Int32(MSG_NOSIGNAL))
        precondition(sent > 0, "send: errno \(errno)")
        at += sent
      }
    }
  }

  /// Fills the buffer.
  func receive(_ into: inout [UInt8]) {
    into.withUnsafeMutableBytes {
      let got = recv(descriptor, $0.baseAddress!, $0.count, Int32(MSG_WAITALL))
      precondition(got == $0.count, "\(got) bytes of \($0.count), errno \(errno)")
    }
  }
}
