/// Counts sessions by slot and by node, and says where the next one belongs: to the node that has
/// fewest for its weight, and there to the slot that has fewest. Depends on nothing but what it was
/// told, so all nodes that follow the log come to the same answer.
///
/// **Time**: O(log slots) a session; 16,384 steps when slots change hands.
/// **Memory**: 20 bytes a slot.
package struct SlotCounter: Sendable {
  /// Sessions by slot.
  package private(set) var loads = Array(repeating: UInt32(0), count: Slot.count)
  /// Sessions by number of the node that owns their slot.
  package private(set) var counts = Array(repeating: 0, count: 256)
  private var owners = Array(repeating: UInt8(0), count: Slot.count)
  private var weights = Array(repeating: UInt16(0), count: 256)
  private var nodes = IndexedHeap(items: 256)
  /// Each node's slots, by its number; none for who gets no sessions.
  private var slots: [IndexedHeap?] = Array(repeating: nil, count: 256)
  /// A slot's number within its node's heap, and back.
  private var ranks = Array(repeating: Int32(0), count: Slot.count)
  private var ranked: [[UInt16]] = Array(repeating: [], count: 256)

  package init(_ table: SlotTable, nodes: [Placement.Node]) { reassign(table, nodes: nodes) }

  /// Slots have changed hands, or those who may have sessions have.
  package mutating func reassign(_ table: SlotTable, nodes placed: [Placement.Node]) {
    owners = table.owners
    counts = Array(repeating: 0, count: 256)
    weights = Array(repeating: 0, count: 256)
    ranked = Array(repeating: [], count: 256)
    for node in placed { weights[Int(node.id.rawValue)] = node.weight }
    for slot in 0..<Slot.count {
      let owner = Int(owners[slot])
      counts[owner] += Int(loads[slot])
      ranks[slot] = Int32(ranked[owner].count)
      ranked[owner].append(UInt16(slot))
    }
    nodes = IndexedHeap(items: 256)
    slots = Array(repeating: nil, count: 256)
    for owner in 1..<256 where weights[owner] > 0 && !ranked[owner].isEmpty {
      var heap = IndexedHeap(items: ranked[owner].count)
      for (rank, slot) in ranked[owner].enumerated() { heap.set(rank, key: slotKey(Int(slot))) }
      slots[owner] = heap
      nodes.set(owner, key: nodeKey(owner))
    }
  }

  /// Where the next session belongs; nil when nobody may have one.
  package var next: Slot? {
    guard let owner = nodes.first, let rank = slots[owner]?.first else { return nil }
    return Slot(rawValue: ranked[owner][rank])
  }

  /// A session has come to this slot.
  package mutating func add(_ slot: Slot) { change(Int(slot.rawValue), by: 1) }

  /// A session of this slot is over.
  package mutating func remove(_ slot: Slot) {
    precondition(loads[Int(slot.rawValue)] > 0, "no session is left in slot \(slot.rawValue)")
    change(Int(slot.rawValue), by: -1)
  }

  private mutating func change(_ slot: Int, by difference: Int) {
    let owner = Int(owners[slot])
    loads[slot] = UInt32(Int(loads[slot]) + difference)
    counts[owner] += difference
    guard slots[owner] != nil else { return }
    let key = slotKey(slot)
    slots[owner]?.set(Int(ranks[slot]), key: key)
    nodes.set(owner, key: nodeKey(owner))
  }

  private func slotKey(_ slot: Int) -> UInt64 { UInt64(loads[slot]) << 14 | UInt64(slot) }

  /// What its count by weight would be with half a session more, in fixed point, and its number.
  /// The half is what keeps heavy nodes from getting too many (Sainte-Laguë's method, 1910).
  private func nodeKey(_ owner: Int) -> UInt64 {
    let ratio = (UInt64(2 * counts[owner] + 1) << 20) / UInt64(weights[owner])
    return ratio << 8 | UInt64(owner)
  }
}
