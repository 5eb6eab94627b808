/// The nodes of all ``BindingListCore`` of a registry: 16 bytes each, known by an index of 32 bits.
///
/// Memory is taken in blocks, each twice as large as the one before, which are never moved and
/// freed by `deinit` alone. So a node's memory stays readable for ever, and nothing stops while the
/// pool grows: fresh nodes are carved off 64 at a time, and the system provides their pages as they
/// are first touched.
///
/// **Threads**: any. Free nodes lie on several stacks (``NodeStackCore``), of which each caller
/// names one, so that threads seldom meet on one.
@safe
public final class BindingPool: Sendable {
  /// Any thread. The nodes' memory, for the lists.
  @frozen
  public struct Nodes: BindingNodes, Sendable {
    @usableFromInline let table: HardwareMemory

    @inlinable init(table: HardwareMemory) { self.table = table }

    @inlinable @inline(__always)
    public func memory(of node: UInt) -> HardwareMemory {
      let (block, offset) = BindingPool.place(node)
      let base = unsafe UnsafeMutableRawPointer(bitPattern: table.loadAcquire(block))
      return unsafe HardwareMemory(base: base.unsafelyUnwrapped).advanced(by: offset &* 2)
    }
  }

  /// Stacks of free nodes, a power of 2.
  @inlinable public static var stacks: Int { 8 }
  /// Nodes in the first block, as a power of 2.
  @inlinable static var firstBits: Int { 10 }
  /// Blocks at most: indices have 32 bits.
  private static let blocksMax = 32 - firstBits
  /// Nodes that are carved off together.
  private static let carved: UInt = 64
  private static let nodeBytes = 16

  // The words of the head: the blocks' addresses, how many nodes were carved, the stacks.
  private static let carvedWord = 32
  private static let stackWord = 48
  private let head = WordBlock(words: stackWord + stacks * MemoryLine.words)

  public init() {}

  deinit {
    for block in 0..<Self.blocksMax {
      let address = head.memory.loadAcquire(block)
      unsafe UnsafeMutableRawPointer(bitPattern: address)?.deallocate()
    }
  }

  public var nodes: Nodes { Nodes(table: head.memory) }

  /// Any thread. A node whose words are undefined; 0 when all 2^32 are in use or the memory of a
  /// block can't be had.
  public func allocate(stack: Int) -> UInt {
    let free = self.stack(stack)
    let node = free.pop()
    return node != 0 ? node : carve(free)
  }

  /// Any thread. Gives nodes back that are linked from `first` to `last`.
  public func free(first: UInt, last: UInt, stack: Int) {
    self.stack(stack).push(first: first, last: last)
  }

  /// Bytes that were carved so far.
  public var bytes: Int { Int(head.memory.loadRelaxed(Self.carvedWord)) * Self.nodeBytes }

  private func stack(_ index: Int) -> NodeStackCore<Nodes> {
    let word = Self.stackWord + (index & (Self.stacks - 1)) * MemoryLine.words
    return NodeStackCore(memory: head.memory.advanced(by: word), nodes: nodes)
  }

  /// Block and offset of a node: blocks double, so the position of the highest bit names it.
  @inlinable @inline(__always)
  static func place(_ node: UInt) -> (block: Int, offset: Int) {
    let shifted = node &+ (1 &<< UInt(firstBits)) &- 1
    let block = UInt.bitWidth &- 1 &- firstBits &- shifted.leadingZeroBitCount
    return (block, Int(bitPattern: shifted &- 1 &<< UInt(firstBits &+ block)))
  }

  private func carve(_ free: NodeStackCore<Nodes>) -> UInt {
    let memory = head.memory
    while true {
      let taken = memory.loadRelaxed(Self.carvedWord)
      let first = taken + 1
      let last = taken + Self.carved
      guard last < 1 << 32, hasBlock(Self.place(first).block) else { return 0 }
      let found = memory.compareExchangeSequential(Self.carvedWord, taken, last)
      if found != taken { continue }
      for node in (first + 1)..<last { nodes.memory(of: node).storeRelaxed(1, node + 1) }
      free.push(first: first + 1, last: last)
      return first
    }
  }

  private func hasBlock(_ block: Int) -> Bool {
    guard head.memory.loadAcquire(block) == 0 else { return true }
    let bytes = Self.nodeBytes << (Self.firstBits + block)
    let fresh = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    let address = UInt(bitPattern: fresh)
    if head.memory.compareExchangeSequential(block, 0, address) != 0 {
      unsafe fresh.deallocate()
    }
    return true
  }
}
