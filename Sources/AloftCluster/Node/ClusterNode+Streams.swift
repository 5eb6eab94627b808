import AloftEngine
package import AloftMembership

/// Messages of the application's own, on acknowledged streams.
extension ClusterNode {
  @discardableResult
  package func send(
    _ id: NodeID, applicationStream stream: UInt8, _ bytes: UnsafeRawBufferPointer
  ) -> LinkSendResult {
    guard !isStopped else { return .noLink }
    return unsafe links.send(
      to: id, stream: NodeStream.applications | UInt16(stream), kind: NodeKind.application, bytes)
  }

  package func undelivered(_ peer: LinkPeer, messages: Int) {
    onUndelivered?(peer.id, messages)
  }
}
