import AloftAtomics
package import AloftPool

/// How a pool stands, and what may be changed while it is in use. Any thread.
extension PoolHome {
  /// How a pool stands.
  package struct Snapshot: Sendable {
    package var counts = PoolCounts()
    package var waits = WaitHistogram()
    package var inUse = 0
    package var idle = 0
    package var waiting = 0
    package var opening = 0
    package var leases: UInt64 = 0
    package var upstreamsDown = 0
  }

  /// On the home's thread.
  package func snapshot() -> Snapshot {
    var snapshot = Snapshot()
    snapshot.counts = state.counts
    snapshot.waits = state.waits
    snapshot.waiting = state.waitingCount
    snapshot.opening = state.openingCount
    for slot in 0..<state.slotsMax {
      let seen = table.core.observe(slot)
      // Every lease of a slot has the next generation.
      snapshot.leases += seen.generation
      if seen.isLent { snapshot.inUse += 1 }
      if seen.isIdle { snapshot.idle += 1 }
    }
    snapshot.upstreamsDown = state.breakers.count { $0.reopensAt != nil }
    return snapshot
  }

  /// Has `body` run at home with how the pool stands; nil when the home's loop has ended.
  package func snapshot(_ body: @escaping @Sendable (Snapshot) -> Void) {
    onHome { home, _ in body(home.snapshot()) }
  }

  package func resize(sizeMin: Int, sizeMax: Int, overflowMax: Int) {
    onHome { home, now in
      home.state.resize(
        sizeMin: sizeMin, sizeMax: sizeMax, overflowMax: overflowMax, now: now,
        into: &home.actions)
    }
  }

  /// Refuses who waits, closes what is idle or comes back, and calls `then`, at home, when nothing
  /// is open. After `limit` nanoseconds, if that isn't 0, what is lent is taken back.
  package func drain(limit: UInt64, then: @escaping @Sendable () -> Void) {
    onHome { home, now in
      home.whenDrained.append(then)
      home.state.drain(
        deadline: limit == 0 ? 0 : now &+ limit, now: now, into: &home.actions)
    }
  }
}
