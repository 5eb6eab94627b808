import Aloft
import AloftNode
import AloftSessionClient
import Foundation
import Testing

/// Clients over encrypted connections: the node shows a certificate, the client a token. The
/// openssl command makes the certificates.
@Suite(.serialized)
struct TLSStories {
  @Test("An encrypted client works; one without the authority, or in plain text, is not let in")
  func encrypted() async throws {
    let certificates = try Certificates()
    let tls = try certificates.node()
    try await withDoors {
      $0.tls = tls
    } _: { nodes in
      let client = try await nodes.client("user", at: [0]) { $0.authorities = tls.authorities }
      let large = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      let made = try await client.create(options: SessionOptions(stateMax: 1 << 20))
      try await made.put(large)
      #expect(try await made.read().state == large)
      let other = try await nodes.client("user", at: [1]) { $0.authorities = tls.authorities }
      let events = try await other.resume(made.id).events()
      for number in 0..<20 { try await made.publish([UInt8(number)]) }
      var got: [UInt8] = []
      for try await event in events {
        got += event.bytes
        if got.count == 20 { break }
      }
      #expect(got == Array(0..<20))

      var plain = try nodes.options("user", at: [0])
      #expect(await nodes.lateFailure(plain) == .notAccepting)
      plain.authorities = try Certificates().authority()
      #expect(await nodes.lateFailure(plain) == .notAccepting)
      let refused = await nodes.nodes[0].clientStatistics()?.refused ?? [:]
      #expect((refused["encryption"] ?? 0) >= 2)
    }
  }
}

/// An authority, and what it vouches for.
private struct Certificates {
  private let directory: URL

  init() throws {
    directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("aloft-door-tls-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    try openssl(
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
      "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
  }

  private func openssl(_ arguments: String...) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["openssl"] + arguments
    process.currentDirectoryURL = directory
    process.standardError = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "openssl \(arguments)")
  }

  private func read(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: directory.appendingPathComponent(name)))
  }

  func authority() throws -> [UInt8] { try read("ca.pem") }

  func node() throws -> NodeOptions.TLS {
    try openssl(
      "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
      "/CN=node", "-keyout", "node.key", "-out", "node.csr")
    try openssl(
      "x509", "-req", "-in", "node.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
      "-days", "2", "-out", "node.pem")
    return .init(
      certificate: try read("node.pem"), privateKey: try read("node.key"),
      authorities: try authority())
  }
}
