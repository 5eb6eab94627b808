import AloftAtomics

// Rings of several producers and consumers that are wrong on purpose, each in one way.

/// A ring of one slot whose sequence only says "free" or "filled", and not in which lap: a slot
/// that is claimed and not yet filled is as free as one that came back.
struct LaplessRing {
  let memory: ModelMemory

  func push(_ item: UInt) -> Bool {
    let tail = memory.loadRelaxed(0)
    if memory.loadAcquire(32) != 0 { return false }
    if memory.compareExchangeSequential(0, tail, tail &+ 2) != tail { return false }
    memory.write(33, item)
    memory.storeRelease(32, 1)
    return true
  }
}

/// A ring of one slot whose consumer gives the slot back before it has read the item.
struct EarlyReleaseRing {
  let memory: ModelMemory

  func pop() -> UInt? {
    let head = memory.loadRelaxed(16)
    if memory.loadAcquire(32) != head &+ 1 { return nil }
    if memory.compareExchangeSequential(16, head, head &+ 2) != head { return nil }
    memory.storeRelease(32, head &+ 2)
    return memory.read(33)
  }
}

/// A ring that is closed by a word of its own, which a push looks at before it claims: the close
/// and the last look of a consumer may fall between the two.
struct LookBeforeClaimRing {
  let ring: MPMCRingCore<ModelMemory>
  let memory: ModelMemory
  let closed: Int

  func push(_ item: UInt) -> Bool {
    memory.loadSequential(closed) == 0 && ring.push(item) == .accepted
  }

  /// Nil when there is nothing and nothing will come.
  func pop(_ item: inout UInt) -> RingPop {
    let isClosed = memory.loadSequential(closed) != 0
    let answer = ring.pop(&item, exactly: true)
    return answer == .empty && isClosed ? .closed : answer
  }
}
