/// The algorithm of ``MailboxWord``: a stack of intrusive nodes in one word.
///
/// Treiber's stack (1986) without its pop: the owner takes everything with one exchange and
/// turns it around. Because no single node is ever popped, a head that went away and came back
/// is as good as one that stayed, and there is no ABA.
///
/// Who may call: `push` any thread, `drain` the owner.
///
/// Which orders pair: `push` exchanges with release after it has written the node, `drain` with
/// acquire. A later push is an exchange upon the earlier one and so carries its release along:
/// the drainer that reads the last sees what all of them wrote.
public struct MailboxCore<Memory: AtomicMemory> {
  @usableFromInline static var head: Int { 0 }

  @usableFromInline let memory: Memory

  @inlinable @inline(__always)
  public init(memory: Memory) {
    self.memory = memory
  }

  /// `true` when the mailbox was empty: the caller, and it alone, has to schedule the owner.
  @inlinable @inline(__always)
  public func push(_ node: UInt) -> Bool {
    var head = memory.loadRelaxed(Self.head)
    while true {
      memory.writeLink(of: node, to: head)
      let found = memory.compareExchangeRelease(Self.head, head, node)
      if found == head { return head == 0 }
      head = found
    }
  }

  /// Takes all nodes: the oldest, linked on to the newest, whose link is 0; 0 when there is none.
  @inlinable @inline(__always)
  public func drain() -> UInt {
    var node = memory.exchangeAcquire(Self.head, 0)
    var oldest: UInt = 0
    while node != 0 {
      let older = memory.readLink(of: node)
      memory.writeLink(of: node, to: oldest)
      oldest = node
      node = older
    }
    return oldest
  }
}

extension MailboxCore: Sendable where Memory: Sendable {}
