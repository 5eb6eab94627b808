/// The one order S of all sequentially consistent operations, as far as it is forced: a graph of
/// them that must stay free of cycles (C++20 [atomics.order] 3-4).
///
/// It is kept closed: for each node, the set of all nodes that must come before it.
struct SequentialOrder {
  static let nodesMax = 64

  struct Node {
    var thread: Int
    /// Which event of its thread.
    var event: Int
    var isFence: Bool
    /// What happened before it, itself included.
    var clock: Clock
  }

  private(set) var nodes: [Node] = []
  private var before: [UInt64] = []

  mutating func reset() {
    nodes.removeAll(keepingCapacity: true)
    before.removeAll(keepingCapacity: true)
  }

  /// Adds a node after all those that strongly happen before it. `earlier` is what its thread
  /// knew just before: an operation of another thread strongly happens before this one when
  /// something that follows it in its thread is known there.
  mutating func add(thread: Int, event: Int, isFence: Bool, earlier: Clock) -> Int {
    precondition(nodes.count < Self.nodesMax, "more sequential operations than the model holds")
    var set: UInt64 = 0
    for (i, node) in nodes.enumerated()
    where node.thread == thread || earlier[node.thread] >= node.event + 2 {
      set |= before[i] | (1 << UInt64(i))
    }
    nodes.append(
      Node(thread: thread, event: event, isFence: isFence, clock: earlier))
    before.append(set)
    return nodes.count - 1
  }

  mutating func setClock(_ node: Int, _ clock: Clock) { nodes[node].clock = clock }

  mutating func removeLast() {
    nodes.removeLast()
    before.removeLast()
  }

  /// `false` when `later` has to come before `earlier` already.
  mutating func order(_ earlier: Int, before later: Int) -> Bool {
    if earlier == later || before[earlier] & (1 << UInt64(later)) != 0 { return false }
    let bit: UInt64 = 1 << UInt64(earlier)
    if before[later] & bit != 0 { return true }
    let set = before[earlier] | bit
    let laterBit: UInt64 = 1 << UInt64(later)
    for i in 0..<before.count where i == later || before[i] & laterBit != 0 { before[i] |= set }
    return true
  }
}
