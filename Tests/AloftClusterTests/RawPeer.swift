import AloftEngine
import AloftMembership
import Glibc
import Testing

@testable import AloftCluster

/// A peer of the test's own making on a blocking socket: it may say whatever it likes.
final class RawPeer {
  let descriptor: Int32
  var handshake: Handshake
  /// All that was sent and received while shaking hands.
  var sent: [UInt8] = []
  private(set) var life: UInt64

  static func hello(
    _ name: String, role: Hello.Role = .dialler, channel: Hello.Channel = .data,
    cluster: String = "test", life: UInt64 = 99, nonce: UInt8 = 7
  ) -> Hello {
    Hello(
      role: role, channel: channel, id: NodeID(rawValue: 50), incarnation: Incarnation(rawValue: 1),
      life: life, epoch: Epoch(rawValue: 0), creditBytes: 1 << 20, frameMax: 64 << 10,
      messageMax: 64 << 20, reassemblyMax: 256 << 20,
      nonce: [UInt8](repeating: nonce, count: 32), name: name, cluster: cluster)
  }

  /// `host`: in the machine's order of bytes.
  init(
    to address: SocketAddress, host: UInt32 = 0x7F00_0001, _ hello: Hello, key: [UInt8] = Node.key
  ) throws {
    guard case .ip(_, let port) = address else { preconditionFailure("an IP address") }
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    self.descriptor = descriptor
    var limit = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    name.sin_addr.s_addr = host.bigEndian
    let status = withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(status == 0)
    life = hello.life
    handshake = try Handshake(hello, keys: ClusterKeys([key]))
  }

  deinit { close(descriptor) }

  func send(_ bytes: [UInt8]) {
    sent += bytes
    var at = 0
    while at < bytes.count {
      let count = bytes[at...].withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      at += count
    }
  }

  /// What comes next, at most so much; empty at the end.
  func receive(_ most: Int = 65_536) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: most)
    let got = recv(descriptor, &buffer, most, 0)
    return Array(buffer.prefix(max(got, 0)))
  }

  /// Exactly so much, or less at the end.
  func receive(exactly count: Int) -> [UInt8] {
    var all: [UInt8] = []
    while all.count < count {
      let more = receive(count - all.count)
      if more.isEmpty { break }
      all += more
    }
    return all
  }

  /// Waits until the other side has closed, or reset.
  func isClosed() -> Bool {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    for _ in 0..<1_000 {
      let got = recv(descriptor, &buffer, buffer.count, 0)
      if got == 0 { return true }
      if got < 0 { return errno == ECONNRESET }
    }
    return false
  }

  /// Shakes hands as it should; answers what came of it.
  func shakeHands(memory: Handshake.Memory = .init()) -> Handshake.Event {
    while true {
      if !handshake.output.isEmpty {
        send(handshake.output)
        handshake.output = []
      }
      // One piece after the other, so that no record is read with it.
      let wanted = handshake.peer == nil ? Hello.bytes : Handshake.proofBytes
      let bytes = receive(exactly: wanted)
      if bytes.isEmpty { return .needsMore }
      let event = bytes.withUnsafeBytes { memory in
        var rest = memory
        return handshake.received(&rest)
      }
      switch event {
      case .needsMore: continue
      case .greeted: handshake.prove(memory)
      default: return event
      }
    }
  }

  func record(
    _ type: RecordType, _ body: [UInt8] = [], kind: UInt8 = 0, stream: UInt16 = 1, word: UInt64
  ) {
    send(Self.encode(type, body, kind: kind, stream: stream, word: word))
  }

  static func encode(
    _ type: RecordType, _ body: [UInt8] = [], kind: UInt8 = 0, stream: UInt16 = 1, word: UInt64
  ) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: RecordHeader.bytes)
    bytes.withUnsafeMutableBytes {
      RecordHeader(type, length: body.count, kind: kind, stream: stream, word: word)
        .store(to: $0.baseAddress!)
    }
    return bytes + body
  }

  /// A fragment of a message.
  func fragment(
    _ part: [UInt8], total: UInt32, offset: UInt32, stream: UInt16 = 1, word: UInt64
  ) {
    var extra = [UInt8](repeating: 0, count: 16)
    extra.withUnsafeMutableBytes {
      LinkTable.FragmentHeader(total: Int(total), offset: offset, type: .message)
        .store(to: $0.baseAddress!)
    }
    record(.fragment, extra + part, stream: stream, word: word)
  }

  /// The records that come until one that `isLast`.
  func records(until isLast: (RecordHeader) -> Bool) -> [RecordHeader] {
    var all: [RecordHeader] = []
    while true {
      let bytes = receive(exactly: RecordHeader.bytes)
      guard bytes.count == RecordHeader.bytes,
        let header = bytes.withUnsafeBytes({ RecordHeader($0.baseAddress!) })
      else { return all }
      _ = receive(exactly: Int(header.length))
      all.append(header)
      if isLast(header) { return all }
    }
  }
}

/// A peer that has a link to the node.
func makeRaw(_ node: Node, _ name: String = "raw", life: UInt64 = 99) throws -> RawPeer {
  let raw = try RawPeer(to: node.address, RawPeer.hello(name, life: life))
  #expect(raw.shakeHands() == .accepted)
  #expect(eventually { node.isLinked(to: name) })
  return raw
}
