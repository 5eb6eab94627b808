extension MessageBlock {
  /// A block with a header of its own for the same bytes: one that can be queued beside the other.
  /// The bytes are read-only, as those of any message to which there are several references.
  public static func envelope(of block: MessageBlock) -> MessageBlock {
    let envelope = allocate(count: 0)
    retain(block)
    unsafe envelope.header.pointee.bytes = unsafe block.header.pointee.bytes
    unsafe envelope.header.pointee.count = unsafe block.header.pointee.count
    unsafe envelope.header.pointee.tag = unsafe block.header.pointee.tag
    unsafe envelope.header.pointee.region = unsafe UInt(bitPattern: block.header)
    return envelope
  }
}
