internal import AloftMembership

/// Where the next session belongs: to the node that has fewest for its weight, and there to the
/// slot whose turn it is.
struct SlotPlacer {
  private struct Node {
    var number: Int
    var weight: Int
    var slots: [UInt16] = []
    var turn = 0
    /// Given out since sessions were counted last.
    var given = 0
    var counted = 0
  }

  private var nodes: [Node] = []
  /// After so many the sessions are counted anew.
  private static let span = 512
  /// Sessions that a node may have above others: as many as may be on their way to the log.
  private static let leeway = 1_024
  private var left = 0

  private var state: ClusterState?

  mutating func change(to state: ClusterState) { self.state = state }

  private mutating func take(_ state: ClusterState) {
    var places = Array(repeating: -1, count: 256)
    nodes = []
    for member in state.members where member.takesSlots {
      places[Int(member.id.rawValue)] = nodes.count
      nodes.append(
        Node(number: Int(member.id.rawValue), weight: Int(member.description.weight)))
    }
    for (slot, owner) in state.slots.owners.enumerated() where places[Int(owner)] >= 0 {
      nodes[places[Int(owner)]].slots.append(UInt16(slot))
    }
    nodes.removeAll { $0.slots.isEmpty }
    left = 0
  }

  /// Nil when nobody may have sessions. `count`: sessions by slot.
  ///
  /// `own` gets it, too, while it has no more than 1/64 of its sessions, or 1,024, above the one
  /// that has fewest: the session of another node costs a way there and back with each write, and
  /// nodes know of each other's sessions only when these are made. What remains uneven is little
  /// beside what a node holds, and slots are moved when it isn't.
  mutating func next(own: NodeID, _ count: (Int) -> Int) -> Slot? {
    if let state {
      take(state)
      self.state = nil
    }
    guard !nodes.isEmpty else { return nil }
    if left == 0 {
      left = Self.span
      for index in nodes.indices {
        nodes[index].given = 0
        nodes[index].counted = nodes[index].slots.reduce(0) { $0 + count(Int($1)) }
      }
    }
    left -= 1
    var best = 0
    for index in nodes.indices.dropFirst() where isBefore(nodes[index], nodes[best]) {
      best = index
    }
    if let mine = nodes.firstIndex(where: { $0.number == Int(own.rawValue) }),
      isNear(nodes[mine], nodes[best])
    {
      best = mine
    }
    nodes[best].given += 1
    let slot = nodes[best].slots[nodes[best].turn]
    nodes[best].turn += 1
    if nodes[best].turn == nodes[best].slots.count { nodes[best].turn = 0 }
    return Slot(rawValue: slot)
  }

  private func isNear(_ a: Node, _ least: Node) -> Bool {
    let count = a.counted + a.given
    let leeway = max(Self.leeway, count >> 6)
    return (count - leeway) * least.weight <= (least.counted + least.given) * a.weight
  }

  /// By what its count by weight would be with half a session more (Sainte-Laguë's method, 1910).
  private func isBefore(_ a: Node, _ b: Node) -> Bool {
    (2 * (a.counted + a.given) + 1) * b.weight < (2 * (b.counted + b.given) + 1) * a.weight
  }
}
