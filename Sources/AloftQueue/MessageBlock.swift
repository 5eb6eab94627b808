public import Synchronization

/// The memory of a message: a header of one cache line, then the bytes, or a reference to them.
///
/// A trivial value, one address. It counts nothing by itself: ``Message`` does, which owns one
/// reference. A block that waits somewhere is linked through its first word, so a mailbox or a ring
/// takes it as it is (``MailboxWord``). The bytes may be read by whoever holds a reference and
/// written by nobody once there are two.
@frozen
@safe
public struct MessageBlock: @unchecked Sendable, Equatable {
  // Sendable: an address alone; who may touch what stands at each field.

  /// One cache line. Bytes of a small message follow at once.
  @frozen
  @unsafe
  public struct Header {
    /// Whoever queues the block.
    public var link: UInt
    /// The mailbox that it is sent to.
    public var target: MailboxID
    /// Where the bytes lie: behind this header, or in `region`.
    public var bytes: UnsafeMutableRawPointer
    public var count: UInt32
    /// 0, served first, to 3.
    public var priority: UInt8
    /// What it was allocated as, for whoever frees it.
    public var sizeClass: UInt8
    /// The block's place in the memory that it was cut from, likewise.
    public var index: UInt16
    /// Whose memory the block is; 0 when it came from malloc.
    public var pool: UInt
    /// What holds the bytes when they lie elsewhere; 0 when they follow this header.
    public var region: UInt
    public var references: UInt32
    /// The receiving loop's clock at arrival, in milliseconds, cut to 32 bits.
    public var arrived: UInt32
    /// The sender's to use: a kind, a number to answer to.
    public var tag: UInt64
  }

  @inlinable public static var headerBytes: Int { 64 }

  public let header: UnsafeMutablePointer<Header>

  @inlinable @inline(__always)
  public init(_ header: UnsafeMutablePointer<Header>) { unsafe self.header = unsafe header }

  @inlinable @inline(__always)
  public var address: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(header) }

  @inlinable @inline(__always)
  public var references: UnsafeMutablePointer<Atomic<UInt32>> {
    unsafe (address + 48).assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  @inlinable @inline(__always)
  public static func == (a: MessageBlock, b: MessageBlock) -> Bool {
    unsafe a.header == b.header
  }
}
