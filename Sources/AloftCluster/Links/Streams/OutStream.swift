import AloftQueue

/// What is sent on a stream, and what waits to be. A cache line.
///
/// Messages that don't go out at once are blocks, linked through their headers; a block's `tag` has
/// the number, type and kind (``Waiting``). Of an acknowledged stream those that were sent stay in
/// front, until the peer has them.
@safe
struct OutStream {
  /// Of the next message.
  var sequence: UInt64 = 1
  /// Bytes that may still be sent; and, to hold the peer's word against, bytes that were sent since
  /// the link came up.
  var credit = 0
  var sent: UInt64 = 0
  var first: UInt = 0
  var last: UInt = 0
  /// The first that has not been sent whole; 0 when all have.
  var next: UInt = 0
  /// Of all blocks.
  var queuedBytes: UInt32 = 0
  /// Bytes of `next` that have been sent, when it travels in fragments.
  var offset: UInt32 = 0
  /// Fragment bytes that the peer has not consumed.
  var fragmentBytes: UInt32 = 0
  /// In the ring of streams that have something to send.
  var isActive = false
  /// A send was answered `wouldBlock`.
  var isAwaited = false
  /// The peer's reassembly has been charged for `next`.
  var isCharged = false

  /// Whether a message may go straight out.
  @inline(__always)
  var isClear: Bool { first == 0 }
}

/// A block that waits on a stream.
struct Waiting {
  let block: MessageBlock

  init(_ block: MessageBlock) { self.block = block }

  init?(address: UInt) {
    guard let header = unsafe UnsafeMutablePointer<MessageBlock.Header>(bitPattern: address) else {
      return nil
    }
    unsafe block = MessageBlock(header)
  }

  var address: UInt { unsafe UInt(bitPattern: block.header) }
  /// Bytes that stand before the block's own, if those lie elsewhere: the extension of a post.
  var leadBytes: Int { unsafe block.header.pointee.region == 0 ? 0 : 16 }
  var lead: UnsafeMutableRawPointer { unsafe block.address + MessageBlock.headerBytes }
  /// Of all that goes on the wire behind the header.
  var count: Int { unsafe leadBytes + Int(block.header.pointee.count) }
  /// Who holds the block's bytes.
  var holder: MessageBlock {
    unsafe block.header.pointee.region == 0
      ? block : MessageBlock(address: block.header.pointee.region)
  }

  var next: UInt {
    get { unsafe block.header.pointee.link }
    nonmutating set { unsafe block.header.pointee.link = newValue }
  }

  var sequence: UInt64 { unsafe block.header.pointee.tag >> 16 }
  var type: RecordType {
    unsafe RecordType(rawValue: UInt8(truncatingIfNeeded: block.header.pointee.tag >> 8))
      ?? .message
  }
  var kind: UInt8 { unsafe UInt8(truncatingIfNeeded: block.header.pointee.tag) }

  /// So many messages: of a block of posts, one for each time that it grew.
  var messages: Int { type == .posts ? unsafe Int(block.header.pointee.arrived) : 1 }

  /// A block of posts has one more.
  func grow(by bytes: Int) {
    unsafe block.header.pointee.count &+= UInt32(truncatingIfNeeded: bytes)
    unsafe block.header.pointee.arrived &+= 1
  }

  func name(_ type: RecordType, kind: UInt8, sequence: UInt64) {
    unsafe block.header.pointee.tag = sequence << 16 | UInt64(type.rawValue) << 8 | UInt64(kind)
    unsafe block.header.pointee.link = 0
  }
}

extension OutStream {
  /// Puts a block behind the others.
  mutating func append(_ waiting: Waiting) {
    if let end = Waiting(address: last) {
      end.next = waiting.address
    } else {
      first = waiting.address
    }
    last = waiting.address
    if next == 0 { next = waiting.address }
    queuedBytes += UInt32(waiting.count)
  }

  /// Takes the foremost block away.
  mutating func removeFirst() -> Waiting? {
    guard let waiting = Waiting(address: first) else { return nil }
    first = waiting.next
    if first == 0 { last = 0 }
    if next == waiting.address { next = first }
    queuedBytes -= UInt32(waiting.count)
    return waiting
  }

  /// A new link: what was sent on the old one counts no more.
  mutating func begin(credit: Int) {
    self.credit = credit
    sent = 0
    offset = 0
    fragmentBytes = 0
    isActive = false
    isCharged = false
    isAwaited = false
    next = first
  }
}
