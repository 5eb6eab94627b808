/// What a pool may do and when: numbers alone. Times are nanoseconds; 0 means never, or at once.
package struct PoolLimits: Sendable, Equatable {
  /// Resources that are kept open though nobody asks.
  package var sizeMin = 0
  /// Resources that stay open when they are returned.
  package var sizeMax = 10
  /// Opened beyond `sizeMax` while somebody waits, and closed when nobody does.
  package var overflowMax = 0
  /// Those who may wait at a time; the next one is refused.
  package var waitersMax = 65_536
  /// A resource above `sizeMin` that nobody has used for so long is closed.
  package var idleMax: UInt64 = 0
  /// A resource that has been open for so long is closed when it is idle, and replaced.
  package var lifetimeMax: UInt64 = 0
  /// By up to so many thousandths a lifetime is shorter than `lifetimeMax`, drawn at random, so
  /// that those opened together are not closed together.
  package var lifetimeJitter: UInt64 = 200
  /// A borrower that holds a resource for so long has lost it.
  package var leaseMax: UInt64 = 0
  /// An idle resource is checked so often.
  package var checkEvery: UInt64 = 0
  /// A resource is checked whenever it is returned.
  package var checksReturns = false
  package var upstreams = 1
  package var breaker = BreakerLimits()

  package init() {}

  /// Slots that a pool of these limits needs.
  package var slots: Int { sizeMax + overflowMax }
}

/// Why a lease was refused, with the numbers that matter.
package enum PoolRefusal: Error, Equatable, Sendable {
  /// As many wait as may.
  case queueFull(waiting: Int, max: Int)
  /// It waited for so many nanoseconds.
  case timedOut(waited: UInt64)
  /// The upstreams failed so often in a row, and are asked again in so many nanoseconds.
  case upstreamDown(failures: Int, retryIn: UInt64)
  /// The pool drains, or has been drained, or its runtime has ended.
  case closed
  /// It gave up itself.
  case cancelled
}

/// One who waits: a plain value that goes stale when it is served or refused.
package struct WaiterID: Hashable, Sendable {
  package let index: UInt32
  package let generation: UInt32

  package init(index: UInt32, generation: UInt32) {
    self.index = index
    self.generation = generation
  }
}

/// What the logic of a pool asks for. In the order given, but for `seek`, which comes last.
package enum PoolAction: Equatable, Sendable {
  /// Open a resource; `opened` or `openFailed` follows.
  case open(slot: Int, upstream: Int)
  /// Close it; `closed` follows.
  case close(slot: Int)
  /// See whether it is sound; `checked` follows.
  case check(slot: Int)
  /// Hand it over. Nobody else has asked for longer.
  case lend(slot: Int, to: WaiterID)
  case refuse(WaiterID, PoolRefusal)
  /// Nobody needs it: let it be found without asking.
  case shelve(slot: Int)
  /// Have it come back with its next return, or no longer.
  case recall(slot: Int, Bool)
  /// Bring it if it is idle.
  case fetch(slot: Int)
  /// Take it from its borrower.
  case reclaim(slot: Int)
  /// Somebody waits: bring idle resources, then say `sought`.
  case seek
  /// From now on nothing may be lent but by `lend`.
  case shut
  /// Nothing is open any more.
  case drained
}

/// Why a resource is at home again.
package enum PoolReturn: Equatable, Sendable {
  /// It was returned, or was idle.
  case sound
  /// Its borrower says that it is broken, or has lost it.
  case broken
  case reclaimed
  /// Its borrower doesn't know: check it if there is a check, else close it.
  case doubtful
}
