// The bench's own arithmetic of shares, on small numbers of sessions.
import AloftNode
import Testing

@testable import aloft_bench

private func value(_ rows: [BalanceRig.Row], _ name: String) -> Double? {
  rows.first { $0.name == name }?.value
}

@Test func theWeightsOfTheBenchHaveWholeShares() {
  let nodes = BalanceRig.weighted(100)
  #expect(Set(nodes.map(\.number)).count == 100)
  #expect(nodes.reduce(0) { $0 + $1.weight } == 10_000)
  #expect(nodes.map(\.weight).min() == 50 && nodes.map(\.weight).max() == 150)
  let rig = BalanceRig(nodes, sessions: 10_000)
  let deviation = value(rig.deviation, "max_deviation_pct")
  #expect(deviation == 0)
}

@Test func aSessionTooManyIsADeviation() {
  // 1,001 sessions on 4 nodes: one has 251 where 250.25 are its share.
  let rig = BalanceRig(BalanceRig.even(4), sessions: 1_001)
  let deviation = value(rig.deviation, "max_deviation_pct") ?? 0
  #expect(abs(deviation - 0.75 / 250.25 * 100) < 1e-9)
}

@Test func whatMovesIsHeldAgainstWhatMust() {
  var rig = BalanceRig(BalanceRig.even(4), sessions: 20_000)
  let grown = rig.change(to: BalanceRig.even(5), rounds: 3)
  #expect(value(grown, "optimum_pct") == 20)
  #expect((20...20.2).contains(value(grown, "moved_pct") ?? 0))
  #expect((value(grown, "rebalance_ms") ?? 0) > 0)
  let shrunk = rig.change(to: BalanceRig.even(4), rounds: 3)
  #expect((value(shrunk, "moved_pct_of_optimum") ?? 0) <= 101)
  let churned = rig.churn(rounds: 50)
  #expect((value(churned, "max_deviation_pct") ?? 0) > 0)
}
