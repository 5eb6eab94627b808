import AloftEngine
package import AloftMembership

/// Who takes what comes on an application's channels, and waits for room on them. On the node's
/// loop.
package protocol ChannelTaker: AnyObject {
  /// The bytes lie where they arrived, until this returns.
  func received(from id: NodeID, channel: UInt8, _ bytes: UnsafeRawBufferPointer)
  /// There is room where there was none.
  func writable(to id: NodeID, channel: UInt8, isAcknowledged: Bool)
  func linkDown(to id: NodeID)
  /// Acknowledged messages that won't arrive, for the life that they were for is over.
  func undelivered(to id: NodeID, channel: UInt8, messages: Int)
}

/// Channels: streams between nodes that are the application's.
extension ClusterNode {
  static func stream(_ channel: UInt8, isAcknowledged: Bool) -> UInt16 {
    NodeStream.channels + UInt16(channel) | (isAcknowledged ? LinkStream.acknowledged : 0)
  }

  /// Nil if the stream is none of the application's.
  static func channel(_ stream: UInt16) -> UInt8? {
    UInt8(exactly: Int(stream & ~LinkStream.acknowledged) - Int(NodeStream.channels))
  }

  package func send(
    to id: NodeID, channel: UInt8, isAcknowledged: Bool, _ bytes: UnsafeRawBufferPointer
  ) -> LinkSendResult {
    let stream = Self.stream(channel, isAcknowledged: isAcknowledged)
    return unsafe links.send(to: id, stream: stream, kind: NodeKind.channel, bytes)
  }

  /// To all members with a link, at most once; answers how many links took it.
  package func broadcast(channel: UInt8, _ bytes: UnsafeRawBufferPointer) -> Int {
    core.state.members.count { member in
      unsafe send(to: member.id, channel: channel, isAcknowledged: false, bytes) == .accepted
    }
  }

  /// As much as there is credit for; nil without a link.
  package func write(to id: NodeID, channel: UInt8, _ bytes: UnsafeRawBufferPointer) -> Int? {
    guard let peer = links.peer(id) else { return nil }
    let stream = Self.stream(channel, isAcknowledged: false)
    return unsafe links.write(to: peer, stream: stream, kind: NodeKind.channel, bytes)
  }
}
