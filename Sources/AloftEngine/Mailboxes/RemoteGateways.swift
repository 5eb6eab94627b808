package import AloftQueue
import Synchronization

/// Where messages for mailboxes of other nodes go: for each node a mailbox of this process, whose
/// handler passes them on. An ID with a node's number is sent to like any other, and is answered
/// `closed` while no way leads to that node, `full` while the way is.
///
/// A message on its way to another node is a block of its own, so that what is sent is contiguous:
///
///     [ mailbox 8, its node's own ID ] [ tag 8 ] [ bytes ]        in the machine's order
package enum RemoteGateways {
  package static let headerBytes = 16

  @safe
  private struct Places: @unchecked Sendable {
    // @unchecked: atomic words that are never freed.
    let words: UnsafeMutablePointer<Atomic<UInt64>>

    init() {
      unsafe words = .allocate(capacity: 256)
      for node in 0..<256 { unsafe (words + node).initialize(to: Atomic(0)) }
    }
  }

  private static let places = Places()

  /// Any thread. Messages for `node` go to this mailbox from now on.
  package static func set(_ gateway: MailboxID, for node: UInt8) {
    unsafe places.words[Int(node)].store(gateway.rawValue, ordering: .releasing)
  }

  /// Any thread. Takes the way to `node` away, unless it is another one by now.
  package static func remove(_ gateway: MailboxID, for node: UInt8) {
    _ = unsafe places.words[Int(node)].compareExchange(
      expected: gateway.rawValue, desired: 0, ordering: .acquiringAndReleasing)
  }

  /// The reference stays the caller's unless it is accepted.
  @inline(never)
  static func send(_ shared: MessageBlock, to id: MailboxID, priority: UInt8) -> SendResult {
    let word = unsafe places.words[Int(id.node)].load(ordering: .acquiring)
    guard word != 0 else { return .closed }
    let count = unsafe Int(shared.header.pointee.count)
    let block = EventLoop.newMessage(count: headerBytes + count)
    let bytes = unsafe block.header.pointee.bytes
    unsafe bytes.storeBytes(of: MailboxID(id, node: 0).rawValue, as: UInt64.self)
    unsafe bytes.storeBytes(of: shared.header.pointee.tag, toByteOffset: 8, as: UInt64.self)
    unsafe (bytes + headerBytes).copyMemory(from: shared.header.pointee.bytes, byteCount: count)
    let result = EventLoop.trySend(block, to: MailboxID(rawValue: word), priority: priority)
    MessageBlock.release(result == .accepted ? shared : block)
    return result
  }

  /// A message that came from another node, for a mailbox of this one. Nil when it makes no sense.
  package static func deliver(_ bytes: UnsafeRawBufferPointer, priority: UInt8) -> SendResult? {
    guard bytes.count >= headerBytes else { return nil }
    let id = MailboxID(rawValue: unsafe bytes.loadUnaligned(as: UInt64.self))
    guard id.node == 0 else { return nil }
    let payload = unsafe UnsafeRawBufferPointer(rebasing: bytes[headerBytes...])
    let block = unsafe EventLoop.newMessage(copying: payload)
    let tag = unsafe bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    unsafe block.header.pointee.tag = tag
    let result = EventLoop.send(block, to: id, priority: min(priority, 3))
    if result != .accepted { MessageBlock.release(block) }
    return result
  }
}

extension MailboxID {
  /// The same mailbox as another node names it; with node 0, as its own does.
  package init(_ id: MailboxID, node: UInt8) {
    self.init(rawValue: id.rawValue & ~(0xFF << 56) | UInt64(node) << 56)
  }
}
