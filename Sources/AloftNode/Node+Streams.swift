internal import AloftCluster
internal import AloftEngine
internal import AloftMembership

/// Why a message for another node was not taken. It is certainly not on its way.
public enum NodeSendError: Error, Hashable, Sendable {
  /// There is no link to that node, and never was one in its present life.
  case noLink
  /// What was sent before and has not arrived takes all the room: 4 MiB a stream.
  case busy
  case tooLarge
}

/// Messages that arrive once: kept until the other node has them, and sent again when the link was
/// lost meanwhile.
extension Node {
  /// Streams that an application has, each with an order of its own.
  public static let streams = 0..<256

  /// Sends to another node, on an acknowledged stream: messages of one stream arrive in the order
  /// in which they were sent, each once, over any number of reconnections, as long as both nodes
  /// live. If the other one's life ends, those that it hasn't got are told of as undelivered
  /// (``onMessages(_:undelivered:)``).
  ///
  /// Any thread; answers when it was taken, not when it has arrived.
  /// - Throws: ``NodeSendError``.
  public func send(_ node: Int, stream: Int = 0, _ bytes: [UInt8]) async throws {
    precondition(Self.streams.contains(stream), "stream \(stream)")
    guard let id = UInt8(exactly: node), id != 0 else { throw NodeSendError.noLink }
    let result = await onLoop { inner in
      unsafe bytes.withUnsafeBytes {
        unsafe inner.send(NodeID(rawValue: id), applicationStream: UInt8(stream), $0)
      }
    }
    switch result {
    case .accepted: return
    case .wouldBlock: throw NodeSendError.busy
    case .tooLarge: throw NodeSendError.tooLarge
    case .noLink, nil: throw NodeSendError.noLink
    }
  }

  /// Has messages that other nodes send told to `body`, on the node's loop; it must not block.
  /// Without it they are dropped.
  /// - Parameter undelivered: told of how many messages that this node sent to that one will never
  ///   arrive, for its life is over.
  public func onMessages(
    _ body: @escaping @Sendable (_ from: Int, _ stream: Int, _ bytes: RawSpan) -> Void,
    undelivered: @escaping @Sendable (_ to: Int, _ count: Int) -> Void = { _, _ in }
  ) async {
    _ = await onLoop { inner in
      unsafe inner.onMessage = { from, stream, bytes in
        unsafe body(Int(from.rawValue), Int(stream), bytes.bytes)
      }
      inner.onUndelivered = { undelivered(Int($0.rawValue), $1) }
    }
  }
}
