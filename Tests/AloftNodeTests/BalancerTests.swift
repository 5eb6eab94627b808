import AloftNode
import Testing

/// Things shared out among nodes, counted, and found by their slot from any thread.
struct BalancerTests {
  @Test("Each node gets its share by weight to within one, and a look-up finds who counted it")
  func shares() throws {
    let weights = [1: 100, 7: 200, 254: 33]
    var balancer = Balancer(weights.map { Balancer.Node($0.key, weight: $0.value) })
    var counts: [Int: Int] = [:]
    for _ in 0..<10_000 {
      let placed = balancer.place()
      let slot = try #require(placed)
      counts[balancer.owners[slot], default: 0] += 1
    }
    for (number, weight) in weights {
      #expect(abs(Double(counts[number] ?? 0) - 10_000 * Double(weight) / 333) < 1)
      let counted = balancer.count(of: number)
      #expect(counted == counts[number])
    }
    let none = [balancer.count(of: 2), balancer.count(of: 999)]
    #expect(none == [0, 0])
  }

  @Test("A node more takes its share from the others, a node less gives it back")
  func changes() throws {
    let few = (1...4).map { Balancer.Node($0) }
    var balancer = Balancer(few)
    var slots: [Int] = []
    for _ in 0..<8_000 { slots.append(balancer.place() ?? -1) }
    let owners = balancer.owners
    let before = slots.map { owners[$0] }
    let moved = balancer.setNodes(few + [Balancer.Node(9)])
    #expect((3_276...3_277).contains(moved), "a fifth of the slots")
    let grown = slots.map { owners[$0] }
    #expect(zip(before, grown).allSatisfy { $0 == $1 || $1 == 9 }, "nobody else got anything")
    #expect((1_599...1_601).contains(grown.count { $0 == 9 }))
    balancer.setNodes(few)
    let shrunk = slots.map { owners[$0] }
    #expect(zip(grown, shrunk).allSatisfy { $0 == 9 || $0 == $1 })
    for number in 1...4 {
      let counted = balancer.count(of: number)
      #expect((1_999...2_001).contains(counted))
    }
    for slot in slots { balancer.remove(from: slot) }
    for number in 1...4 {
      let counted = balancer.count(of: number)
      #expect(counted == 0)
    }
  }

  @Test("Without anybody who has a share nothing can be placed, and nothing moves")
  func nobody() throws {
    var none = Balancer([])
    let placed = none.place()
    let owners = none.owners
    #expect(placed == nil && owners[5] == 0)
    var balancer = Balancer([Balancer.Node(3)])
    let moved = balancer.setNodes([Balancer.Node(4, weight: 0)])
    let others = balancer.owners
    #expect(moved == 0 && others[5] == 3)
  }

  @Test("On each node of a cluster any thread finds the owner of a slot, and all say the same")
  func cluster() async throws {
    try await withCluster(["a", "b"]) { nodes, _ in
      let numbers = [await nodes[0].number, await nodes[1].number]
      try await eventually("both have half of the slots, and know it") {
        nodes.allSatisfy { node in
          let owners = (0..<SlotOwners.count).map { node.node.owners[$0] }
          return numbers.allSatisfy { number in owners.count { $0 == number } == 8_192 }
        }
      }
      let (a, b) = (nodes[0].node.owners, nodes[1].node.owners)
      #expect((0..<SlotOwners.count).allSatisfy { a[$0] == b[$0] })
    }
  }
}
