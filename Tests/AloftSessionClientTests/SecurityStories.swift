import Aloft
import AloftNode
import AloftSessionClient
import Foundation
import Testing

/// Sessions are private: who may come in, and what he may do there.
@Suite(.serialized)
struct SecurityStories {
  @Test("A number that was made up, or changed in any character, is found out without a look-up")
  func forged() async throws {
    try await withDoors { nodes in
      let client = try await nodes.client("user", at: [0])
      let made = try await client.create(state: [1])
      let text = Array(made.id.utf8)
      for at in text.indices {
        var changed = text
        changed[at] = text[at] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
        let forged = String(decoding: changed, as: UTF8.self)
        #expect(await failure { _ = try await client.resume(forged) } == .unknown)
      }
      for text in [
        "", "short", String(repeating: "A", count: 32), String(repeating: "-", count: 33),
      ] {
        #expect(await failure { _ = try await client.resume(text) } == .unknown)
      }
      #expect(await nodes.nodes[0].clientStatistics()?.forged == UInt64(text.count + 1))
    }
  }

  @Test("One principal can't read, write, attach to, close or make anew another's session")
  func principals() async throws {
    try await withDoors { nodes in
      let one = try await nodes.client("one", at: [0])
      let other = try await nodes.client("other", at: [1])
      let made = try await one.create(state: [1], name: "of one")
      try await made.publish([2])
      _ = try await other.create()
      let stolen = StolenSession(made.id, other)
      #expect(await failure { _ = try await stolen.session() } == .forbidden)
      #expect(await failure { _ = try await other.named("of one") } == .forbidden)
      #expect(await failure { _ = try await other.create(name: "of one") } == .forbidden)
      let user = try await nodes.nodes[2].sessions.principal("other")
      let sessions = nodes.nodes[2].sessions
      let mine = try await sessions.principal("one")
      let id = try #require(try await sessions.get(made.id, principal: mine)).id
      #expect(await failure { _ = try await sessions.get(id, principal: user) } == .forbidden)
      #expect(try await made.read().state == [1])
      try await eventually("of the other one's there is one") {
        await sessions.list(principal: user).count == 1
      }
    }
  }

  @Test("Requests that carry another's number are refused, each kind of them")
  func raw() async throws {
    try await withDoors { nodes in
      let one = try await nodes.client("one", at: [0])
      let made = try await one.create(state: [1])
      let again = try await nodes.client("one", at: [1])
      let session = try await again.resume(made.id)
      // A client's handle works with whichever client it is from: the same number, another's token.
      let other = try await nodes.client("other", at: [1])
      let stolen = StolenSession(made.id, other)
      let codes = [
        await failure { try await stolen.raw().append([2]) },
        await failure { try await stolen.raw().put([2]) },
        await failure { try await stolen.raw().publish([2]) },
        await failure { try await stolen.raw().acknowledge(through: 0) },
        await failure { try await stolen.raw().setPhase(.suspended) },
        await failure { try await stolen.raw().touch() },
        await failure { try await stolen.raw().close() },
        await failure { _ = try await stolen.raw().attach() },
        await failure { _ = try await stolen.raw().events() },
        await failure { _ = try await stolen.raw().read(.atLeast(0)) },
      ]
      #expect(codes == Array(repeating: .forbidden, count: codes.count))
      #expect(try await session.read().state == [1])
    }
  }

  @Test("Tokens: one that has expired, one of a key that is no longer the cluster's, a changed one")
  func tokens() async throws {
    try await withDoors { nodes in
      var options = try nodes.options("user", at: [0])
      let good = options.token
      _ = try await nodes.client(options)
      options.token = try Node.clientToken(for: "user", validFor: .seconds(1), key: DoorNodes.key)
      try await eventually("it is no longer good") {
        await nodes.attempt(options) == .denied
      }
      // The name is not what the secret was made for.
      let parts = good.split(separator: "-")
      options.token =
        (parts.dropLast() + ["726f6f74"]).joined(separator: "-")
      #expect(await failure { _ = try await nodes.client(options) } == .denied)
      try await nodes.nodes[0].setKeys([Array("quite another key of it".utf8)])
      options.token = good
      #expect(await failure { _ = try await nodes.client(options) } == .denied)
      let refused = await nodes.nodes[0].clientStatistics()?.refused ?? [:]
      #expect((refused["expired"] ?? 0) >= 1)
      #expect((refused["badToken"] ?? 0) >= 1)
    }
  }

  @Test("Bytes that no client sends close the connection, and are counted")
  func badBytes() async throws {
    try await withDoors { nodes in
      let door = nodes.doors[0]
      let cases: [[UInt8]] = [
        Array("GET / HTTP/1.1\r\n\r\n".utf8), [0, 0, 0, 0], [255, 255, 255, 255, 1],
        [1, 0, 0, 0, 99], [1, 0, 0, 0, 1], [1, 0, 0, 0, 11], [4, 0, 0, 0, 3, 1, 2, 3],
      ]
      for bytes in cases {
        let socket = try RawSocket(door)
        try socket.send(bytes)
        #expect(socket.isClosedByPeer(), "after \(bytes)")
      }
      let refused = await nodes.nodes[0].clientStatistics()?.refused ?? [:]
      #expect(refused["malformed"] == UInt64(cases.count))
      // Nobody else is the worse for it.
      #expect(try await nodes.client("user", at: [0]).create(state: [1]).read().state == [1])
    }
  }

  @Test("Limits hold for each principal: of sessions, of their bytes, of connections")
  func principalLimits() async throws {
    try await withDoors {
      $0.principalLimits.sessions = 3
      $0.principalLimits.bytes = 10_000
      $0.principalLimits.clients = 2
    } _: { nodes in
      let one = try await nodes.client("one", at: [0])
      let first = try await one.create()
      for _ in 0..<2 { _ = try await one.create() }
      #expect(await failure { _ = try await one.create() } == .limit)
      let large = Array(repeating: UInt8(1), count: 6_000)
      try await first.put(large)
      #expect(await failure { try await first.append(large) } == .limit)
      // Another one has as much, at the same nodes.
      let other = try await nodes.client("other", at: [0])
      for _ in 0..<3 { _ = try await other.create(state: [1]) }
      #expect(await failure { _ = try await other.create() } == .limit)
      _ = try await nodes.client("one", at: [0])
      let options = try nodes.options("one", at: [0])
      #expect(await nodes.lateFailure(options) == .notAccepting)
      #expect((await nodes.nodes[0].clientStatistics()?.refused["tooMany"] ?? 0) >= 1)
      _ = try await nodes.client("one", at: [1])
    }
  }

  @Test("Limits hold: of a session's state, of its outbox")
  func limits() async throws {
    try await withDoors { nodes in
      let client = try await nodes.client("user", at: [1])
      let made = try await client.create(
        options: SessionOptions(stateMax: 100, outboxEventsMax: 2))
      #expect(await failure { try await made.put(Array(repeating: 1, count: 101)) } == .limit)
      try await made.publish([1])
      try await made.publish([2])
      #expect(await failure { try await made.publish([3]) } == .limit)
      try await made.acknowledge(through: 1)
      try await made.publish([3])
      let large = Array(repeating: UInt8(1), count: 3 << 20)
      #expect(await failure { try await made.put(large) } == .limit)
      #expect(try await made.read().state.isEmpty)
    }
  }
}

/// Another's session in the hands of a client that has come by its number.
struct StolenSession {
  let id: String
  let client: SessionClient

  init(_ id: String, _ client: SessionClient) { (self.id, self.client) = (id, client) }

  func session() async throws -> ClientSession { try await client.resume(id) }
  func raw() -> ClientSession { client.session(id) }
}

/// A socket that speaks as it likes.
final class RawSocket {
  private let descriptor: Int32

  init(_ address: SocketAddress) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var limit = timeval(tv_sec: 30, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = UInt16(address.port ?? 0).bigEndian
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let status = withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else { throw DoorTestError("connect: \(errno)") }
  }

  deinit { Foundation.close(descriptor) }

  func send(_ bytes: [UInt8]) throws {
    let count = Foundation.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    guard count == bytes.count else { throw DoorTestError("send: \(errno)") }
  }

  /// Reads until there is no more.
  func isClosedByPeer() -> Bool {
    var chunk = [UInt8](repeating: 0, count: 256)
    for _ in 0..<64 {
      let count = recv(descriptor, &chunk, chunk.count, 0)
      if count == 0 { return true }
      if count < 0 { return errno == ECONNRESET }
    }
    return false
  }
}
