extension MessageBlock {
  /// A block of its own header for the same bytes: one that can be queued beside the other.
  public static func envelope(of block: MessageBlock) -> MessageBlock {
    let count = unsafe Int(block.header.pointee.count)
    let copy = allocate(count: count)
    unsafe copy.header.pointee.bytes.copyMemory(
      from: block.header.pointee.bytes, byteCount: count)
    unsafe copy.header.pointee.tag = unsafe block.header.pointee.tag
    return copy
  }
}
