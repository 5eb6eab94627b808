import AloftMembership
import AloftSim
import Testing

/// Slots and sessions, counted: nobody has more than its share, and no more moves than has to.
struct PlacementStories {
  typealias Node = Placement.Node

  static func nodes(_ weights: [UInt16], from first: Int = 1) -> [Node] {
    weights.enumerated().map { Node(id: NodeID(rawValue: UInt8(first + $0)), weight: $1) }
  }

  /// The largest distance of a node's slots from its exact share.
  static func skew(_ table: SlotTable, _ nodes: [Node]) -> Double {
    let sum = nodes.reduce(0.0) { $0 + Double($1.weight) }
    let counts = table.counts
    let skews = nodes.map { node in
      abs(Double(counts[Int(node.id.rawValue)]) - Double(node.weight) / sum * Double(Slot.count))
    }
    return skews.max() ?? 0
  }

  static func moved(_ old: SlotTable, _ new: SlotTable) -> Int {
    zip(old.owners, new.owners).count { $0 != $1 }
  }

  /// What must move at least: what lies with those who may not have it, and what is above the
  /// share, rounded up, of those who may.
  static func optimum(_ old: SlotTable, _ nodes: [Node]) -> Int {
    let sum = nodes.reduce(0) { $0 + Int($1.weight) }
    let counts = old.counts
    let kept = nodes.reduce(0) { kept, node in
      let most = (Slot.count * Int(node.weight) + sum - 1) / sum
      return kept + min(counts[Int(node.id.rawValue)], most)
    }
    return Slot.count - kept
  }

  @Test(
    "Equal nodes have equal slots, and joining or leaving moves the optimum",
    arguments: [1, 2, 3, 4, 5, 7, 16, 100, 254])
  func equal(count: Int) {
    let few = Self.nodes(Array(repeating: 1, count: count))
    let many = Self.nodes(Array(repeating: 1, count: count + 1))
    let start = Placement.plan(from: SlotTable(), nodes: few)
    #expect(Self.skew(start, few) < 1)
    let grown = Placement.plan(from: start, nodes: many)
    #expect(Self.skew(grown, many) < 1)
    #expect(Double(Self.moved(start, grown)) <= 1.01 * Double(Slot.count / (count + 1)) + 1)
    let shrunk = Placement.plan(from: grown, nodes: few)
    #expect(Self.skew(shrunk, few) < 1)
    #expect(Self.moved(grown, shrunk) == grown.count(of: many[count].id))
    #expect(Placement.plan(from: shrunk, nodes: few) == shrunk, "who is done moves nothing")
  }

  @Test("Random weights that change, nodes that come and go: each by its weight, moved the optimum")
  func random() {
    var random = SimRandom(seed: 3)
    for _ in 0..<200 {
      var nodes = Self.nodes((0..<random.in(1...60)).map { _ in UInt16(random.in(1...400)) })
      let old = Placement.plan(from: SlotTable(), nodes: nodes)
      for position in nodes.indices.reversed() {
        switch random.below(10) {
        case 0 where nodes.count > 1: nodes.remove(at: position)
        case 1: nodes[position].weight = UInt16(random.in(1...400))
        case 2: nodes.append(Node(id: NodeID(rawValue: UInt8(100 + position)), weight: 77))
        default: break
        }
      }
      let new = Placement.plan(from: old, nodes: nodes)
      #expect(Self.skew(new, nodes) < 1)
      let (moved, optimum) = (Self.moved(old, new), Self.optimum(old, nodes))
      #expect(Double(moved) <= 1.01 * Double(optimum) + Double(nodes.count), "\(moved) \(optimum)")
    }
  }

  @Test("A node that is drained or down loses all its slots, and the others nothing")
  func drain() {
    var log = ClusterLog(["a", "b", "c", "d"])
    log.spread()
    let before = log.state.slots
    log.apply(.setDraining(log.life("c"), true))
    log.spread()
    let drained = log.state.slots
    let gone = log.identity("c").id
    #expect(drained.count(of: gone) == 0)
    #expect(zip(before.owners, drained.owners).allSatisfy { $0 == $1 || $0 == gone.rawValue })
    log.apply(.setDraining(log.life("c"), false))
    log.spread()
    #expect(log.state.slots.count(of: gone) == 4_096)
    log.apply(.convict(log.life("c")))
    log.spread()
    #expect(log.state.slots.count(of: gone) == 0)
  }

  @Test("Without anybody to have them, slots stay where they are")
  func nobody() {
    let table = Placement.plan(from: SlotTable(), nodes: Self.nodes([1, 1]))
    #expect(Placement.plan(from: table, nodes: []) == table)
    #expect(Placement.plan(from: table, nodes: Self.nodes([0])) == table)
  }

  @Test("Replicas of a slot lie in other zones than its owner, and spread over all")
  func replicas() {
    var log = ClusterLog()
    for number in 0..<6 { log.enter("n\(number)", zone: "z\(number % 3)") }
    log.spread()
    var counts = Array(repeating: 0, count: 256)
    for number in 0..<Slot.count {
      let slot = Slot(rawValue: UInt16(number))
      let replicas = log.state.replicas(of: slot, count: 2)
      let all = [log.state.slots[slot]] + replicas
      #expect(Set(all.compactMap { log.state[$0]?.description.zone }).count == 3)
      for replica in replicas { counts[Int(replica.rawValue)] += 1 }
    }
    let mean = 2 * Slot.count / 6
    #expect((1...6).allSatisfy { abs(counts[$0] - mean) < mean / 10 }, "\(counts[1...6])")
    #expect(log.state.replicas(of: Slot(rawValue: 0), count: 9).count == 5)
  }

  @Test("A table for threads has the owners that it was given last")
  func owners() {
    let owners = OwnerTable()
    #expect(owners[Slot(rawValue: 5)] == NodeID(rawValue: 0))
    for weights in [[1, 2, 3], [7, 1]] as [[UInt16]] {
      let table = Placement.plan(from: SlotTable(), nodes: Self.nodes(weights))
      owners.set(table)
      for number in 0..<Slot.count {
        let slot = Slot(rawValue: UInt16(number))
        #expect(owners[slot] == table[slot])
      }
      #expect(owners[Slot(rawValue: 16_384 + 5)] == table[Slot(rawValue: 5)])
    }
  }
}
