internal import Aloft
internal import AloftCluster
internal import AloftEngine
internal import AloftMembership

/// Why a message to another node was not taken, or not whole.
public enum NodeSendError: Error, Hashable, Sendable {
  /// There is no link to that node.
  case noLink
  /// Longer than either side's limit for one message.
  case tooLarge(Int)
  /// There was no room in time. Of bytes that are written so many were taken.
  case timedOut(taken: Int)
  /// The link ended while there was no room. Of bytes that are written so many were taken.
  case linkDown(taken: Int)
  /// This node has stopped.
  case stopped
}

extension Node {
  /// What becomes of a message when its link ends.
  public enum Delivery: Sendable, Hashable {
    /// It may be lost; nobody gets it twice.
    case atMostOnce
    /// It is kept until the other node has it, sent again by the next link, and told of once. It is
    /// lost only with the life of either node. It is also taken while there is no link.
    case acknowledged
  }

  typealias MessageHandler = @Sendable (_ from: Int, _ bytes: RawSpan) -> Void

  /// Has messages that other nodes send on a channel told to `handler`, on the node's loop; it must
  /// not block. Those of a channel without a handler are dropped, and so are, of one node, those
  /// that came before. Any thread.
  public func onMessage(
    channel: Int = 0, _ handler: @escaping @Sendable (_ from: Int, _ bytes: RawSpan) -> Void
  ) {
    channels.setHandler(Self.checked(channel), handler)
  }

  /// Has acknowledged messages that won't arrive, for the life of the node that they were for is
  /// over, told to `handler`: which node, which channel, and how many. On the node's loop; it must
  /// not block. Any thread.
  public func onUndelivered(
    _ handler: @escaping @Sendable (_ to: Int, _ channel: Int, _ count: Int) -> Void
  ) {
    channels.setUndelivered(handler)
  }

  /// Sends a message to another node, on one of 256 channels: of one channel and delivery they
  /// arrive in order. Answers when the link has taken it, which is at once while there is room. Any
  /// thread; suspends.
  ///
  /// ```swift
  /// try await node.send(3, Array("rotate".utf8), delivery: .acknowledged)
  /// ```
  /// - Throws: ``NodeSendError``: it was not taken.
  public func send(
    _ node: Int, _ bytes: [UInt8], channel: Int = 0, delivery: Delivery = .atMostOnce,
    within limit: Duration = .seconds(5)
  ) async throws {
    let isAcknowledged = delivery == .acknowledged
    try await put(node, bytes, channel, isAcknowledged, isWhole: true, within: limit)
  }

  /// Writes bytes to another node as a stream: they arrive in order, in pieces of any length, each
  /// told to the channel's handler. Answers when all are taken, and waits for the other node to
  /// make room. Any thread; suspends.
  /// - Throws: ``NodeSendError``, which says how many bytes were taken.
  public func write(
    _ node: Int, _ bytes: [UInt8], channel: Int = 0, within limit: Duration = .seconds(30)
  ) async throws {
    try await put(node, bytes, channel, false, isWhole: false, within: limit)
  }

  /// Sends a message to all nodes that this one has a link to, at most once to each. Answers how
  /// many links took it; the others had no room. Any thread; suspends.
  public func broadcast(_ bytes: [UInt8], channel: Int = 0) async -> Int {
    let channel = Self.checked(channel)
    return await onLoop { node in
      unsafe bytes.withUnsafeBytes { unsafe node.broadcast(channel: channel, $0) }
    } ?? 0
  }

  /// Ends the link to a node, as a network might, for tests; it's dialled again.
  package func breakLink(to node: Int) async {
    _ = await onLoop { inner in
      guard let number = UInt8(exactly: node) else { return }
      if let peer = inner.links.peer(NodeID(rawValue: number)) {
        inner.links.close(peer, redial: true)
      }
    }
  }

  private static func checked(_ channel: Int) -> UInt8 {
    guard let channel = UInt8(exactly: channel) else {
      preconditionFailure("channel \(channel): there are 0...255")
    }
    return channel
  }

  private func put(
    _ node: Int, _ bytes: [UInt8], _ channel: Int, _ isAcknowledged: Bool, isWhole: Bool,
    within limit: Duration
  ) async throws {
    let channel = Self.checked(channel)
    guard let node = UInt8(exactly: node), node != 0 else { throw NodeSendError.noLink }
    let failure: NodeSendError? = unsafe await withUnsafeContinuation { continuation in
      let send = unsafe NodeChannels.Send(
        bytes, isWhole: isWhole, continuation: continuation)
      eventLoop.engineLoop.executeUnrefused { [channels] in
        let way = NodeChannels.Way(
          node: NodeID(rawValue: node), channel: channel, isAcknowledged: isAcknowledged)
        channels.put(send, on: way, within: limit)
      }
    }
    if let failure { throw failure }
  }
}
