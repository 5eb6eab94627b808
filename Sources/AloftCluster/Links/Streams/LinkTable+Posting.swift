import AloftEngine
import AloftQueue

/// Messages for mailboxes of a peer's.
///
/// Small ones are written one behind the other into a record that stays open for more: in the
/// staging block while the stream has credit and nothing is in the way, else in a block that waits
/// its turn. So a message costs a copy, four bytes on the wire, and no block of its own.
extension LinkTable {
  /// Bytes of such a record behind its header: a block of them is 16 KiB in all.
  static let postsMax = (16 << 10) - MessageBlock.headerBytes - RecordHeader.bytes

  /// Sends a message for a mailbox. The bytes are the caller's again when this returns. On streams
  /// at most once alone.
  @inline(__always)
  package func post(to peer: LinkPeer, stream: UInt16, _ post: Post) -> LinkSendResult {
    unsafe self.post(peer.state, stream, post)
  }

  @inline(__always)
  func post(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16, _ post: Post
  ) -> LinkSendResult {
    let stream = unsafe state.pointee.out.find(number)
    let staged = unsafe state.pointee.staged
    let namesMailbox = unsafe state.pointee.openMailbox != post.mailbox
    let size = Self.size(post, namesMailbox: namesMailbox)
    guard unsafe staged == state.pointee.openEnd && staged &+ size <= state.pointee.openMax,
      unsafe state.pointee.openStream == number && stream.pointee.isClear,
      unsafe stream.pointee.credit >= size
    else { return unsafe postSlowly(state, number, stream, post) }
    unsafe append(state, stream, post, size, namesMailbox: namesMailbox)
    return .accepted
  }

  @inline(__always)
  private static func size(_ post: Post, namesMailbox: Bool) -> Int {
    unsafe PostHeader.bytes &+ post.bytes.count &+ (namesMailbox ? 8 : 0) &+ (post.tag != 0 ? 8 : 0)
  }

  /// Adds a message to the record that is open at the staging block's end.
  @inline(__always)
  private func append(
    _ state: UnsafeMutablePointer<PeerState>, _ stream: UnsafeMutablePointer<OutStream>,
    _ post: Post, _ size: Int, namesMailbox: Bool
  ) {
    let block = unsafe state.pointee.staging.unsafelyUnwrapped.header.pointee.bytes
    let end = unsafe state.pointee.staged &+ size
    unsafe Self.write(post, namesMailbox: namesMailbox, to: block + state.pointee.staged)
    let start = unsafe state.pointee.openStart
    let length = UInt32(truncatingIfNeeded: end &- start &- RecordHeader.bytes)
    unsafe block.storeBytes(of: length.littleEndian, toByteOffset: start, as: UInt32.self)
    unsafe state.pointee.openMailbox = post.mailbox
    unsafe state.pointee.staged = end
    unsafe state.pointee.openEnd = end
    unsafe stream.pointee.sequence &+= 1
    unsafe stream.pointee.credit &-= size
    unsafe stream.pointee.sent &+= UInt64(size)
    unsafe counts.pointee.messagesSent &+= 1
  }

  @inline(__always)
  private static func write(
    _ post: Post, namesMailbox: Bool, to memory: UnsafeMutableRawPointer
  ) {
    let body = unsafe PostHeader.store(post, namesMailbox: namesMailbox, to: memory)
    if let source = unsafe post.bytes.baseAddress {
      unsafe body.copyMemory(from: source, byteCount: post.bytes.count)
    }
  }

  @inline(never)
  private func postSlowly(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<OutStream>, _ post: Post
  ) -> LinkSendResult {
    precondition(!LinkStream.isAcknowledged(number), "posts are sent at most once")
    guard unsafe state.pointee.isUp else { return .noLink }
    let most = unsafe min(Self.postsMax, state.pointee.frameMax)
    let size = Self.size(post, namesMailbox: true)
    guard size <= most else {
      if let holder = post.holder { return unsafe postWhole(state, number, stream, post, holder) }
      return unsafe put(
        state, .post, number, post.priority & 3, (post.mailbox, post.tag), post.bytes)
    }
    let whole = RecordHeader.bytes + size
    guard unsafe stream.pointee.isClear && stream.pointee.credit >= whole,
      unsafe state.pointee.staged + whole <= state.pointee.stagingMax || hasRoom(state, whole)
    else { return unsafe postLater(state, number, stream, post, most) }
    unsafe open(state, number, stream, most)
    unsafe append(state, stream, post, size, namesMailbox: true)
    if unsafe !state.pointee.isDirty { unsafe makeDirty(state) }
    return .accepted
  }

  /// Begins a record at the staging block's end.
  private func open(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<OutStream>, _ most: Int
  ) {
    let start = unsafe state.pointee.staged
    let block = unsafe state.pointee.staging.unsafelyUnwrapped.header.pointee.bytes
    unsafe RecordHeader(.posts, stream: number, word: stream.pointee.sequence)
      .store(to: block + start)
    unsafe state.pointee.staged = start + RecordHeader.bytes
    unsafe state.pointee.openStart = start
    unsafe state.pointee.openStream = number
    unsafe state.pointee.openMax = min(
      start + RecordHeader.bytes + most, state.pointee.stagingMax)
    unsafe stream.pointee.credit -= RecordHeader.bytes
    unsafe stream.pointee.sent += UInt64(RecordHeader.bytes)
  }

  /// A large one, which lies in a block: it is sent from there.
  private func postWhole(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<OutStream>, _ post: Post, _ holder: MessageBlock
  ) -> LinkSendResult {
    guard unsafe post.bytes.count <= state.pointee.messageMax else { return .tooLarge }
    let queued = unsafe Int(stream.pointee.queuedBytes)
    guard unsafe queued == 0 || queued + post.bytes.count <= options.postsWaitingMax else {
      return unsafe refuse(state, number, stream)
    }
    let holder = Waiting(holder).holder
    MessageBlock.retain(holder)
    let waiting = Waiting(unsafe loop.messages.allocate(slice: post.bytes, of: holder))
    unsafe Self.store((post.mailbox, post.tag), .post, to: waiting.lead)
    unsafe waiting.name(.post, kind: post.priority & 3, sequence: stream.pointee.sequence)
    unsafe stream.pointee.sequence &+= 1
    unsafe counts.pointee.messagesSent += 1
    unsafe stream.pointee.append(waiting)
    unsafe activate(state, number, stream)
    return .accepted
  }

  // MARK: What has to wait

  /// There is no credit, or something is in the way: the message waits in a block with others.
  private func postLater(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<OutStream>, _ post: Post, _ most: Int
  ) -> LinkSendResult {
    if let open = unsafe state.pointee.waitingPosts, unsafe stream.pointee.last == open.address {
      let namesMailbox = unsafe state.pointee.waitingMailbox != post.mailbox
      let size = Self.size(post, namesMailbox: namesMailbox)
      guard unsafe Int(stream.pointee.queuedBytes) + size <= options.postsWaitingMax else {
        return unsafe refuse(state, number, stream)
      }
      if open.count + size <= most {
        unsafe add(state, stream, post, size, namesMailbox: namesMailbox, to: open)
        return .accepted
      }
    }
    let size = Self.size(post, namesMailbox: true)
    guard unsafe Int(stream.pointee.queuedBytes) + size <= options.postsWaitingMax else {
      return unsafe refuse(state, number, stream)
    }
    let fresh = Waiting(MessageBlock.allocate(count: most))
    unsafe fresh.block.header.pointee.count = 0
    unsafe fresh.name(.posts, kind: 0, sequence: stream.pointee.sequence)
    unsafe stream.pointee.append(fresh)
    unsafe state.pointee.waitingPosts = fresh
    unsafe add(state, stream, post, size, namesMailbox: true, to: fresh)
    unsafe activate(state, number, stream)
    return .accepted
  }

  private func add(
    _ state: UnsafeMutablePointer<PeerState>, _ stream: UnsafeMutablePointer<OutStream>,
    _ post: Post, _ size: Int, namesMailbox: Bool, to open: Waiting
  ) {
    unsafe Self.write(
      post, namesMailbox: namesMailbox, to: open.block.header.pointee.bytes + open.count)
    open.grow(by: size)
    unsafe state.pointee.waitingMailbox = post.mailbox
    unsafe stream.pointee.queuedBytes += UInt32(size)
    unsafe stream.pointee.sequence &+= 1
    unsafe counts.pointee.messagesSent &+= 1
  }

  /// Nothing is taken; `writable` follows.
  func refuse(
    _ state: UnsafeMutablePointer<PeerState>, _ number: UInt16,
    _ stream: UnsafeMutablePointer<OutStream>
  ) -> LinkSendResult {
    unsafe counts.pointee.wouldBlocks += 1
    if unsafe !stream.pointee.isAwaited {
      unsafe stream.pointee.isAwaited = true
      unsafe state.pointee.awaited.append(number)
    }
    return .wouldBlock
  }

  // MARK: What comes

  /// Many at once. On streams at most once alone, so what is missing was lost with the link before.
  func posts(
    _ peer: LinkPeer, _ state: UnsafeMutablePointer<PeerState>, _ header: RecordHeader,
    _ body: UnsafeRawBufferPointer
  ) -> WireFault? {
    let stream = unsafe state.pointee.inward.find(header.stream)
    if let fault = unsafe charge(stream, body.count) { return fault }
    if unsafe stream.pointee.assembly != nil { return .fragmentOrder }
    if LinkStream.isAcknowledged(header.stream) { return .misplaced }
    let expected = unsafe stream.pointee.expected
    if header.word != expected {
      guard header.word > expected, unsafe !stream.pointee.hasBegun else { return .sequenceGap }
      unsafe counts.pointee.lost += header.word - expected
    }
    unsafe stream.pointee.hasBegun = true
    var reader = unsafe PostReader(body)
    unsafe client.posted(peer, stream: header.stream, &reader)
    while reader.next() != nil {}
    unsafe stream.pointee.expected = header.word &+ UInt64(reader.count)
    unsafe counts.pointee.messagesReceived &+= UInt64(reader.count)
    if reader.isBroken || reader.count == 0 { return .length }
    unsafe settle(state, header.stream, stream, body.count)
    return nil
  }
}
