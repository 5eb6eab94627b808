import AloftMembership
import AloftSim
import Testing

/// 100,000 sessions, each placed where fewest are.
struct SessionStories {
  typealias Node = Placement.Node
  private static let sessions = 100_000

  private static func place(_ nodes: [Node]) -> (SlotTable, SlotCounter) {
    let table = Placement.plan(from: SlotTable(), nodes: nodes)
    var counter = SlotCounter(table, nodes: nodes)
    for _ in 0..<sessions {
      guard let slot = counter.next else { break }
      counter.add(slot)
    }
    return (table, counter)
  }

  /// The largest distance of a node's sessions from its exact share, in sessions.
  private static func skew(_ counter: SlotCounter, _ nodes: [Node]) -> Double {
    let sum = nodes.reduce(0.0) { $0 + Double($1.weight) }
    let total = Double(counter.loads.reduce(0) { $0 + Int($1) })
    let skews = nodes.map { node in
      abs(Double(counter.counts[Int(node.id.rawValue)]) - Double(node.weight) / sum * total)
    }
    return skews.max() ?? 0
  }

  @Test(
    "Over 1 to 200 nodes, nobody is more than one session from his share",
    arguments: [1, 2, 3, 4, 5, 100, 200])
  func placed(count: Int) {
    let nodes = PlacementStories.nodes(Array(repeating: 1, count: count))
    let (_, counter) = Self.place(nodes)
    #expect(counter.loads.reduce(0) { $0 + Int($1) } == Self.sessions)
    #expect(Self.skew(counter, nodes) < 1)
  }

  @Test("Over 100 nodes of random weights, nobody is more than one session from his share")
  func weighted() {
    var random = SimRandom(seed: 5)
    let nodes = PlacementStories.nodes((0..<100).map { _ in UInt16(random.in(50...400)) })
    #expect(Self.skew(Self.place(nodes).1, nodes) < 1)
  }

  @Test(
    "A node more, a node less: sessions move with slots, and the balance stays to 0.01 %",
    arguments: [(4, 5), (5, 4), (3, 4), (4, 3), (100, 99), (99, 100)])
  func moved(from: Int, to: Int) {
    let old = PlacementStories.nodes(Array(repeating: 1, count: from))
    let new = PlacementStories.nodes(Array(repeating: 1, count: to))
    var (table, counter) = Self.place(old)
    let next = Placement.plan(from: table, nodes: new, loads: counter.loads)
    #expect(
      Double(PlacementStories.moved(table, next))
        <= 1.01 * Double(PlacementStories.optimum(table, new)) + Double(to))
    table = next
    counter.reassign(table, nodes: new)
    #expect(PlacementStories.skew(table, new) < 1)
    // Where a node gives or gets one slot or two, it can't come out nearer than their sessions.
    let perSlot = Double(counter.loads.max() ?? 0)
    let allowed = to > 5 ? 2 * perSlot : max(1, 0.0001 * Double(Self.sessions / to))
    #expect(Self.skew(counter, new) <= allowed, "\(Self.skew(counter, new))")
  }

  @Test("Under churn the balance stays to 0.1 %, and is repaired by a move of slots")
  func churn() {
    var random = SimRandom(seed: 8)
    let nodes = PlacementStories.nodes([1, 1, 1, 1])
    var (table, counter) = Self.place(nodes)
    var sessions: [Slot] = []
    for (slot, load) in counter.loads.enumerated() {
      sessions += Array(repeating: Slot(rawValue: UInt16(slot)), count: Int(load))
    }
    var worst = 0.0
    for _ in 0..<300_000 {
      let position = random.below(sessions.count)
      counter.remove(sessions[position])
      guard let next = counter.next else { break }
      counter.add(next)
      sessions[position] = next
      worst = max(worst, Self.skew4(counter, sessions.count))
    }
    #expect(worst <= 0.001 * 25_000, "\(worst)")
    let five = PlacementStories.nodes([1, 1, 1, 1, 1])
    table = Placement.plan(from: table, nodes: five, loads: counter.loads)
    counter.reassign(table, nodes: five)
    #expect(Self.skew(counter, five) <= 2, "\(Self.skew(counter, five))")
  }

  private static func skew4(_ counter: SlotCounter, _ sessions: Int) -> Double {
    let mean = Double(sessions) / 4
    return max(abs(Double(counter.counts[1]) - mean), abs(Double(counter.counts[4]) - mean))
  }

  @Test("A counter's answers follow from what it was told, whoever asks")
  func deterministic() {
    let nodes = PlacementStories.nodes([1, 2, 3])
    let table = Placement.plan(from: SlotTable(), nodes: nodes)
    var counters = [SlotCounter(table, nodes: nodes), SlotCounter(table, nodes: nodes)]
    for _ in 0..<1_000 {
      guard let slot = counters[0].next else { break }
      #expect(counters[1].next == slot)
      for position in counters.indices { counters[position].add(slot) }
    }
    #expect(SlotCounter(SlotTable(), nodes: nodes).next == nil)
  }
}
