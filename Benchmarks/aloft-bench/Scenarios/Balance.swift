import AloftNode
import Foundation

/// Sessions counted onto nodes by their slots, with `Balancer`, as a cluster does it: how far from
/// its share any node is, what moves when a node comes or goes, and how long that takes; then
/// sessions that come and go by the million; and the look-up of a session's node by its ID.
struct BalanceScenario: Scenario {
  static let id = "6-balance"
  static let title = "Load balancer distribution"
  static let sessions = 100_000

  func run(_ context: RunContext) throws -> [Figure] {
    let sessions = context.size(Self.sessions, quick: Self.sessions / 10)
    let even = BalanceRig.even
    var figures: [Figure] = []
    func add(_ config: String, _ rows: [BalanceRig.Row]) {
      figures += rows.map {
        figure(
          context, system: "aloft", config: "sessions=\(sessions) \(config)", $0.name, $0.value,
          $0.unit)
      }
    }
    context.progress.step("\(Self.id) sessions=\(sessions) placed, and moved")
    var rig = BalanceRig(even(4), sessions: sessions)
    add("nodes=4", rig.deviation + rig.placing + rig.lookUps(context))
    add("nodes=4->5", rig.change(to: even(5), rounds: context.size(20, quick: 2)))
    add("nodes=5->4", rig.change(to: even(4), rounds: context.size(20, quick: 2)))
    let weighted = BalanceRig(BalanceRig.weighted(100), sessions: sessions)
    add("nodes=100 weighted", weighted.deviation)
    context.progress.step("\(Self.id) sessions=\(sessions) churn")
    let rounds = context.size(20_000, quick: 1_000)
    let count = rounds * BalanceRig.together
    add("nodes=4 churn ended=\(count) begun=\(count)", rig.churn(rounds: rounds))
    return figures
  }
}

/// Sessions on nodes.
struct BalanceRig: ~Copyable {
  typealias Row = (name: String, value: Double, unit: String)

  /// Sessions that end, and come, at a time.
  static let together = 50

  private var balancer: Balancer
  private var nodes: [Balancer.Node]
  private var sessions: [SessionName] = []
  private let placedNanoseconds: Double
  private var random = SystemRandomNumberGenerator()

  /// What a session is called by: 16 bytes, random but for the slot in the last 14 bits.
  struct SessionName {
    var high: UInt64
    var low: UInt64

    init(slot: Int, _ random: inout some RandomNumberGenerator) {
      high = random.next()
      low = random.next() & ~0x3fff | UInt64(slot)
    }

    var slot: Int { Int(low & 0x3fff) }
  }

  static func even(_ count: Int) -> [Balancer.Node] { (1...count).map { Balancer.Node($0) } }

  /// Weights from 50 to 150 whose shares of 100,000 are whole numbers, so that there is such a
  /// thing as an exact share.
  static func weighted(_ count: Int) -> [Balancer.Node] {
    (1...count).map { Balancer.Node($0, weight: 100 + ($0 % 2 == 0 ? 1 : -1) * (($0 + 1) / 2)) }
  }

  init(_ nodes: [Balancer.Node], sessions count: Int) {
    self.nodes = nodes
    balancer = Balancer(nodes)
    var slots: [Int] = []
    slots.reserveCapacity(count)
    let began = monotonicNow()
    for _ in 0..<count { slots.append(balancer.place()!) }
    placedNanoseconds = Double(monotonicNow() - began) / Double(count)
    for slot in slots { sessions.append(SessionName(slot: slot, &random)) }
    // They don't speak in the order of their coming.
    sessions.shuffle(using: &random)
  }

  /// How far the node that is farthest from its exact share is from it, in percent of that share.
  private var farthest: Double {
    let weights = nodes.reduce(0) { $0 + $1.weight }
    let deviations = nodes.map { node in
      let share = Double(sessions.count * node.weight) / Double(weights)
      return abs(Double(balancer.count(of: node.number)) - share) / share * 100
    }
    return deviations.max() ?? 0
  }

  var deviation: [Row] { [("max_deviation_pct", farthest, "%")] }
  var placing: [Row] { [("place_ns", placedNanoseconds, "ns")] }

  /// Each session's node, of all sessions in turn, from what stands in its name.
  func lookUps(_ context: RunContext) -> [Row] {
    let rounds = context.size(200, quick: 20)
    var times: [Double] = []
    for _ in 0..<5 {
      let began = monotonicNow()
      var sum = 0
      for _ in 0..<rounds { sum &+= Self.lookUpEach(sessions, balancer.owners) }
      let taken = Double(monotonicNow() - began)
      precondition(sum == rounds * sumOfOwners, "looked up what nobody owns")
      times.append(taken / Double(rounds * sessions.count))
    }
    return [("lookup_ns", Statistics.median(times), "ns")]
  }

  private var sumOfOwners: Int {
    nodes.reduce(0) { $0 + $1.number * balancer.count(of: $1.number) }
  }

  @inline(never)
  private static func lookUpEach(_ sessions: [SessionName], _ owners: SlotOwners) -> Int {
    var sum = 0
    for session in sessions { sum &+= owners[session.slot] }
    return sum
  }

  /// The nodes are others: what has moved, and how long it took until all know their node. Done and
  /// undone some times; of what must be small the worst time counts.
  mutating func change(to others: [Balancer.Node], rounds: Int) -> [Row] {
    let former = nodes
    let all = Double(sessions.count)
    var times: [Double] = []
    var (movedMost, optimum, worst) = (0, 0, 0.0)
    for round in 0..<rounds {
      if round > 0 { balancer.setNodes(former) }
      let before = sessions.map { balancer.owners[$0.slot] }
      optimum = mustMove(to: others)
      let began = monotonicNow()
      balancer.setNodes(others)
      times.append(Double(monotonicNow() - began) / 1e6)
      nodes = others
      movedMost = max(movedMost, zip(sessions, before).count { balancer.owners[$0.slot] != $1 })
      worst = max(worst, farthest)
    }
    return [
      ("max_deviation_pct", worst, "%"),
      ("moved_pct", Double(movedMost) / all * 100, "%"),
      ("optimum_pct", Double(optimum) / all * 100, "%"),
      ("moved_pct_of_optimum", Double(movedMost) / Double(optimum) * 100, "%"),
      ("rebalance_ms", Statistics.median(times), "ms"),
      ("rebalance_max_ms", times.max() ?? 0, "ms"),
    ]
  }

  /// Sessions that have to move: those of nodes that have no share any more, and those above the
  /// share, rounded up, of those that have.
  private func mustMove(to others: [Balancer.Node]) -> Int {
    let weights = others.reduce(0) { $0 + $1.weight }
    let kept = others.reduce(0) { kept, node in
      let share = (sessions.count * node.weight + weights - 1) / weights
      return kept + min(balancer.count(of: node.number), share)
    }
    return sessions.count - kept
  }

  /// Sessions chosen at random end, and as many come, again and again. The deviation is looked at
  /// when they have ended, and when the others have come.
  mutating func churn(rounds: Int) -> [Row] {
    var worst = 0.0
    for _ in 0..<rounds {
      var ended: [SessionName] = []
      for _ in 0..<Self.together {
        let last = sessions.count - 1
        sessions.swapAt(Int.random(in: 0...last, using: &random), last)
        let session = sessions.removeLast()
        balancer.remove(from: session.slot)
        ended.append(session)
      }
      worst = max(worst, farthest)
      for _ in ended { sessions.append(SessionName(slot: balancer.place()!, &random)) }
      worst = max(worst, farthest)
    }
    return [("max_deviation_pct", worst, "%")]
  }
}
