import AloftEngine
package import AloftMembership
import AloftQueue

/// Messages to mailboxes of other nodes.
///
/// What this loop sends to a mailbox of another node is written to the link there and then. What
/// other threads send comes through a mailbox, which stands for all of that node. While the link
/// has no room this loop's senders are told `full`, and the mailbox waits and fills up, until its
/// senders are told so, too.
@safe
final class Gateway: RemoteWay, @unchecked Sendable {
  // @unchecked: used on the home loop alone.
  // The node keeps its gateways, and closes them before it ends.
  private unowned(unsafe) let node: ClusterNode
  private let links: LinkTable
  private let counts: UnsafeMutablePointer<NodeStatistics>
  let peer: LinkPeer
  let id: NodeID
  var mailbox = MailboxID(rawValue: 0)
  /// Taken from the mailbox, and not yet by the link.
  private var held: Message?

  init(_ node: ClusterNode, _ peer: LinkPeer) {
    unsafe self.node = node
    links = node.links
    unsafe counts = node.counts
    self.peer = peer
    id = peer.id
    super.init()
  }

  override func take(
    _ bytes: UnsafeRawBufferPointer, of holder: MessageBlock?, tag: UInt64, to id: MailboxID,
    priority: UInt8
  ) -> SendResult {
    let post = unsafe Post(
      mailbox: MailboxID(id, node: 0).rawValue, tag: tag, priority: priority, bytes,
      holder: holder)
    switch links.post(to: peer, stream: NodeStream.messages, post) {
    case .accepted:
      unsafe counts.pointee.messagesOut &+= 1
      return .accepted
    case .wouldBlock: return .full
    case .noLink: return .closed
    case .tooLarge:
      unsafe counts.pointee.messagesDropped += 1
      return .accepted
    }
  }

  override func received(_ batch: inout MessageBatch) throws {
    while let message = batch.next() {
      held = pass(message)
      if held != nil { return }
    }
  }

  /// Hands a message to the link; the answer is the message when there is no room.
  private func pass(_ message: consuming Message) -> Message? {
    let block = message.block
    let header = unsafe block.header
    let (id, tag) = unsafe (header.pointee.target, header.pointee.tag)
    let priority = unsafe header.pointee.priority
    let result = unsafe message.withUnsafeBytes {
      unsafe take($0, of: block, tag: tag, to: id, priority: priority)
    }
    if result == .full {
      // `writable` wakes it.
      unsafe node.loop.suspendMailbox(mailbox)
      return message
    }
    if result == .closed { unsafe counts.pointee.messagesDropped += 1 }
    return nil
  }

  /// The link has room again.
  func goOn() {
    if let message = held.take() {
      held = pass(message)
      if held != nil { return }
    }
    unsafe node.loop.resumeMailbox(mailbox)
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
    RemoteGateways.set(gateway, mailbox, for: peer.id.rawValue, on: loop)
  }

  func close(_ gateway: Gateway) {
    RemoteGateways.remove(gateway.mailbox, for: gateway.id.rawValue, on: loop)
    loop.closeMailbox(gateway.mailbox)
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
    (call.words.0, call.words.1, UInt64(call.stream) << 8 | UInt64(from.rawValue))
  }

  /// To answer. Any words are safe: those that name no call are not heard.
  package init(words: (UInt64, UInt64, UInt64)) {
    call = IncomingCall(
      peer: UInt32(words.1 >> 32), link: UInt32(truncatingIfNeeded: words.1), number: words.0,
      stream: UInt16(truncatingIfNeeded: words.2 >> 8), kind: 0, timeout: 0)
    from = NodeID(rawValue: UInt8(truncatingIfNeeded: words.2))
  }
}

extension IncomingCall {
  /// Which call it is, among those of all links.
  package var words: (UInt64, UInt64) { (number, UInt64(peer) << 32 | UInt64(link)) }
}
