package import AloftQueue

/// A message for a mailbox of the peer's.
@safe
package struct Post {
  /// As its own node names it.
  package var mailbox: UInt64
  package var tag: UInt64
  /// 0, served first, to 3.
  package var priority: UInt8
  /// In place, good until the call returns that it was handed to.
  package var bytes: UnsafeRawBufferPointer
  /// What the bytes lie in, if that may be referred to for longer.
  package var holder: MessageBlock?

  package init(
    mailbox: UInt64, tag: UInt64, priority: UInt8, _ bytes: UnsafeRawBufferPointer,
    holder: MessageBlock? = nil
  ) {
    self.mailbox = mailbox
    self.tag = tag
    self.priority = priority
    self.holder = holder
    unsafe self.bytes = unsafe bytes
  }
}

/// What stands before each message of a `posts` record, little-endian:
///
///     [ length 2 ][ flags 1 ][ 0 ][ mailbox 8, if it is another than before ][ tag 8, if not 0 ]
///
/// The flags have the priority in their lowest two bits.
enum PostHeader {
  static let bytes = 4
  /// With all that there may be.
  static let bytesMax = 20
  static let hasMailbox: UInt8 = 4
  static let hasTag: UInt8 = 8
  /// Bytes of a message, which its length says in 16 bits.
  static let messageMax = 0xFFFF

  /// Writes what stands before a message; answers behind what it ends.
  @inline(__always)
  static func store(
    _ post: Post, namesMailbox: Bool, to memory: UnsafeMutableRawPointer
  ) -> UnsafeMutableRawPointer {
    var flags = post.priority & 3
    var end = unsafe memory + bytes
    if namesMailbox {
      flags |= hasMailbox
      unsafe end.storeBytes(of: post.mailbox.littleEndian, as: UInt64.self)
      unsafe end += 8
    }
    if post.tag != 0 {
      flags |= hasTag
      unsafe end.storeBytes(of: post.tag.littleEndian, as: UInt64.self)
      unsafe end += 8
    }
    let word = unsafe UInt32(truncatingIfNeeded: post.bytes.count) | UInt32(flags) << 16
    unsafe memory.storeBytes(of: word.littleEndian, as: UInt32.self)
    return unsafe end
  }
}

/// Takes a `posts` record apart, one message after the other.
@safe
package struct PostReader {
  private var at: UnsafeRawPointer?
  private let end: UnsafeRawPointer?
  private var mailbox: UInt64 = 0
  private var hasMailbox = false
  /// A message that came by itself.
  private var single: Post?
  /// So many have been read.
  package private(set) var count = 0
  /// What comes next is none.
  package private(set) var isBroken = false

  package init(_ body: UnsafeRawBufferPointer) {
    unsafe at = body.baseAddress
    unsafe end = body.baseAddress.map { unsafe $0 + body.count }
  }

  package init(_ post: Post) {
    unsafe at = nil
    unsafe end = nil
    single = post
  }

  /// The next one; nil at the end, and where what comes is broken.
  @inline(__always)
  package mutating func next() -> Post? {
    guard let start = unsafe at, let end = unsafe end, unsafe start < end else {
      return takeSingle()
    }
    guard unsafe end - start >= PostHeader.bytes else { return broken() }
    let word = unsafe UInt32(littleEndian: start.loadUnaligned(as: UInt32.self))
    let flags = UInt8(truncatingIfNeeded: word &>> 16)
    let length = Int(word & 0xFFFF)
    // What no version says may mean something to the next.
    guard word &>> 20 == 0 else { return broken() }
    var next = unsafe start + PostHeader.bytes
    if flags & PostHeader.hasMailbox != 0 {
      guard unsafe end - next >= 8 else { return broken() }
      mailbox = unsafe UInt64(littleEndian: next.loadUnaligned(as: UInt64.self))
      hasMailbox = true
      unsafe next += 8
    }
    var tag: UInt64 = 0
    if flags & PostHeader.hasTag != 0 {
      guard unsafe end - next >= 8 else { return broken() }
      tag = unsafe UInt64(littleEndian: next.loadUnaligned(as: UInt64.self))
      unsafe next += 8
    }
    guard hasMailbox, unsafe end - next >= length else { return broken() }
    unsafe at = next + length
    count &+= 1
    return unsafe Post(
      mailbox: mailbox, tag: tag, priority: flags & 3,
      UnsafeRawBufferPointer(start: next, count: length))
  }

  @inline(never)
  private mutating func broken() -> Post? {
    isBroken = true
    unsafe at = nil
    return nil
  }

  private mutating func takeSingle() -> Post? {
    guard let post = single else { return nil }
    single = nil
    count = 1
    return post
  }
}
