import AloftCluster
import AloftMembership
import Foundation
import Testing

/// Encrypted links: both sides show a certificate that the cluster's authority vouches for; one
/// that has expired, or a stranger's, gets no link. The openssl command makes the certificates.
@Suite(.serialized)
struct TLSStories {
  /// A directory with an authority, and what it has signed.
  final class Authority {
    let folder: URL

    init(_ name: String = "authority") throws {
      folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("aloft-tls-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      try run([
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=\(name)", "-days", "2",
      ])
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    private func run(_ arguments: [String]) throws {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = ["openssl"] + arguments
      process.currentDirectoryURL = folder
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      process.standardInput = FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      try #require(process.terminationStatus == 0, "openssl \(arguments)")
    }

    private func read(_ name: String) throws -> [UInt8] {
      try Array(Data(contentsOf: folder.appendingPathComponent(name)))
    }

    /// A node's certificate and key. One with `days` below 0 has expired.
    func issue(_ name: String, days: Int = 2) throws -> TLSOptions {
      try run([
        "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", "\(name).key", "-out", "\(name).csr", "-subj", "/CN=\(name)",
      ])
      try run([
        "x509", "-req", "-in", "\(name).csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-out", "\(name).pem", "-days", "\(days)",
      ])
      return try TLSOptions(
        certificate: read("\(name).pem"), privateKey: read("\(name).key"),
        authorities: read("ca.pem"))
    }
  }

  @Test("Messages, large and small, calls and heartbeats go over an encrypted link")
  func encrypted() throws {
    let authority = try Authority()
    let (one, two) = (try authority.issue("one"), try authority.issue("two"))
    let a = try Node("a", id: 1) {
      $0.tls = one
      $0.heartbeatInterval = 5
    }
    let b = try Node("b", id: 2) {
      $0.tls = two
      $0.heartbeatInterval = 5
    }
    defer {
      a.stop()
      b.stop()
    }
    try a.connect(to: b)
    #expect(eventually { a.told.now.up == ["b"] && b.told.now.up == ["a"] })
    let large = (0..<3 << 20).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    for bytes in [[], [1], large] {
      #expect(try a.send(to: "b", bytes) == .accepted)
      #expect(try b.send(to: "a", stream: LinkStream.acknowledged, bytes) == .accepted)
      #expect(
        eventually {
          a.told.now.messages.last?.bytes == bytes && b.told.now.messages.last?.bytes == bytes
        })
    }
    let answer = Guarded<[UInt8]>([])
    try a.on { node in
      large.withUnsafeBytes {
        _ = node.table.call(
          to: NodeID(rawValue: 2), stream: 3, kind: 0, $0, timeout: 10_000
        ) { outcome in
          if case .reply(let bytes) = outcome { answer.with { $0 = Array(bytes) } }
        }
      }
    }
    #expect(eventually { answer.now == large })
    #expect(eventually { (try? a.statistics().heartbeatsReceived) ?? 0 > 2 })
    #expect(a.told.now.down.isEmpty && b.told.now.down.isEmpty)
  }

  @Test("Whose certificate has expired gets no link, on either side", arguments: [true, false])
  func expired(isDialler: Bool) throws {
    let authority = try Authority()
    let (good, bad) = (try authority.issue("good"), try authority.issue("bad", days: -1))
    let a = try Node("a", id: 1) { $0.tls = isDialler ? bad : good }
    let b = try Node("b", id: 2) { $0.tls = isDialler ? good : bad }
    defer {
      a.stop()
      b.stop()
    }
    try a.connect(to: b)
    let honest = isDialler ? b : a
    #expect(eventually { (try? honest.statistics().refused[.encryption]) ?? 0 >= 2 })
    #expect(honest.told.now.refused == [.encryption])
    #expect(a.told.now.up.isEmpty && b.told.now.up.isEmpty)
  }

  @Test("A certificate of another authority is a stranger's, and so is plain text")
  func strangers() throws {
    let (mine, theirs) = (try Authority(), try Authority("another"))
    let (good, bad) = (try mine.issue("good"), try theirs.issue("bad"))
    let a = try Node("a", id: 1) { $0.tls = good }
    let b = try Node("b", id: 2) { $0.tls = bad }
    let plain = try Node("plain", id: 3) { $0.handshakeTimeout = 200 }
    defer { [a, b, plain].forEach { $0.stop() } }
    try b.connect(to: a)
    #expect(eventually { a.told.now.refused == [.encryption] })
    try plain.connect(to: a)
    #expect(eventually { !plain.told.now.refused.isEmpty })
    #expect(a.told.now.up.isEmpty && b.told.now.up.isEmpty && plain.told.now.up.isEmpty)
  }

  @Test("With the certificate but not the cluster's key there is no link")
  func noKey() throws {
    let authority = try Authority()
    let (one, two) = (try authority.issue("one"), try authority.issue("two"))
    let a = try Node("a", id: 1) { $0.tls = one }
    let b = try Node("b", id: 2, key: Array("another cluster's key".utf8)) { $0.tls = two }
    defer {
      a.stop()
      b.stop()
    }
    try b.connect(to: a)
    #expect(eventually { a.told.now.refused == [.notAuthentic] })
    #expect(a.told.now.up.isEmpty && b.told.now.up.isEmpty)
  }

  @Test("Certificates are renewed under way: the link stays, and the next uses the new ones")
  func renewal() throws {
    let (old, new) = (try Authority("old"), try Authority("new"))
    var (a1, b1) = (try old.issue("a"), try old.issue("b"))
    // While authorities change, both are trusted.
    let both = a1.authorities + (try new.issue("x")).authorities
    a1.authorities = both
    b1.authorities = both
    let (first, second) = (a1, b1)
    let a = try Node("a", id: 1) { $0.tls = first }
    let b = try Node("b", id: 2) { $0.tls = second }
    defer {
      a.stop()
      b.stop()
    }
    try a.connect(to: b)
    #expect(eventually { a.told.now.up.count == 1 && b.told.now.up.count == 1 })
    let (a2, b2) = (try new.issue("a"), try new.issue("b"))
    try a.on {
      try $0.table.setTLS(
        TLSOptions(
          certificate: a2.certificate, privateKey: a2.privateKey, authorities: both))
    }
    try b.on {
      try $0.table.setTLS(
        TLSOptions(
          certificate: b2.certificate, privateKey: b2.privateKey, authorities: both))
    }
    #expect(try a.send(to: "b", [1]) == .accepted)
    #expect(eventually { b.told.now.messages.count == 1 && a.told.now.down.isEmpty })
    // The old authority is trusted no more: what comes now is the new one's.
    try a.on { try $0.table.setTLS(a2) }
    try b.on { try $0.table.setTLS(b2) }
    try b.on { $0.table.close($0.table.peer(named: "a")!) }
    #expect(eventually { a.told.now.up.count == 2 && b.told.now.up.count == 2 })
  }

  @Test("What is no certificate, or another's key, is refused when it is given")
  func wrong() throws {
    let authority = try Authority()
    let (one, two) = (try authority.issue("one"), try authority.issue("two"))
    for bad in [
      TLSOptions(certificate: [1, 2], privateKey: one.privateKey, authorities: one.authorities),
      TLSOptions(
        certificate: one.certificate, privateKey: two.privateKey, authorities: one.authorities),
      TLSOptions(certificate: one.certificate, privateKey: one.privateKey, authorities: []),
    ] {
      #expect(throws: LinkError.self) { try Node("a") { $0.tls = bad } }
    }
  }
}
