public import Synchronization

/// Bytes on their way: one reference to a counted block, which is given back when it ends.
///
/// Whoever has a `Message` owns it: sending consumes it, dropping it releases it. To keep it and
/// pass it on as well, `share()` it; the bytes are then nobody's to change. Passing one costs
/// nothing.
@frozen
public struct Message: ~Copyable, Sendable {
  public let block: MessageBlock

  /// Takes over a reference that the caller holds.
  @inlinable @inline(__always)
  public init(adopting block: MessageBlock) { self.block = block }

  deinit { MessageBlock.release(block) }

  /// Hands the reference to the caller, who owes its release.
  @inlinable @inline(__always)
  public consuming func take() -> MessageBlock {
    let block = self.block
    discard self
    return block
  }

  @inlinable public var count: Int { unsafe Int(block.header.pointee.count) }

  /// Another message of the same bytes, which are read-only from then on. It has a header of its
  /// own, for whoever queues it; up to `copiedBySharingMax` bytes are copied with it, more are
  /// referred to, which costs an atomic addition, and a subtraction when it ends.
  public borrowing func share() -> Message {
    let count = self.count
    let other: MessageBlock
    if count <= Self.copiedBySharingMax {
      other = MessageBlock.allocate(count: count)
      unsafe other.header.pointee.bytes.copyMemory(
        from: block.header.pointee.bytes, byteCount: count)
    } else {
      let region = unsafe block.header.pointee.region
      let holder =
        unsafe region == 0
        ? block : MessageBlock(UnsafeMutablePointer(bitPattern: region).unsafelyUnwrapped)
      MessageBlock.retain(holder)
      other = MessageBlock.allocate(count: 0)
      unsafe other.header.pointee.bytes = block.header.pointee.bytes
      unsafe other.header.pointee.count = UInt32(truncatingIfNeeded: count)
      unsafe other.header.pointee.region = UInt(bitPattern: holder.header)
    }
    unsafe other.header.pointee.priority = block.header.pointee.priority
    unsafe other.header.pointee.tag = block.header.pointee.tag
    return Message(adopting: other)
  }

  /// To copy so many bytes costs less than two locked instructions, one of them elsewhere.
  @inlinable public static var copiedBySharingMax: Int { 256 }

  /// The bytes. Whoever has the message may read them for as long as it has it.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    borrowing get {
      let span = unsafe RawSpan(
        _unsafeStart: block.header.pointee.bytes, byteCount: Int(block.header.pointee.count))
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The sender's to use: a kind, a number to answer to. 0 at first. It goes with this message, and
  /// not with the bytes: messages that share them have a tag each.
  @inlinable public var tag: UInt64 {
    get { unsafe block.header.pointee.tag }
    set { unsafe block.header.pointee.tag = newValue }
  }

  /// The bytes, for as long as `body` runs.
  @inlinable
  public borrowing func withUnsafeBytes<Value, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    unsafe try body(
      UnsafeRawBufferPointer(
        start: block.header.pointee.bytes, count: Int(block.header.pointee.count)))
  }
}

extension MessageBlock {
  /// A block with one reference and room for `count` bytes, which are not initialised: of the
  /// calling thread's ``MessagePool``, or from malloc on a thread without one.
  public static func allocate(count: Int) -> MessageBlock {
    let pool = MessagePool.currentAddress
    return pool != 0
      ? MessagePool(address: pool).allocate(count: count) : allocateLarge(count: count)
  }

  /// From malloc, for what no pool has blocks.
  static func allocateLarge(count: Int) -> MessageBlock {
    precondition(count >= 0 && count <= UInt32.max, "a message of \(count) bytes")
    let raw = UnsafeMutableRawPointer.allocate(
      byteCount: headerBytes + count, alignment: headerBytes)
    let header = unsafe raw.bindMemory(to: Header.self, capacity: 1)
    unsafe header.initialize(
      to: Header(
        link: 0, target: MailboxID(rawValue: 0), bytes: raw + headerBytes, count: UInt32(count),
        priority: 1, sizeClass: 0, index: 0, pool: 0, region: 0, references: 1, arrived: 0,
        tag: 0))
    return unsafe MessageBlock(header)
  }

  @inlinable
  public static func retain(_ block: MessageBlock, times: UInt32 = 1) {
    _ = unsafe block.references.pointee.wrappingAdd(times, ordering: .relaxed)
  }

  /// Gives one reference back; the last frees the block. Releases what was read before to whoever
  /// uses the memory next, and so acquires before it frees. Any thread.
  @inlinable @inline(__always)
  public static func release(_ block: MessageBlock) {
    // Alone: nobody else can come to hold a reference, so no locked instruction is needed.
    if unsafe block.references.pointee.load(ordering: .acquiring) != 1 {
      if !dropShared(block, times: 1) { return }
    }
    free(block)
  }

  /// Takes references off a block that has more than one; `true` when none is left.
  @inlinable @inline(never)
  public static func dropShared(_ block: MessageBlock, times: UInt32) -> Bool {
    unsafe block.references.pointee
      .wrappingSubtract(times, ordering: .acquiringAndReleasing).newValue == 0
  }

  /// Takes the memory back to where it came from, and the reference to what holds the bytes.
  public static func free(_ block: MessageBlock) {
    if unsafe block.header.pointee.region != 0 {
      release(
        unsafe MessageBlock(
          UnsafeMutablePointer(bitPattern: block.header.pointee.region).unsafelyUnwrapped))
    }
    let owner = unsafe block.header.pointee.pool
    let current = MessagePool.currentAddress
    if owner == 0 {
      unsafe block.address.deallocate()
    } else if owner == current {
      MessagePool(address: owner).free(block)
    } else if current != 0 {
      MessagePool(address: current).keep(block, of: owner)
    } else {
      block.scribble()
      let node = unsafe UInt(bitPattern: block.header)
      unsafe block.header.pointee.count = 0
      MessagePool(address: owner).put(first: node, last: node, count: 1)
    }
  }

  /// On its way back to its owner: blocks that go with this one. The owner comes to all of them at
  /// once, where a link from each to the next would have it wait for one after the other.
  @inline(__always)
  var carriedAddresses: UnsafeMutablePointer<UInt> {
    unsafe (address + Self.headerBytes).assumingMemoryBound(to: UInt.self)
  }

  /// While testing, whoever still reads a freed message reads this.
  @inline(__always)
  func scribble() {
    #if DEBUG
      unsafe (address + Self.headerBytes).initializeMemory(
        as: UInt8.self, repeating: 0xDD, count: 64)
    #endif
  }
}

extension MessagePool {
  private static let threadPool = Atomic<UInt>(0)

  /// Once, before the first pool: how to find the pool of the calling thread, its address or 0. The
  /// engine knows threads, this module doesn't.
  public static func findPools(by function: @convention(c) () -> UInt) {
    threadPool.store(unsafe unsafeBitCast(function, to: UInt.self), ordering: .releasing)
  }

  /// The address of the calling thread's pool; 0 when it has none.
  @inline(__always)
  static var currentAddress: UInt {
    let word = threadPool.load(ordering: .acquiring)
    guard word != 0 else { return 0 }
    return unsafe unsafeBitCast(word, to: (@convention(c) () -> UInt).self)()
  }

  /// The owner: a message of the bytes, which lie in `region`. Takes over one reference to that.
  @inline(__always)
  public func allocate(
    slice bytes: UnsafeRawBufferPointer, of region: MessageBlock
  ) -> MessageBlock {
    let block = allocate(count: 0)
    unsafe block.header.pointee.bytes = unsafe UnsafeMutableRawPointer(
      mutating: bytes.baseAddress.unsafelyUnwrapped)
    unsafe block.header.pointee.count = UInt32(truncatingIfNeeded: bytes.count)
    unsafe block.header.pointee.region = UInt(bitPattern: region.header)
    return block
  }
}
