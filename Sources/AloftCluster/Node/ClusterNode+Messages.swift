import AloftEngine
package import AloftMembership
import AloftQueue

/// Messages to mailboxes of other nodes, and calls.
///
/// A mailbox here stands for all of another node: what is sent to one of its mailboxes comes to the
/// gateway, which passes it on to the link. While the link has no room the gateway waits, fills up,
/// and senders are told `full`.
final class Gateway: MailboxHandler, @unchecked Sendable {
  // @unchecked: used on the home loop alone.
  unowned let node: ClusterNode
  let peer: LinkPeer
  let id: NodeID
  var mailbox = MailboxID(rawValue: 0)
  /// Taken from the mailbox, and not yet by the link.
  var held: Message?

  init(_ node: ClusterNode, _ peer: LinkPeer) {
    self.node = node
    self.peer = peer
    id = peer.id
    super.init()
  }

  override func received(_ batch: inout MessageBatch) throws {
    while let message = batch.next() {
      held = node.pass(message, through: self)
      if held != nil { return }
    }
  }

  /// The link has room again.
  func goOn() {
    if let message = held.take() {
      held = node.pass(message, through: self)
      if held != nil { return }
    }
    node.loop.resumeMailbox(mailbox)
  }

  override func closed(_ mailbox: MailboxID, _ reason: MailboxCloseReason) { held = nil }
}

extension ClusterNode {
  func openGateway(to peer: LinkPeer) {
    if let former = gateways.removeValue(forKey: peer.id) { close(former) }
    let gateway = Gateway(self, peer)
    var mailboxOptions = MailboxOptions(capacity: options.gatewayCapacity)
    mailboxOptions.turnMax = 1_024
    guard let mailbox = try? loop.openMailbox(mailboxOptions, handler: gateway) else { return }
    gateway.mailbox = mailbox
    gateways[peer.id] = gateway
    RemoteGateways.set(mailbox, for: peer.id.rawValue)
  }

  func close(_ gateway: Gateway) {
    RemoteGateways.remove(gateway.mailbox, for: gateway.id.rawValue)
    loop.closeMailbox(gateway.mailbox)
  }

  /// Hands a message to the link; the answer is the message when there is no room.
  func pass(_ message: consuming Message, through gateway: Gateway) -> Message? {
    let priority = unsafe message.block.header.pointee.priority
    let result = unsafe message.withUnsafeBytes { bytes in
      unsafe links.send(
        to: gateway.peer, stream: NodeStream.messages, kind: NodeKind.message + priority, bytes)
    }
    switch result {
    case .accepted: statistics.messagesOut += 1
    case .wouldBlock:
      // `writable` wakes it.
      loop.suspendMailbox(gateway.mailbox)
      return message
    case .noLink, .tooLarge: statistics.messagesDropped += 1
    }
    return nil
  }

  func receivedMessage(_ kind: UInt8, _ message: UnsafeRawBufferPointer) {
    statistics.messagesIn += 1
    let priority = kind &- NodeKind.message
    if unsafe RemoteGateways.deliver(message, priority: priority) != .accepted {
      statistics.messagesDropped += 1
    }
  }

  // MARK: Calls

  /// Calls a node; see `LinkTable.call`.
  package func call(
    _ id: NodeID, kind: UInt8, _ bytes: UnsafeRawBufferPointer, milliseconds: UInt32,
    _ answer: @escaping (CallOutcome) -> Void
  ) -> CallStart {
    unsafe links.call(
      to: id, stream: NodeStream.calls, kind: kind, bytes, timeout: milliseconds, answer)
  }

  @discardableResult
  package func cancel(_ call: CallID) -> Bool { links.cancel(call) }

  @discardableResult
  package func answer(_ call: NodeCall, _ bytes: UnsafeRawBufferPointer) -> LinkSendResult {
    unsafe links.reply(to: call.call, kind: 0, bytes)
  }

  @discardableResult
  package func refuse(
    _ call: NodeCall, code: UInt8, _ bytes: UnsafeRawBufferPointer
  ) -> LinkSendResult {
    unsafe links.fail(call.call, code: code, bytes)
  }
}

/// A call of another node's, to be answered once.
package struct NodeCall: Hashable, Sendable {
  let call: IncomingCall
  package let from: NodeID
  package var kind: UInt8 { call.kind }
  package var timeoutMilliseconds: UInt32 { call.timeout }

  init(call: IncomingCall, from: NodeID) {
    self.call = call
    self.from = from
  }

  /// Which call it is, and enough to answer it: the same when it comes and when it is cancelled.
  package var words: (UInt64, UInt64, UInt64) {
    (
      call.number, UInt64(call.peer) << 32 | UInt64(call.link),
      UInt64(call.stream) << 8 | UInt64(from.rawValue)
    )
  }

  /// To answer. Any words are safe: those that name no call are not heard.
  package init(words: (UInt64, UInt64, UInt64)) {
    call = IncomingCall(
      peer: UInt32(words.1 >> 32), link: UInt32(truncatingIfNeeded: words.1), number: words.0,
      stream: UInt16(truncatingIfNeeded: words.2 >> 8), kind: 0, timeout: 0)
    from = NodeID(rawValue: UInt8(truncatingIfNeeded: words.2))
  }
}
