/// The algorithm of an unbounded queue of intrusive nodes from any threads to one: ``MailboxCore``
/// that can be closed.
///
/// The word holds the newest node, and in its lowest bit, which no address has, that it is closed.
/// So a push and the close are exchanges of one word: the push comes first and is delivered, or
/// finds the bit and is refused.
///
/// Who may call: any thread pushes and closes, one thread takes.
///
/// Which orders pair: `push` exchanges with release after it has written the node, `take` with
/// acquire; later pushes are exchanges upon the earlier ones and carry their release along.
public struct UnboundedQueueCore<Memory: AtomicMemory> {
  @usableFromInline static var newest: Int { 0 }
  @usableFromInline static var closed: UInt { 1 }

  @usableFromInline let memory: Memory

  @inlinable @inline(__always)
  public init(memory: Memory) { self.memory = memory }

  /// `false` when it is closed. `node` is aligned to 8 bytes; its first word is the queue's.
  @inlinable @inline(__always)
  public func push(_ node: UInt) -> Bool {
    var newest = memory.loadRelaxed(Self.newest)
    while newest & Self.closed == 0 {
      memory.writeLink(of: node, to: newest)
      let found = memory.compareExchangeRelease(Self.newest, newest, node)
      if found == newest { return true }
      newest = found
    }
    return false
  }

  /// What `take` answers when nothing is left and nothing will come; no node is there.
  @inlinable public static var end: UInt { closed }

  /// Takes all nodes: the oldest, linked on to the newest, whose link is 0. When there is none, 0
  /// or ``end``.
  @inlinable @inline(__always)
  public func take() -> UInt {
    var newest = memory.loadRelaxed(Self.newest)
    while newest & ~Self.closed != 0 {
      let found = memory.compareExchangeSequential(Self.newest, newest, newest & Self.closed)
      if found == newest { break }
      newest = found
    }
    if newest == Self.closed { return Self.end }
    var node = newest & ~Self.closed
    var oldest: UInt = 0
    while node != 0 {
      let older = memory.readLink(of: node)
      memory.writeLink(of: node, to: oldest)
      oldest = node
      node = older
    }
    return oldest
  }

  /// Idempotent.
  @inlinable
  public func close() {
    var newest = memory.loadRelaxed(Self.newest)
    while newest & Self.closed == 0 {
      let found = memory.compareExchangeSequential(
        Self.newest, newest, newest | Self.closed)
      if found == newest { return }
      newest = found
    }
  }
}

extension UnboundedQueueCore: Sendable where Memory: Sendable {}
