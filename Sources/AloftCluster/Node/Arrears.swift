import AloftEngine
import AloftQueue

/// Messages of one peer's that have come for loops which have as many on their way as they take.
///
/// They wait here, in order, and all that the peer sends meanwhile behind them. It gets no credit
/// until they are through, so that no more than the stream's credit comes.
@safe
final class Arrears {
  let peer: LinkPeer
  private var blocks: [MessageBlock] = []
  private var first = 0

  init(_ peer: LinkPeer) { self.peer = peer }

  deinit { for block in blocks[first...] { MessageBlock.release(block) } }

  func append(_ post: Post) {
    let block = unsafe EventLoop.newMessage(copying: post.bytes)
    unsafe block.header.pointee.target = MailboxID(rawValue: post.mailbox)
    unsafe block.header.pointee.tag = post.tag
    unsafe block.header.pointee.priority = post.priority
    blocks.append(block)
  }

  /// Sends what there is room for; answers whether nothing is left.
  func send(dropped: inout UInt64) -> Bool {
    while first < blocks.count {
      let block = blocks[first]
      let result = unsafe EventLoop.send(
        block, to: block.header.pointee.target, priority: block.header.pointee.priority)
      if result == .busy { return false }
      if result != .accepted {
        MessageBlock.release(block)
        dropped += 1
      }
      first += 1
    }
    blocks = []
    first = 0
    return true
  }
}

extension ClusterNode {
  /// What comes for mailboxes here.
  package func posted(_ peer: LinkPeer, stream: UInt16, _ posts: inout PostReader) {
    let loop = loop
    defer { unsafe counts.pointee.messagesIn &+= UInt64(posts.count) }
    if !arrears.isEmpty, let waiting = arrears[ObjectIdentifier(peer)] {
      return takeAll(&posts, into: waiting)
    }
    while let post = posts.next() {
      let id = MailboxID(rawValue: post.mailbox)
      let result =
        if let holder = post.holder {
          unsafe loop.deliver(
            post.bytes, of: holder, tag: post.tag, to: id, priority: post.priority)
        } else {
          unsafe loop.deliver(
            copying: post.bytes, tag: post.tag, to: id, priority: post.priority)
        }
      if result == .accepted { continue }
      if result == .busy { return fallBehind(peer, stream, post, &posts) }
      unsafe counts.pointee.messagesDropped += 1
    }
  }

  private func takeAll(_ posts: inout PostReader, into waiting: Arrears) {
    while let post = posts.next() { waiting.append(post) }
  }

  private func fallBehind(
    _ peer: LinkPeer, _ stream: UInt16, _ post: Post, _ posts: inout PostReader
  ) {
    let waiting = Arrears(peer)
    waiting.append(post)
    takeAll(&posts, into: waiting)
    if arrears.isEmpty { catchUpLater() }
    arrears[ObjectIdentifier(peer)] = waiting
    links.holdCredit(of: peer, stream: stream)
  }

  /// Messages are on their way by the ten thousands: some of them arrive within a tick.
  private func catchUpLater() {
    _ = loop.startTimer(afterMilliseconds: 1, period: 0, beyondLimit: true) { self.catchUp() }
  }

  private func catchUp() {
    if isStopped { arrears = [:] }
    for (key, waiting) in arrears {
      guard unsafe waiting.send(dropped: &counts.pointee.messagesDropped) else { continue }
      arrears[key] = nil
      links.giveCredit(to: waiting.peer, stream: NodeStream.messages, bytes: nil)
    }
    if !arrears.isEmpty { catchUpLater() }
  }
}
