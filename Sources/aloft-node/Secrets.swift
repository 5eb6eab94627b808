import AloftNode
import ArgumentParser

/// Where keys and certificates are, to be read at the start and again at `reload`.
struct Secrets: Sendable {
  let keyFile: String
  /// Certificate, its key, authorities; or none.
  let certificates: [String]

  init(keyFile: String, certificates: [String?]) throws {
    self.keyFile = keyFile
    self.certificates = certificates.compactMap { $0 }
    guard self.certificates.isEmpty || self.certificates.count == 3 else {
      throw ValidationError("TLS needs all of --certificate, --private-key and --authorities")
    }
  }

  func keys() throws -> [[UInt8]] {
    try Settings.read(keyFile).split(separator: "\n").map { Array($0.utf8) }
  }

  func tls() throws -> NodeOptions.TLS? {
    if certificates.isEmpty { return nil }
    return .init(
      certificate: try Settings.bytes(certificates[0]),
      privateKey: try Settings.bytes(certificates[1]),
      authorities: try Settings.bytes(certificates[2]))
  }

  /// Reads all anew and has the node use them from now on.
  func reload(_ node: Node) async throws {
    try await node.setKeys(keys())
    if let tls = try tls() { try await node.setCertificates(tls) }
  }
}
