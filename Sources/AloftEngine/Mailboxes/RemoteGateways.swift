public import AloftQueue
import Synchronization

/// The way to another node: a mailbox on the loop where it begins, for what other threads send, and
/// `take` for what that loop itself sends.
///
/// In the mailbox, a block's `target` is the mailbox of the other node that it is for, and its
/// `tag` the sender's.
open class RemoteWay: MailboxHandler, @unchecked Sendable {
  // @unchecked: no stored properties.

  /// On the loop: takes a copy of a message along, or a reference to what holds its bytes. Neither
  /// calls handlers nor ends the way.
  open func take(
    _ bytes: UnsafeRawBufferPointer, of holder: MessageBlock?, tag: UInt64, to id: MailboxID,
    priority: UInt8
  ) -> SendResult { .closed }
}

/// The ways that begin on one loop, by the number of the node where they lead.
@safe
struct RemoteWays: ~Copyable {
  @safe
  private struct Way {
    var handler: Unmanaged<RemoteWay>
    var mailbox: MailboxID
  }

  /// 256 places, made with the first way.
  private var places: UnsafeMutablePointer<Way?>?

  deinit {
    guard let places = unsafe places else { return }
    for node in 0..<256 { unsafe places[node]?.handler.release() }
    unsafe places.deallocate()
  }

  @inline(__always)
  func find(_ node: UInt8) -> Unmanaged<RemoteWay>? { unsafe places?[Int(node)]?.handler }

  func mailbox(_ node: UInt8) -> MailboxID? { unsafe places?[Int(node)]?.mailbox }

  mutating func set(_ way: RemoteWay, _ mailbox: MailboxID, for node: UInt8) {
    if unsafe places == nil {
      unsafe places = .allocate(capacity: 256)
      unsafe places?.initialize(repeating: nil, count: 256)
    }
    let former = unsafe places?[Int(node)]
    unsafe places?[Int(node)] = Way(handler: .passRetained(way), mailbox: mailbox)
    unsafe former?.handler.release()
  }

  /// Unless it is another one by now.
  func remove(_ mailbox: MailboxID, for node: UInt8) {
    guard let way = unsafe places?[Int(node)], way.mailbox == mailbox else { return }
    unsafe places?[Int(node)] = nil
    unsafe way.handler.release()
  }
}

/// Where messages for mailboxes of other nodes go. An ID with a node's number is sent to like any
/// other, and is answered `closed` while no way leads to that node, `full` while the way is.
package enum RemoteGateways {
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

  /// On the way's loop, where its mailbox is. Messages for `node` go there from now on: all of this
  /// loop's, and those of threads where no way to it begins.
  package static func set(
    _ way: RemoteWay, _ mailbox: MailboxID, for node: UInt8, on loop: EventLoop
  ) {
    loop.preconditionOnLoop()
    unsafe loop.hot.pointee.ways.set(way, mailbox, for: node)
    unsafe places.words[Int(node)].store(mailbox.rawValue, ordering: .releasing)
  }

  /// On the way's loop. Takes the way to `node` away, unless it is another one by now.
  package static func remove(_ mailbox: MailboxID, for node: UInt8, on loop: EventLoop) {
    loop.preconditionOnLoop()
    unsafe loop.hot.pointee.ways.remove(mailbox, for: node)
    _ = unsafe places.words[Int(node)].compareExchange(
      expected: mailbox.rawValue, desired: 0, ordering: .acquiringAndReleasing)
  }

  /// Any thread: the mailbox that leads to a node, if this isn't the loop where the way begins.
  static func mailbox(for node: UInt8) -> MailboxID? {
    let word = unsafe places.words[Int(node)].load(ordering: .acquiring)
    return word == 0 ? nil : MailboxID(rawValue: word)
  }

  /// The reference stays the caller's unless it is accepted.
  @inline(never)
  static func send(_ shared: MessageBlock, to id: MailboxID, priority: UInt8) -> SendResult {
    let bytes = unsafe UnsafeRawBufferPointer(
      start: shared.header.pointee.bytes, count: Int(shared.header.pointee.count))
    let tag = unsafe shared.header.pointee.tag
    if let result = unsafe sendHere(bytes, of: shared, tag: tag, id, priority) {
      if result == .accepted { MessageBlock.release(shared) }
      return result
    }
    guard let mailbox = mailbox(for: id.node) else { return .closed }
    return EventLoop.trySend(shared, to: mailbox, priority: priority, for: id)
  }

  /// The same with a copy.
  @inline(never)
  static func send(
    copying bytes: UnsafeRawBufferPointer, to id: MailboxID, priority: UInt8
  ) -> SendResult {
    if let result = unsafe sendHere(bytes, of: nil, tag: 0, id, priority) { return result }
    guard let mailbox = mailbox(for: id.node) else { return .closed }
    let block = unsafe EventLoop.newMessage(copying: bytes)
    let result = EventLoop.trySend(block, to: mailbox, priority: priority, for: id)
    if result != .accepted { MessageBlock.release(block) }
    return result
  }

  /// From the loop where the way begins; nil elsewhere.
  @inline(__always)
  private static func sendHere(
    _ bytes: UnsafeRawBufferPointer, of holder: MessageBlock?, tag: UInt64, _ id: MailboxID,
    _ priority: UInt8
  ) -> SendResult? {
    guard let loop = unsafe EventLoop.unretainedCurrent,
      let way = unsafe loop._withUnsafeGuaranteedRef({ unsafe $0.hot.pointee.ways.find(id.node) })
    else { return nil }
    return unsafe way._withUnsafeGuaranteedRef {
      unsafe $0.take(bytes, of: holder, tag: tag, to: id, priority: priority)
    }
  }
}

extension EventLoop {
  /// A message for another node has come to the loop where the way begins.
  func deliverToWay(_ block: MessageBlock) {
    let node = unsafe block.header.pointee.target.node
    guard let mailbox = unsafe hot.pointee.ways.mailbox(node),
      let state = unsafe findMailbox(mailbox)
    else { return deadLetter(block) }
    unsafe enqueue(block, mailbox.slot, state)
  }

  /// On this loop's thread: a copy of a message that came from elsewhere, for a mailbox of this
  /// process.
  @inline(__always)
  package func deliver(
    copying bytes: UnsafeRawBufferPointer, tag: UInt64, to id: MailboxID, priority: UInt8
  ) -> SendResult {
    guard let state = unsafe findMailbox(id), unsafe !state.pointee.flags.contains(.draining)
    else { return unsafe deliverElsewhere(bytes, tag, id, priority) }
    if unsafe state.pointee.flags.contains(.bounded) {
      let result = unsafe reserve(id, hot.pointee.mail.gates.gate(id.slot))
      if result != .accepted { return refused(id, result) }
    }
    let block = messages.allocate(count: bytes.count)
    if let start = bytes.baseAddress {
      unsafe block.header.pointee.bytes.copyMemory(from: start, byteCount: bytes.count)
    }
    unsafe block.header.pointee.target = id
    unsafe block.header.pointee.tag = tag
    unsafe block.header.pointee.priority = priority
    unsafe block.header.pointee.arrived = UInt32(truncatingIfNeeded: hot.pointee.tick)
    unsafe enqueue(block, id.slot, state)
    return .accepted
  }

  /// The same of a large one, which lies in a block and is not copied.
  package func deliver(
    _ bytes: UnsafeRawBufferPointer, of holder: MessageBlock, tag: UInt64, to id: MailboxID,
    priority: UInt8
  ) -> SendResult {
    guard id.node == 0 else { return .closed }
    MessageBlock.retain(holder)
    let block = unsafe messages.allocate(slice: bytes, of: holder)
    unsafe block.header.pointee.tag = tag
    let result = Self.send(block, to: id, priority: priority)
    if result != .accepted { MessageBlock.release(block) }
    return result
  }

  @inline(never)
  private func refused(_ id: MailboxID, _ result: SendResult) -> SendResult {
    if result == .full { MailboxGates.place(id)?.countRefusals() }
    return result
  }

  @inline(never)
  private func deliverElsewhere(
    _ bytes: UnsafeRawBufferPointer, _ tag: UInt64, _ id: MailboxID, _ priority: UInt8
  ) -> SendResult {
    // Nothing goes from node to node in more than one hop.
    guard id.node == 0, id.loop != number else { return .closed }
    let block = messages.allocate(count: bytes.count)
    if let start = bytes.baseAddress {
      unsafe block.header.pointee.bytes.copyMemory(from: start, byteCount: bytes.count)
    }
    unsafe block.header.pointee.tag = tag
    let result = Self.send(block, to: id, priority: priority)
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
