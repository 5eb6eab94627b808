import AloftMembership
import Testing

@testable import AloftCluster

/// The handshake as a pure exchange of bytes: who has the key and means this very exchange gets in,
/// and nobody else, whatever is changed, replayed or sent back.
struct HandshakeTests {
  private func keys(_ texts: String...) throws -> ClusterKeys {
    try ClusterKeys(texts.map { Array($0.utf8) })
  }

  private let key = "a key of sixteen bytes or more"
  private let other = "another key of some more bytes"

  private func dialler(_ keys: ClusterKeys, nonce: UInt8 = 1) -> Handshake {
    Handshake(RawPeer.hello("d", life: 1, nonce: nonce), keys: keys)
  }

  private func acceptor(_ keys: ClusterKeys, nonce: UInt8 = 2) -> Handshake {
    Handshake(RawPeer.hello("a", role: .acceptor, life: 2, nonce: nonce), keys: keys)
  }

  private func feed(_ handshake: inout Handshake, _ bytes: [UInt8]) -> Handshake.Event {
    var last = Handshake.Event.needsMore
    bytes.withUnsafeBytes { memory in
      var rest = memory
      while !rest.isEmpty {
        let before = rest.count
        last = handshake.received(&rest)
        if last != .needsMore || rest.count == before { break }
      }
    }
    return last
  }

  private func take(_ handshake: inout Handshake) -> [UInt8] {
    defer { handshake.output = [] }
    return handshake.output
  }

  /// Runs it to its end; `change` may garble what passes. Answers how each side ended.
  private func run(
    _ dialler: inout Handshake, _ acceptor: inout Handshake,
    _ change: (Int, inout [UInt8]) -> Void = { _, _ in }
  ) -> (Handshake.Event, Handshake.Event) {
    var events = (Handshake.Event.needsMore, Handshake.Event.needsMore)
    for step in 0..<6 {
      var bytes = step % 2 == 0 ? take(&dialler) : take(&acceptor)
      if bytes.isEmpty { continue }
      change(step, &bytes)
      if step % 2 == 0 {
        events.1 = feed(&acceptor, bytes)
        if events.1 == .proved { acceptor.accept(.init()) }
      } else {
        events.0 = feed(&dialler, bytes)
        if events.0 == .greeted { dialler.prove(.init(lastLink: 5, countedSince: 6)) }
      }
    }
    return events
  }

  @Test("Both sides with the key come to the same link, and the dialler's memory arrives")
  func agree() throws {
    var d = dialler(try keys(key))
    var a = acceptor(try keys(key))
    let ends = run(&d, &a)
    #expect(ends == (.accepted, .proved))
    #expect(d.linkNumber == a.linkNumber)
    #expect(a.peerMemory == .init(lastLink: 5, countedSince: 6))
  }

  @Test("Byte by byte it goes as well, and no byte beyond it is taken")
  func slowly() throws {
    var a = acceptor(try keys(key))
    let hello = RawPeer.hello("d", life: 1).encoded
    for byte in hello.dropLast() { #expect(feed(&a, [byte]) == .needsMore) }
    #expect(a.output.isEmpty)
    [hello.last!, 1, 2, 3].withUnsafeBytes { memory in
      var rest = memory
      #expect(a.received(&rest) == .needsMore)
      #expect(rest.count == 3)
    }
    #expect(a.output.count == Hello.bytes)
  }

  @Test("A wrong key is refused by the acceptor, which proves nothing itself")
  func wrongKey() throws {
    var d = dialler(try keys(other))
    var a = acceptor(try keys(key))
    let ends = run(&d, &a)
    #expect(ends == (.turnedAway(.notAuthentic), .refused(.notAuthentic)))
  }

  @Test("While keys change, one that is still accepted will do; one taken away won't")
  func rotation() throws {
    var (d, a) = (dialler(try keys(key, other)), acceptor(try keys(other, key)))
    #expect(run(&d, &a) == (.accepted, .proved))
    (d, a) = (dialler(try keys(key, other)), acceptor(try keys(other)))
    #expect(run(&d, &a) == (.turnedAway(.notAuthentic), .refused(.notAuthentic)))
    // The acceptor takes the dialler's key, but proves itself with one that the dialler lacks.
    (d, a) = (dialler(try keys(key)), acceptor(try keys(other, key)))
    #expect(run(&d, &a).0 == .refused(.notAuthentic))
  }

  @Test("Every byte of what passes counts: whichever is changed, no link comes of it")
  func everyByte() throws {
    for step in 0..<4 {
      let length = step < 2 ? Hello.bytes : Handshake.proofBytes
      for at in 0..<length {
        var d = dialler(try keys(key))
        var a = acceptor(try keys(key))
        let ends = run(&d, &a) { current, bytes in
          if current == step { bytes[at] ^= 0x20 }
        }
        #expect(ends.0 != .accepted, "step \(step), byte \(at)")
        if step != 3 { #expect(ends.1 != .proved, "step \(step), byte \(at)") }
      }
    }
  }

  @Test("A recorded dialler proves nothing to another nonce")
  func replay() throws {
    var recorded: [UInt8] = []
    var d = dialler(try keys(key))
    var a = acceptor(try keys(key), nonce: 2)
    _ = run(&d, &a) { step, bytes in if step % 2 == 0 { recorded += bytes } }
    var fresh = acceptor(try keys(key), nonce: 3)
    #expect(feed(&fresh, Array(recorded.prefix(Hello.bytes))) == .needsMore)
    #expect(feed(&fresh, Array(recorded.dropFirst(Hello.bytes))) == .refused(.notAuthentic))
    // It would hold for the nonce that it was made for: it is the nonce that makes the difference.
    var same = acceptor(try keys(key), nonce: 2)
    _ = feed(&same, Array(recorded.prefix(Hello.bytes)))
    #expect(feed(&same, Array(recorded.dropFirst(Hello.bytes))) == .proved)
  }

  @Test("A node's own challenge sent back to it is no answer")
  func reflected() throws {
    var d = dialler(try keys(key))
    #expect(feed(&d, take(&d)) == .refused(.reflected))
    // With another nonce, but still in the dialler's role.
    d = dialler(try keys(key))
    #expect(
      feed(&d, RawPeer.hello("a", life: 2, nonce: 9).encoded) == .refused(.reflected))
    // The dialler's proof, sent back to it as if it were the acceptor's.
    d = dialler(try keys(key))
    var a = acceptor(try keys(key))
    _ = feed(&a, take(&d))
    #expect(feed(&d, take(&a)) == .greeted)
    d.prove(.init())
    #expect(feed(&d, take(&d)) == .refused(.notAuthentic))
  }

  @Test("An acceptor answers nothing to what is no hello, and a version is told apart")
  func strangers() throws {
    var a = acceptor(try keys(key))
    #expect(feed(&a, [UInt8](repeating: 0x47, count: Hello.bytes)) == .refused(.notALink))
    #expect(a.output.isEmpty)
    var hello = RawPeer.hello("d", life: 1)
    hello.version = 2
    a = acceptor(try keys(key))
    #expect(feed(&a, hello.encoded) == .refused(.version))
    #expect(a.output.count == Hello.bytes + Handshake.proofBytes)
    a = acceptor(try keys(key))
    #expect(
      feed(&a, RawPeer.hello("d", cluster: "elsewhere", life: 1).encoded)
        == .refused(.clusterName))
    a = acceptor(try keys(key))
    #expect(feed(&a, RawPeer.hello("a", life: 1).encoded) == .refused(.sameName))
  }

  @Test("A proof made for one encrypted connection does not hold for another")
  func binding() throws {
    let keys = try keys(key)
    var d = Handshake(
      RawPeer.hello("d", life: 1, nonce: 1), keys: keys, binding: [UInt8](repeating: 1, count: 32))
    var a = Handshake(
      RawPeer.hello("a", role: .acceptor, life: 2, nonce: 2), keys: keys,
      binding: [UInt8](repeating: 2, count: 32))
    #expect(run(&d, &a) == (.turnedAway(.notAuthentic), .refused(.notAuthentic)))
  }

  @Test("A hello is what it says after the way over the wire")
  func hello() throws {
    let hello = RawPeer.hello("näme", life: 0x1122_3344_5566_7788, nonce: 0xFE)
    #expect(hello.encoded.count == Hello.bytes)
    #expect(try Hello(decoding: hello.encoded) == hello)
  }

  @Test("Keys that are too short or too many are refused at once")
  func badKeys() {
    #expect(throws: LinkError.self) { try ClusterKeys([[1, 2, 3]]) }
    #expect(throws: LinkError.self) { try ClusterKeys([]) }
    let key = [UInt8](repeating: 1, count: 16)
    #expect(throws: LinkError.self) { try ClusterKeys([[UInt8]](repeating: key, count: 9)) }
  }

  @Test("HMAC-SHA-256 is the standard's: RFC 4231, test case 6")
  func known() throws {
    let keys = try ClusterKeys([[UInt8](repeating: 0xAA, count: 131)])
    let text = Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)
    let hex = keys.prove(text).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    #expect(hex == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
  }
}
