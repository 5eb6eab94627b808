/// A stack of free nodes that any thread takes from and gives to.
///
/// Treiber's stack (IBM RJ 5118, 1986) over indices, whose head carries a tag that is one up with
/// each change: a thread that read a node's link, was taken off its core, and comes back to find
/// the same node first again must not install that link, for the nodes below have changed. 32 bits
/// of tag wrap after 4 billion changes during one such absence.
///
/// Who may call: any thread; none waits. The memory of a node stays readable for ever.
///
/// Which orders pair: the head, exchanged sequentially by who gives, is loaded with acquire by who
/// takes, so the link that it reads is the one that was written before.
public struct NodeStackCore<Nodes: BindingNodes> {
  @usableFromInline let memory: Nodes.Memory
  @usableFromInline let nodes: Nodes

  /// `memory` is the head, 0 at first.
  @inlinable
  public init(memory: Nodes.Memory, nodes: Nodes) {
    self.memory = memory
    self.nodes = nodes
  }

  /// A node; 0 when there is none.
  @inlinable
  public func pop() -> UInt {
    while true {
      let head = memory.loadAcquire(0)
      let node = head & 0xFFFF_FFFF
      if node == 0 { return 0 }
      let next = nodes.memory(of: node).loadRelaxed(1) & 0xFFFF_FFFF
      let desired = (head &>> 32 &+ 1) &<< 32 | next
      if memory.compareExchangeSequential(0, head, desired) == head { return node }
    }
  }

  /// Gives nodes, linked from `first` to `last` by the low half of their second word.
  @inlinable
  public func push(first: UInt, last: UInt) {
    while true {
      let head = memory.loadAcquire(0)
      nodes.memory(of: last).storeRelaxed(1, head & 0xFFFF_FFFF)
      let desired = (head &>> 32 &+ 1) &<< 32 | first
      if memory.compareExchangeSequential(0, head, desired) == head { return }
    }
  }
}

extension NodeStackCore: Sendable where Nodes: Sendable, Nodes.Memory: Sendable {}
