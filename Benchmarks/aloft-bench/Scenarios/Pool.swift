import Aloft
import Foundation
import Synchronization

/// Pools of in-process resources, leased by callers on the owner loops and off them, with and
/// without waiting; and pools of real TCP connections beside the same connections without a pool.
///
/// A caller is a task that leases, gives up its turn with the lease in hand when there are more
/// callers than resources, so that others have to wait, and returns. With few callers nobody waits:
/// then a caller is a plain loop, and what is measured is the pool and nothing else.
struct PoolScenario: Scenario {
  static let id = "2-pool"
  static let title = "Connection pooling"

  private static let pools = 128
  private static let size = 16

  func run(_ context: RunContext) throws -> [Figure] {
    var parts = [1, 2, 64, 1_000, 5_000].flatMap { callers in
      [Part.ownerLoops(callers), .foreignThreads(callers)]
    }
    parts.append(.tcp)
    return try measureEach(parts, name: { $0.config }) { part in
      context.progress.step("\(Self.id) \(part.config)")
      let lines =
        switch part {
        case .ownerLoops(let callers): try owners(callers, context)
        case .foreignThreads(let callers): try foreigners(callers, context)
        case .tcp: try PoolOverTCP.measure(context)
        }
      return lines.map {
        figure(context, system: "aloft", config: part.config, $0.name, $0.value, $0.unit)
      }
    }
  }

  private enum Part {
    case ownerLoops(Int)
    case foreignThreads(Int)
    case tcp

    var config: String {
      switch self {
      case .ownerLoops(let callers):
        "pools=128 size=16 callers=\(callers) \(callers > 64 ? "waiting" : "owner-loops") loops=2"
      case .foreignThreads(let callers):
        "pools=128 size=16 callers=\(callers) "
          + (callers > 64 ? "waiting foreign-tasks" : "foreign-threads") + " threads=2"
      case .tcp: PoolOverTCP.config
      }
    }
  }

  typealias Line = (name: String, value: Double, unit: String)

  // MARK: Where nobody waits

  /// Callers take turns on their loop, a slice of 1,000 cycles each, as threads would on a core.
  private func owners(_ callers: Int, _ context: RunContext) throws -> [Line] {
    if callers > 64 { return try waiting(callers, onLoops: true, context) }
    let runtime = try Runtime(.init(eventLoops: 2, connectionsMax: 64))
    let pools = try PoolBench.pools(runtime, count: Self.pools, size: Self.size, kept: 8)
    let loops = Array(runtime.eventLoops.prefix(callers))
    let each = context.size(60_000_000, quick: 4_000_000)
    let begin = PoolBench.now()
    try PoolBench.waiting {
      try await withThrowingTaskGroup { group in
        for (index, loop) in loops.enumerated() {
          let mine = (callers + loops.count - 1 - index) / loops.count
          group.addTask {
            try await loop.run { Self.takeTurns(pools, callers: mine, cycles: each) }
          }
        }
        try await group.waitForAll()
      }
    }
    let seconds = (PoolBench.now() - begin) / 1e9
    let cycles = each * loops.count
    let lines = try account(pools, cycles: cycles, seconds: seconds)
    try PoolBench.waiting { await runtime.shutdown(within: .zero) }
    return lines
  }

  private static func takeTurns(_ pools: [PoolBench.ResourcePool], callers: Int, cycles: Int) {
    let local = pools.map(\.local)
    // Each caller begins with another pool, and goes through all of them.
    var left = cycles
    while left > 0 {
      for caller in 0..<callers where left > 0 {
        let slice = min(1_000, left)
        _ = PoolBench.ownLoop(local, from: caller, cycles: slice)
        left -= slice
      }
    }
  }

  /// Two threads that are nobody's loop; callers take turns on them.
  private func foreigners(_ callers: Int, _ context: RunContext) throws -> [Line] {
    if callers > 64 { return try waiting(callers, onLoops: false, context) }
    let runtime = try Runtime(.init(eventLoops: 2, connectionsMax: 64))
    let pools = try PoolBench.pools(runtime, count: Self.pools, size: Self.size, kept: 0)
    let threads = min(2, callers)
    let each = context.size(20_000_000, quick: 1_500_000)
    let team = PoolTeam(threads) { index in
      let mine = max(1, callers / threads)
      var left = each
      var caller = 0
      while left > 0 {
        let slice = min(1_000, left)
        // The slice of a caller is for one pool; threads come by the same pools.
        PoolBench.anyThread(pools[(index + caller) % pools.count], cycles: slice)
        left -= slice
        caller = (caller + 1) % (mine * pools.count)
      }
    }
    let seconds = team.run() / 1e9
    let lines = try account(pools, cycles: each * threads, seconds: seconds)
    try PoolBench.waiting { await runtime.shutdown(within: .zero) }
    return lines
  }

  // MARK: Where they wait

  private func waiting(_ callers: Int, onLoops: Bool, _ context: RunContext) throws -> [Line] {
    let runtime = try Runtime(.init(eventLoops: 2, connectionsMax: 64))
    let pools = try PoolBench.pools(runtime, count: Self.pools, size: Self.size)
    let loops = runtime.eventLoops
    let turns = context.size(1_000_000, quick: 100_000) / callers + 1
    let results = PoolCallers(callers)
    let begin = PoolBench.now()
    try PoolBench.waiting {
      try await withThrowingTaskGroup { group in
        for caller in 0..<callers {
          let executor = onLoops ? loops[caller % loops.count].executor : nil
          group.addTask(executorPreference: executor) {
            var waits: [UInt32] = []
            var asks: [Double] = []
            waits.reserveCapacity(turns)
            asks.reserveCapacity(turns)
            // Each has a pool of its own choice and stays with it: callers that went from pool to
            // pool would bunch up like buses, and their waits tell of that.
            let pool = pools[caller % pools.count]
            for _ in 0..<turns {
              let asked = PoolBench.now()
              asks.append(asked)
              try await pool.withLease { _ in
                waits.append(UInt32(min(PoolBench.now() - asked, 4e9)))
                await Task.yield()
              }
            }
            results.waits[caller].value = waits
            results.waits[caller].asked = asks
          }
        }
        try await group.waitForAll()
      }
    }
    let seconds = (PoolBench.now() - begin) / 1e9
    var lines = try account(pools, cycles: callers * turns, seconds: seconds)
    var latencies = Latencies()
    for waits in results.waits {
      for wait in waits.value { latencies.add(nanoseconds: UInt64(wait)) }
    }
    lines += latencies.figures.map { ($0.name, $0.microseconds, "us") }
    if callers > Self.pools * Self.size {
      let ideal = idealFIFO(results, pools: pools.count).microseconds(99)
      lines.append(("ideal_fifo_p99_us", ideal, "us"))
      lines.append(("p99_to_ideal_fifo", latencies.microseconds(99) / ideal, "x"))
    }
    try PoolBench.waiting { await runtime.shutdown(within: .zero) }
    return lines
  }

  /// What they would have waited if each lease had gone to the one who had asked first: the moments
  /// at which leases began are dealt out anew, pool by pool, in the order of the questions.
  private func idealFIFO(_ results: PoolCallers, pools: Int) -> Latencies {
    var latencies = Latencies()
    for pool in 0..<pools {
      let callers = stride(from: pool, to: results.waits.count, by: pools).map { results.waits[$0] }
      let asked = callers.flatMap(\.asked).sorted()
      let began = callers.flatMap { zip($0.asked, $0.value).map { $0 + Double($1) } }.sorted()
      for (ask, begin) in zip(asked, began) {
        latencies.add(nanoseconds: UInt64(max(0, begin - ask)))
      }
    }
    return latencies
  }

  /// The pools' own counts: every lease is accounted for, and nothing is out.
  private func account(
    _ pools: [PoolBench.ResourcePool], cycles: Int, seconds: Double
  ) throws -> [Line] {
    var leases: UInt64 = 0
    var (overflow, timeouts, lost) = (0.0, 0.0, 0.0)
    for pool in pools {
      let statistics = try PoolBench.waiting { try await pool.statistics }
      leases += statistics.leases
      overflow += Double(statistics.overflowed)
      timeouts += Double(statistics.timedOut)
      lost += Double(statistics.inUse + statistics.waiting)
    }
    return [
      ("cycles_per_s", Double(cycles) / seconds, "1/s"),
      ("overflow", overflow, "1"), ("timeouts", timeouts, "1"),
      ("lost", lost + abs(Double(leases) - Double(cycles)), "1"),
    ]
  }
}

/// What each caller of a run waited, written by it alone and read when all are done.
final class PoolCallers: Sendable {
  final class Waits: @unchecked Sendable {
    // Sendable: one task writes, and it has been waited for.
    var value: [UInt32] = []
    /// When each wait began, if it is of interest.
    var asked: [Double] = []
  }

  let waits: [Waits]
  init(_ count: Int) { waits = (0..<count).map { _ in Waits() } }
}
