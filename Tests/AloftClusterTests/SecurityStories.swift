import AloftEngine
import AloftMembership
import Glibc
import Testing

@testable import AloftCluster

/// Who does not belong to the cluster gets no link: refused, counted, and told of once.
@Suite(.serialized)
struct SecurityStories {
  private let other = Array("another cluster's key".utf8)

  @Test("A wrong key, again and again: counted each time, told of once")
  func wrongKey() throws {
    let a = try Node("a", id: 1)
    let b = try Node("b", id: 2, key: other)
    defer {
      a.stop()
      b.stop()
    }
    try b.connect(to: a)
    #expect(eventually { (try? a.statistics().refused[.notAuthentic]) ?? 0 >= 3 })
    #expect(a.told.now.refused == [.notAuthentic])
    #expect(b.told.now.refused == [.notAuthentic])
    #expect(a.told.now.up.isEmpty && b.told.now.up.isEmpty)
  }

  @Test("Another cluster's node, and a node of the same name, are told apart from strangers")
  func others() throws {
    let a = try Node("a", id: 1)
    let b = try Node("b", id: 2) { $0.cluster = "elsewhere" }
    let twin = try Node("a", id: 3)
    defer { [a, b, twin].forEach { $0.stop() } }
    try b.connect(to: a)
    #expect(eventually { a.told.now.refused == [.clusterName] })
    try twin.connect(to: a)
    #expect(eventually { a.told.now.refused == [.clusterName, .sameName] })
  }

  @Test("What was recorded of a link's beginning begins no other")
  func replayed() throws {
    let node = try Node("node", id: 1)
    defer { node.stop() }
    let raw = try makeRaw(node)
    let recorded = raw.sent
    let thief = try RawPeer(to: node.address, RawPeer.hello("thief"))
    thief.send(recorded)
    #expect(eventually { node.told.now.refused == [.notAuthentic] })
    // Again: counted, and told of no more.
    let again = try RawPeer(to: node.address, RawPeer.hello("thief"))
    again.send(recorded)
    #expect(eventually { (try? node.statistics().refused[.notAuthentic]) == 2 })
    #expect(node.told.now.refused == [.notAuthentic])
    #expect(node.told.now.up == ["raw"] && node.told.now.down.isEmpty)
  }

  @Test("What is no hello is not answered")
  func stranger() throws {
    let node = try Node("node", id: 1)
    defer { node.stop() }
    let raw = try RawPeer(to: node.address, RawPeer.hello("x"))
    raw.send(Array("GET / HTTP/1.1\r\n\r\n".utf8) + [UInt8](repeating: 32, count: 300))
    #expect(raw.receive().isEmpty)
    #expect(eventually { node.told.now.refused == [.notALink] })
  }

  @Test("Who says nothing is shown out, and so many may say nothing at a time")
  func silent() throws {
    let node = try Node("node", id: 1) {
      $0.handshakeTimeout = 100
      $0.handshakesMax = 2
    }
    defer { node.stop() }
    let silent = try (0..<2).map { _ in try RawPeer(to: node.address, RawPeer.hello("x")) }
    #expect(eventually { (try? node.statistics().accepted) == 2 })
    let third = try RawPeer(to: node.address, RawPeer.hello("x"))
    #expect(third.isClosed())
    #expect(silent.allSatisfy { $0.isClosed() })
    #expect(Set(node.told.now.refused) == [.tooMany, .timedOut])
    // There is room again for who has something to say.
    _ = try makeRaw(node)
  }

  @Test(
    "Plain text goes to this machine alone",
    arguments: [
      ("127.0.0.1", true), ("127.9.8.7", true), ("::1", true), ("::ffff:127.0.0.1", true),
      ("10.0.0.1", false), ("128.0.0.1", false), ("::", false), ("::2", false),
      ("::ffff:10.0.0.1", false), ("fe80::1", false), ("0.0.0.0", false),
    ])
  func addresses(host: String, isLoopback: Bool) {
    #expect(LinkTable.isLoopback(.ip(host: host, port: 1)) == isLoopback)
  }

  @Test("To dial another machine in plain text is refused unless it was asked for")
  func plaintext() throws {
    let a = try Node("a", id: 1)
    defer { a.stop() }
    try a.on { $0.table.connect(to: .ip(host: "192.0.2.1", port: 9)) }
    #expect(eventually { a.told.now.refused == [.plaintext] })
    #expect(eventually { (try? a.statistics().refused[.plaintext]) ?? 0 >= 2 })
    #expect(a.told.now.refused == [.plaintext])
    #expect(try a.statistics().dialled == 0)
  }

  /// An address of this machine that is not loopback's, in the machine's order of bytes.
  private static let ownAddress: UInt32? = {
    var first: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&first) == 0 else { return nil }
    defer { freeifaddrs(first) }
    var next = first
    while let entry = next?.pointee {
      next = entry.ifa_next
      guard let address = entry.ifa_addr, address.pointee.sa_family == AF_INET else { continue }
      let host = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
        UInt32(bigEndian: $0.pointee.sin_addr.s_addr)
      }
      if host >> 24 != 127 { return host }
    }
    return nil
  }()

  @Test(
    "Who comes from another address in plain text is refused, and told of once",
    .enabled(if: ownAddress != nil, "this machine has no address but loopback's"))
  func plaintextFromAfar() throws {
    let node = try Node("node", id: 1, host: "0.0.0.0")
    defer { node.stop() }
    for _ in 0..<3 {
      let raw = try RawPeer(to: node.address, host: Self.ownAddress!, RawPeer.hello("afar"))
      #expect(raw.isClosed())
    }
    #expect(eventually { (try? node.statistics().refused[.plaintext]) == 3 })
    #expect(node.told.now.refused == [.plaintext])
    let near = try makeRaw(node)
    near.record(.message, [1], word: 1)
    #expect(eventually { node.told.now.messages.count == 1 })
  }

  @Test("Keys are changed under way: links stay up, and new ones come about at each step")
  func rotation() throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    let next = Array("the cluster's next key".utf8)
    for keys in [[Node.key, next], [next, Node.key], [next]] {
      for node in [a, b] {
        try node.on { try $0.table.setKeys(keys) }
        let links = a.told.now.up.count
        try b.on { $0.table.close($0.table.peer(named: "a")!) }
        #expect(eventually { a.told.now.up.count == links + 1 && b.told.now.up.count == links + 1 })
      }
    }
    let old = try Node("old", id: 3)
    defer { old.stop() }
    try old.connect(to: a)
    #expect(eventually { a.told.now.refused.contains(.notAuthentic) })
  }

  @Test("Random bytes, at any time, end connections and nothing else", arguments: 0..<40)
  func random(seed: Int) throws {
    let node = try Node("node", id: 1)
    defer { node.stop() }
    var random = Seeded(state: UInt64(seed))
    // Half of them say it to a node with which they have a link.
    let raw =
      seed % 2 == 0
      ? try makeRaw(node) : try RawPeer(to: node.address, RawPeer.hello("raw"))
    var bytes = (0..<Int.random(in: 1...3_000, using: &random)).map { _ in
      UInt8.random(in: 0...255, using: &random)
    }
    // Half begin like a record, or like a hello.
    if seed % 4 < 2 {
      bytes.replaceSubrange(
        0..<min(8, bytes.count),
        with: seed % 2 == 0 ? [40, 0, 0, 0, UInt8(seed % 13), 0, 1, 0] : Array("ALOFTLNK".utf8))
    }
    raw.send(bytes)
    shutdown(raw.descriptor, Int32(SHUT_WR))
    #expect(raw.isClosed())
    let honest = try Node("honest", id: 2)
    defer { honest.stop() }
    try honest.connect(to: node)
    #expect(eventually { node.isLinked(to: "honest") })
  }
}
