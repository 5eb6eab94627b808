/// A mailbox in one word that its owner lends: any threads push nodes, the owner takes them all.
///
/// A node is memory of the pusher's, aligned to 8 bytes, whose first word is the mailbox's from
/// `push` until the owner has drained it. Nothing is allocated or counted here.
///
/// Who may call: any thread pushes; one thread at a time drains. The algorithm, and which orders
/// pair, stand in ``MailboxCore``.
@safe
public struct MailboxWord: Sendable {
  @usableFromInline let core: MailboxCore<HardwareMemory>

  /// `word` is aligned to 8 bytes, 0 at first, and outlives every use.
  @inlinable @inline(__always)
  public init(at word: UnsafeMutableRawPointer) {
    unsafe self.core = MailboxCore(memory: HardwareMemory(base: word))
  }

  /// Any thread. `true` when the mailbox was empty: the caller, and it alone, has to schedule
  /// the owner.
  @inlinable @inline(__always)
  public func push(_ node: UnsafeMutableRawPointer) -> Bool {
    core.push(UInt(bitPattern: node))
  }

  /// Owner. All that was pushed, oldest first: the first node, `nil` when there is none. Walk on
  /// with ``next(after:)``.
  @inlinable @inline(__always)
  public func drain() -> UnsafeMutableRawPointer? {
    unsafe UnsafeMutableRawPointer(bitPattern: core.drain())
  }

  /// The node that was pushed after `node`; ask before `node` is used again.
  @inlinable @inline(__always)
  public static func next(after node: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    unsafe UnsafeMutableRawPointer(bitPattern: node.load(as: UInt.self))
  }
}
