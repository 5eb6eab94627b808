internal import AloftMembership

/// Shares things out among nodes, counted and not hashed: what a cluster does with its sessions,
/// for whatever else a program has to share out.
///
/// ```swift
/// var balancer = Balancer([.init(1, weight: 100), .init(2, weight: 200)])
/// let slot = balancer.place()          // keep it with the thing, in its name for instance
/// let node = balancer.owners[slot]     // any thread, about a nanosecond
/// balancer.setNodes([.init(1), .init(2), .init(3)])    // a third of the things moves, no more
/// ```
/// Things belong to slots, and slots to nodes. The next thing goes to the node that has fewest for
/// its weight, and there into the slot that has fewest, so that each node's number of things is its
/// exact share to within one. When nodes come or go, as few slots as possible change hands, and
/// those are chosen by what is in them, such that the shares come out even again.
///
/// **Threads**: one at a time, but for ``owners``. **Memory**: some 600 KiB.
public struct Balancer: ~Copyable {
  /// One that has a share.
  public struct Node: Sendable, Hashable {
    /// 1...254.
    public var number: Int
    /// Its share against the others', 0...65,535; of 0 it gets nothing.
    public var weight: Int

    /// A node with a share.
    public init(_ number: Int, weight: Int = 100) {
      precondition((1...Int(NodeID.max)).contains(number), "node \(number)")
      precondition((0...Int(UInt16.max)).contains(weight), "weight \(weight)")
      self.number = number
      self.weight = weight
    }

    var placed: Placement.Node {
      Placement.Node(id: NodeID(rawValue: UInt8(number)), weight: UInt16(weight))
    }
  }

  /// Who owns each slot; keeps up with ``setNodes(_:)``.
  public let owners = SlotOwners()
  private var table: SlotTable
  private var counter: SlotCounter

  /// With these nodes, whose numbers are different, and nothing in any slot.
  public init(_ nodes: [Node]) {
    let placed = nodes.map(\.placed)
    table = Placement.plan(from: SlotTable(), nodes: placed)
    counter = SlotCounter(table, nodes: placed)
    owners.table.set(table)
  }

  /// Counts one thing more, and says in which slot; nil when no node has a share.
  /// **Time**: O(log slots), about 0.1 us.
  public mutating func place() -> Int? {
    guard let slot = counter.next else { return nil }
    counter.add(slot)
    return Int(slot.rawValue)
  }

  /// Counts one thing more in a slot that was chosen by other means.
  public mutating func add(to slot: Int) { counter.add(Self.slot(slot)) }

  /// A thing in that slot, which was counted, is gone.
  public mutating func remove(from slot: Int) { counter.remove(Self.slot(slot)) }

  /// How many things a node has.
  public func count(of node: Int) -> Int {
    counter.counts.indices.contains(node) ? counter.counts[node] : 0
  }

  /// Others have shares, or other shares, from now on: slots change hands. Without any node that
  /// has a share they stay where they are. Answers how many have moved.
  /// **Time**: some milliseconds at most.
  @discardableResult
  public mutating func setNodes(_ nodes: [Node]) -> Int {
    let placed = nodes.map(\.placed)
    let next = Placement.plan(from: table, nodes: placed, loads: counter.loads)
    let moved = zip(table.owners, next.owners).count { $0 != $1 }
    table = next
    counter.reassign(table, nodes: placed)
    owners.table.set(table)
    return moved
  }

  private static func slot(_ number: Int) -> Slot {
    precondition((0..<Slot.count).contains(number), "slot \(number)")
    return Slot(rawValue: UInt16(number))
  }
}
