import AloftAtomics

// Bricks that are wrong on purpose, each in one way that has been got wrong before. The checker
// has to find each; if it doesn't, it can't be trusted with the real ones.

/// A ring of one producer that doesn't look whether its slots are free.
struct OverwritingRing {
  let memory: ModelMemory
  let mask: UInt

  func push(_ item: UInt) -> Bool {
    let tail = memory.loadOwn(0)
    memory.write(32 + Int(tail & mask), item)
    memory.storeRelease(0, tail &+ 1)
    return true
  }
}

/// A ring of several producers that believes an index behind the consumer's to be full: it takes
/// the difference for unsigned.
struct UnsignedRoomRing {
  let memory: ModelMemory
  let capacity: UInt

  func push(_ item: UInt) -> Bool {
    var tail = memory.loadRelaxed(0)
    while true {
      if tail &- memory.loadAcquire(16) >= capacity { return false }
      let found = memory.compareExchangeSequential(0, tail, tail &+ 1)
      if found == tail { break }
      tail = found
    }
    memory.storeRelease(32 + Int(tail & (capacity - 1)), item)
    return true
  }
}

/// A ring of several producers that publishes by its index alone, so that the consumer may take
/// a slot that is claimed and not yet filled.
struct ClaimIsPublicationRing {
  let memory: ModelMemory
  let mask: UInt

  func push(_ item: UInt) -> Bool {
    var tail = memory.loadRelaxed(0)
    while true {
      let found = memory.compareExchangeSequential(0, tail, tail &+ 1)
      if found == tail { break }
      tail = found
    }
    memory.write(32 + Int(tail & mask), item)
    return true
  }

  func pop() -> UInt? {
    let head = memory.loadOwn(16)
    if memory.loadAcquire(0) == head { return nil }
    let item = memory.read(32 + Int(head & mask))
    memory.storeRelease(16, head &+ 1)
    return item
  }
}

/// A stack that takes single nodes off its top. Between a popper's look at the second node and
/// its exchange, the top may go and come back with another second node: ABA.
struct PoppingStack {
  let memory: ModelMemory

  func push(_ node: UInt) {
    var head = memory.load(0, .acquire)
    while true {
      memory.store(Int(node), head, .relaxed)
      let found = memory.compareExchange(0, head, node, .acquireRelease)
      if found == head { return }
      head = found
    }
  }

  func pop() -> UInt? {
    var head = memory.load(0, .acquire)
    while head != 0 {
      let next = memory.load(Int(head), .relaxed)
      let found = memory.compareExchange(0, head, next, .acquireRelease)
      if found == head { return head }
      head = memory.load(0, .acquire)
    }
    return nil
  }
}

/// A flag whose producers all wake the loop that they find asleep.
struct EagerFlag {
  let memory: ModelMemory

  func mustWake() -> Bool { memory.loadSequential(0) != 0 }
}
