internal import AloftCluster

/// Keys and certificates that change while the node runs.
extension Node {
  /// Replaces the cluster's keys for links that come up from now on; those that are up stay up.
  /// The first is used to prove, all are accepted. Any thread.
  ///
  /// To change a key without a gap, go three times over all nodes: add the new one behind the old,
  /// put it first, take the old one away.
  /// - Throws: ``NodeFailure`` when a key has less than 16 bytes, or the node has ended.
  public func setKeys(_ keys: [[UInt8]]) async throws {
    try await change { try $0.setKeys(keys) }
  }

  /// Replaces the certificates for links that come up from now on; those that are up stay up. Any
  /// thread.
  /// - Throws: ``NodeFailure`` when they are none or don't belong together, when the node's links
  ///   are in plain text, or when it has ended.
  public func setCertificates(_ tls: NodeOptions.TLS) async throws {
    let options = TLSOptions(
      certificate: tls.certificate, privateKey: tls.privateKey, authorities: tls.authorities)
    try await change { try $0.setTLS(options) }
  }

  private func change(
    _ body: @escaping @Sendable (ClusterNode) throws -> Void
  ) async throws {
    let problem: String?? = await onLoop { node -> String? in
      do {
        try body(node)
        return nil
      } catch {
        return "\(error)"
      }
    }
    guard let problem else { throw NodeFailure("the node has ended") }
    if let problem { throw NodeFailure(problem) }
  }
}
