/// Who shall own which slot: counted, not hashed, so that nobody has more than his share and no
/// more slots move than have to.
///
/// The table that comes out depends on what goes in alone. **Time**: O(slots log slots); some
/// milliseconds.
package enum Placement {
  /// One who may have slots.
  package struct Node: Hashable, Sendable {
    package var id: NodeID
    package var weight: UInt16

    package init(id: NodeID, weight: UInt16) {
      self.id = id
      self.weight = weight
    }
  }

  /// Those who may have slots, by what the members say.
  package static func nodes(_ members: [Member]) -> [Node] {
    members.filter(\.takesSlots).map { Node(id: $0.id, weight: $0.description.weight) }
  }

  /// The table in which each of `nodes` has its share by weight, to within less than one slot, and
  /// nobody else has any. Nothing moves if it is so already, or if there is no node.
  ///
  /// `loads`: how many sessions each slot has, or nothing. Which slots move is chosen such that
  /// each node's sessions come out at their share, too.
  package static func plan(
    from table: SlotTable, nodes: [Node], loads: [UInt32] = []
  ) -> SlotTable {
    guard nodes.contains(where: { $0.weight > 0 }) else { return table }
    var plan = PlacementPlan(table, nodes.sorted { $0.id < $1.id }, loads)
    plan.collect()
    plan.handOut()
    return plan.table
  }
}

/// The slots that move, on their way from those who have too many to those who have too few.
private struct PlacementPlan {
  var table: SlotTable
  private let nodes: [Placement.Node]
  private let loads: [UInt32]
  /// By position in `nodes`.
  private var slots: [[Int]]
  private let slotShares: [Int]
  private let loadShares: [Int]
  private var pool: [Int] = []

  init(_ table: SlotTable, _ nodes: [Placement.Node], _ loads: [UInt32]) {
    self.table = table
    self.nodes = nodes
    self.loads = loads
    var positions = Array(repeating: -1, count: 256)
    for (position, node) in nodes.enumerated() { positions[Int(node.id.rawValue)] = position }
    var slots = Array(repeating: [Int](), count: nodes.count)
    for (slot, owner) in table.owners.enumerated() {
      let position = positions[Int(owner)]
      if position < 0 { pool.append(slot) } else { slots[position].append(slot) }
    }
    let weights = nodes.map(\.weight)
    slotShares = Quotas.shares(of: Slot.count, weights: weights, held: slots.map(\.count))
    let held = slots.map { Self.sum($0, loads) }
    loadShares = Quotas.shares(of: Self.sum(loads), weights: weights, held: held)
    self.slots = slots
  }

  private static func sum(_ loads: [UInt32]) -> Int { loads.reduce(0) { $0 + Int($1) } }

  private static func sum(_ slots: [Int], _ loads: [UInt32]) -> Int {
    loads.isEmpty ? 0 : slots.reduce(0) { $0 + Int(loads[$1]) }
  }

  /// Takes from those who have too many.
  mutating func collect() {
    // A few slots' sessions rarely come out even; what one gave too much, the next gives less.
    var owed = 0
    for position in nodes.indices {
      let surplus = slots[position].count - slotShares[position]
      guard surplus > 0 else { continue }
      let load = owed + Self.sum(slots[position], loads) - loadShares[position]
      let given = SlotPick.take(surplus, load: load, from: &slots[position], loads)
      owed = load - Self.sum(given, loads)
      pool += given
    }
  }

  /// Gives to those who have too few.
  mutating func handOut() {
    for position in nodes.indices {
      let want = slotShares[position] - slots[position].count
      guard want > 0 else { continue }
      let load = loadShares[position] - Self.sum(slots[position], loads)
      for slot in SlotPick.take(want, load: load, from: &pool, loads) {
        table[Slot(rawValue: UInt16(slot))] = nodes[position].id
      }
    }
  }
}
