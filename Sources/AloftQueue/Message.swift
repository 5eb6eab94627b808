public import Synchronization

/// Bytes on their way: one reference to a counted block, which is given back when it ends.
///
/// Whoever has a `Message` owns it: sending consumes it, dropping it releases it. To keep it and
/// pass it on as well, `share()` it; the bytes are then nobody's to change. Passing one costs
/// nothing, sharing one an atomic addition.
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

  /// Another reference to the same bytes. They are read-only from then on.
  @inlinable
  public borrowing func share() -> Message {
    MessageBlock.retain(block)
    return Message(adopting: block)
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
  /// A block from malloc with room for `count` bytes, which are not initialised.
  public static func allocate(count: Int) -> MessageBlock {
    precondition(count >= 0 && count <= UInt32.max, "a message of \(count) bytes")
    let raw = UnsafeMutableRawPointer.allocate(
      byteCount: headerBytes + count, alignment: headerBytes)
    let header = unsafe raw.bindMemory(to: Header.self, capacity: 1)
    unsafe header.initialize(
      to: Header(
        link: 0, target: MailboxID(rawValue: 0), bytes: raw + headerBytes, count: UInt32(count),
        priority: 1, sizeClass: 0, reserved: 0, pool: 0, region: 0, references: 1, arrived: 0,
        tag: 0))
    return unsafe MessageBlock(header)
  }

  @inlinable
  public static func retain(_ block: MessageBlock) {
    _ = unsafe block.references.pointee.wrappingAdd(1, ordering: .relaxed)
  }

  /// Gives one reference back; the last frees the block. Releases what was read before to whoever
  /// uses the memory next, and so acquires before it frees.
  @inlinable
  public static func release(_ block: MessageBlock) {
    // Alone: nobody else can come to hold a reference, so no locked instruction is needed.
    if unsafe block.references.pointee.load(ordering: .acquiring) != 1 {
      let left = unsafe block.references.pointee
        .wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue
      if left != 0 { return }
    }
    free(block)
  }

  @usableFromInline
  static func free(_ block: MessageBlock) { unsafe block.address.deallocate() }
}
