/// Memory that a brick owns: whole lines, aligned to a line, zeroed, freed at the end.
///
/// Whoever owns the block owns the end of it: no thread may still be inside an operation then.
@safe
public struct WordBlock: ~Copyable, @unchecked Sendable {
  // Sendable: the address is set once, and freed by the one owner.
  @usableFromInline let base: UnsafeMutableRawPointer
  let bytes: Int

  public init(words: Int) {
    bytes = MemoryLine.roundedUp(words) * MemoryLayout<UInt>.stride
    let fresh = UnsafeMutableRawPointer.allocate(
      byteCount: bytes, alignment: MemoryLine.bytes)
    // Zeroes are also the initial state of `Atomic<UInt>`, which has nothing to tear down.
    unsafe fresh.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    unsafe self.base = unsafe fresh
  }

  deinit {
    unsafe base.deallocate()
  }

  @inlinable @inline(__always)
  public var memory: HardwareMemory { unsafe HardwareMemory(base: base) }
}
