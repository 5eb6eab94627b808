/// Where nodes of two words live that are known by their index: 0 is no node.
public protocol BindingNodes {
  associatedtype Memory: AtomicMemory
  /// The two words of a node: what is bound, and the link.
  func memory(of node: UInt) -> Memory
}

/// The second word of a node: what comes after it, and what whoever pushes on top needs to know.
///
///     63        40 39     35 34   32 31         0
///     [ depth     ] [ limit ] [ kind ] [ next    ]
///
/// Everything but `next` is a hint when it is read by another than the list's holder.
public struct BindingLink: Equatable, Sendable {
  public var word: UInt

  @inlinable public init(word: UInt) { self.word = word }

  @inlinable
  public init(next: UInt, kind: UInt, depth: UInt, limit: UInt) {
    word =
      next & 0xFFFF_FFFF | (kind & 7) &<< 32 | (limit & 31) &<< 35
      | min(depth, Self.depthMax) &<< 40
  }

  @inlinable public static var depthMax: UInt { (1 << 24) - 1 }

  @inlinable public var next: UInt { word & 0xFFFF_FFFF }
  /// The caller's.
  @inlinable public var kind: UInt { word &>> 32 & 7 }
  /// The list is to be tidied when it has 2 to this power nodes.
  @inlinable public var limit: UInt { word &>> 35 & 31 }
  /// Nodes from here to the end, this one included.
  @inlinable public var depth: UInt { word &>> 40 }
}

/// What an owner is bound to: a list of nodes behind one word, that any thread adds to until the
/// owner ends, and whose end takes it whole.
///
/// One word holds the owner's generation, whether that owner has ended, and the first node. So a
/// binding can't come too late without noticing: either it is in the list that the end takes, or
/// it finds the word closed. The list is never taken apart in place; whoever wants to change it
/// takes all of it, and puts back what is to stay. That leaves it no ABA problem: no operation
/// depends on a link of a node that it does not hold.
///
///     63           36 35     34      33 32 31          0
///     [ generation   ] [ closed ] [ stale ] [ 0 ] [ first    ]
///
/// Who may call: `close` the thread that ends the owner, all else any thread. None waits: one that
/// has to try again does so because another has succeeded.
///
/// Whoever takes nodes out of the word has to see to them: put them back, or, when `putBack` says
/// that the owner has ended meanwhile, do what the end would have done.
///
/// Which orders pair: the word, exchanged sequentially by who adds nodes, is exchanged or loaded
/// with acquire by who takes them: what was written to the nodes, and what the caller did before
/// it bound them, is seen by the taker.
///
/// Owners that were never bound may have no word yet. Then whoever ends one marks it as ended,
/// looks for the word, and is done if there is none; whoever binds makes the word, or finds it,
/// before it asks, in `push`, whether the owner lives. All these steps are sequentially consistent;
/// a failed exchange is none of them.
public struct BindingListCore<Nodes: BindingNodes> {
  public typealias Memory = Nodes.Memory

  @usableFromInline let memory: Memory
  @usableFromInline let nodes: Nodes

  /// `memory` is the owner's word, 0 at first.
  @inlinable
  public init(memory: Memory, nodes: Nodes) {
    self.memory = memory
    self.nodes = nodes
  }

  // MARK: The word

  @inlinable public static var closedBit: UInt { 1 << 35 }
  /// Some nodes stand for nothing any more, so tidying would be of use.
  @inlinable static var staleBit: UInt { 1 << 34 }
  @inlinable
  public static func generation(of word: UInt) -> UInt { word &>> 36 }
  @inlinable
  public static func first(of word: UInt) -> UInt { word & 0xFFFF_FFFF }
  @inlinable
  static func isClosed(_ word: UInt) -> Bool { word & closedBit != 0 }
  @inlinable
  static func pack(_ generation: UInt, _ first: UInt) -> UInt { generation &<< 36 | first }

  /// What came of a binding.
  public enum Outcome: Equatable, Sendable {
    /// Bound. With `isFull` the list is to be tidied: it has many nodes, some of them stale.
    /// `displaced` is the word of an owner before this one whose nodes nobody saw to: now the
    /// caller does.
    case bound(isFull: Bool, displaced: UInt)
    /// The owner has ended; the node is the caller's still.
    case closed
  }

  // MARK: Any thread

  /// Adds a node to an owner. `isAlive` says whether the owner lives; it is asked when the word is
  /// that of an earlier one, after the word was read, for only then does a "yes" mean that the
  /// word is old.
  @inlinable
  public func push(
    _ node: UInt, kind: UInt, generation: UInt, isAlive: () -> Bool
  ) -> Outcome {
    while true {
      let word = memory.loadAcquire(0)
      let isOurs = Self.generation(of: word) == generation
      if isOurs ? Self.isClosed(word) : !isAlive() { return .closed }
      let link = link(to: isOurs ? Self.first(of: word) : 0, kind: kind)
      nodes.memory(of: node).storeRelaxed(1, link.word)
      let stale = isOurs ? word & Self.staleBit : 0
      let found = memory.compareExchangeSequential(
        0, word, Self.pack(generation, node) | stale)
      if found != word { continue }
      let displaced = isOurs || Self.first(of: word) == 0 ? 0 : word
      let isFull = stale != 0 && link.depth >= 1 &<< link.limit
      return .bound(isFull: isFull, displaced: displaced)
    }
  }

  /// The first of the owner's nodes, all of which are the caller's from now on; 0 when there are
  /// none, or when the word is another owner's by now. With `closing` the word is closed, too.
  @inlinable
  public func take(generation: UInt, closing: Bool = false) -> UInt {
    while true {
      let word = memory.loadAcquire(0)
      if Self.generation(of: word) != generation { return 0 }
      let first = Self.first(of: word)
      let empty =
        Self.pack(generation, 0) | word & Self.closedBit | (closing ? Self.closedBit : 0)
      if empty == word { return 0 }
      if memory.compareExchangeSequential(0, word, empty) == word { return first }
    }
  }

  /// Gives nodes that `take` had given back, linked from `first` to `last`. False when the owner
  /// has ended: they are the caller's still.
  @inlinable
  public func putBack(first: UInt, last: UInt, generation: UInt) -> Bool {
    let tail = nodes.memory(of: last)
    let kept = BindingLink(word: tail.loadRelaxed(1))
    while true {
      let word = memory.loadAcquire(0)
      if Self.generation(of: word) != generation || Self.isClosed(word) { return false }
      let link = BindingLink(
        next: Self.first(of: word), kind: kept.kind, depth: kept.depth, limit: kept.limit)
      tail.storeRelaxed(1, link.word)
      let stale = word & Self.staleBit
      let found = memory.compareExchangeSequential(
        0, word, Self.pack(generation, first) | stale)
      if found == word { return true }
    }
  }

  /// Notes that a node of the owner's stands for nothing any more.
  @inlinable
  public func markStale(generation: UInt) {
    while true {
      let word = memory.loadAcquire(0)
      if Self.generation(of: word) != generation || word & (Self.closedBit | Self.staleBit) != 0 {
        return
      }
      if memory.compareExchangeSequential(0, word, word | Self.staleBit) == word { return }
    }
  }

  // MARK: The thread that ends the owner

  /// Closes the word to the owner of `generation`; the answer is the word before: its nodes, if it
  /// has any, are the caller's, and are of the owner whose generation is in it.
  @inlinable
  public func close(generation: UInt) -> UInt {
    memory.exchangeAcquire(0, Self.pack(generation, 0) | Self.closedBit)
  }

  // MARK: Nodes

  /// The list is tidied first at this many nodes, 2 to the power.
  @inlinable public static var limitFirst: UInt { 3 }

  /// The link of a node on top of `next`. What it reads there may be anything by now; but then the
  /// exchange that follows fails, or only the time of tidying is off.
  @inlinable
  func link(to next: UInt, kind: UInt) -> BindingLink {
    if next == 0 { return BindingLink(next: 0, kind: kind, depth: 1, limit: Self.limitFirst) }
    let below = BindingLink(word: nodes.memory(of: next).loadRelaxed(1))
    return BindingLink(
      next: next, kind: kind, depth: below.depth + 1,
      limit: max(below.limit, Self.limitFirst))
  }
}

extension BindingListCore: Sendable where Nodes: Sendable, Nodes.Memory: Sendable {}
