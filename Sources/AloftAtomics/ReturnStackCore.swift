/// Where any threads put back what one owner has lent out, and how the two part in the end: the
/// algorithm of message memory that is freed by threads which don't own it.
///
/// Two words: the newest of the nodes that came back, linked as in ``MailboxCore``, and, once the
/// owner has ended, how many nodes are still missing.
///
/// Who may call: `put` any thread, with nodes that it holds; `takeAll` and `end` the owner.
///
/// No node is ever popped alone, so a head that went away and came back does no harm (no ABA). A
/// thread's last access to the stack is the exchange that puts its nodes there: whoever sees the
/// nodes may free the stack itself, for nobody is on the way to it any more.
///
/// The end: the owner counts what is missing, writes the number down and exchanges an empty head
/// for `ended`, which releases the number and all that the owner wrote before. An exchange that
/// fails has met nodes that came back meanwhile; they are taken and what is missing is counted
/// anew. Who finds `ended` acquires it and takes its nodes off the number; each such step acquires
/// and releases, so the one that comes to 0 has seen all others' last use of their nodes, and is
/// the only one left to free everything.
///
/// Which orders pair: `put` exchanges with release, `takeAll` with acquire, as in ``MailboxCore``.
public struct ReturnStackCore<Memory: AtomicMemory> {
  @usableFromInline static var head: Int { 0 }
  @usableFromInline static var missing: Int { 1 }
  /// No node lies at an odd address.
  @usableFromInline static var ended: UInt { 1 }

  @inlinable public static var words: Int { 2 }

  @usableFromInline let memory: Memory

  /// `memory` has two words, 0 at first.
  @inlinable @inline(__always)
  public init(memory: Memory) {
    self.memory = memory
  }

  /// Any thread: gives back `count` nodes that are linked from `first` to `last`. `true` when the
  /// owner has ended and these were the last: the caller has to free everything. Otherwise
  /// neither the nodes nor the stack are the caller's to touch from here on.
  @inlinable @inline(__always)
  public func put(first: UInt, last: UInt, count: UInt) -> Bool {
    var head = memory.loadRelaxed(Self.head)
    while head != Self.ended {
      memory.writeLink(of: last, to: head)
      let found = memory.compareExchangeRelease(Self.head, head, first)
      if found == head { return false }
      head = found
    }
    return putAfterEnd(count)
  }

  @inlinable @inline(never)
  func putAfterEnd(_ count: UInt) -> Bool {
    _ = memory.loadAcquire(Self.head)
    var missing = memory.loadRelaxed(Self.missing)
    while true {
      let found = memory.compareExchangeSequential(Self.missing, missing, missing &- count)
      if found == missing { return missing == count }
      missing = found
    }
  }

  /// The owner: all nodes that have come back, the newest first, linked; 0 when there is none.
  @inlinable @inline(__always)
  public func takeAll() -> UInt {
    memory.loadRelaxed(Self.head) == 0 ? 0 : memory.exchangeAcquire(Self.head, 0)
  }

  /// The owner, once nothing is to be taken: ends, with so many nodes still missing, at least one.
  /// `false` when nodes have come back meanwhile. After `true` the owner may touch nothing more.
  @inlinable
  public func end(missing: UInt) -> Bool {
    memory.storeRelaxed(Self.missing, missing)
    return memory.compareExchangeRelease(Self.head, 0, Self.ended) == 0
  }
}

extension ReturnStackCore: Sendable where Memory: Sendable {}
