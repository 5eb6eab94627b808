// What the home of a pool does: it alone calls these, but for what says "any thread".
extension LeaseTableCore {
  /// Home. Takes any idle resource off the shelf; nil when there is none for certain.
  public func takeHome() -> Int? {
    let handle = take(from: 0, leaving: LeaseWord.away)
    if handle == UInt64.max { return nil }
    return LeaseHandle(rawValue: handle).slot
  }

  /// Home. Takes this slot off the shelf; false when it isn't there.
  public func takeHome(_ slot: Int) -> Bool {
    takeSlot(slot, leaving: LeaseWord.away).rawValue != UInt.max
  }

  /// Home. Puts a resource that is at home on the shelf. `mustPoke`: somebody waits, look again.
  public func shelve(_ slot: Int) -> LeaseReturn {
    let word = LeaseWord(rawValue: memory.loadRelaxed(state(slot)))
    memory.storeSequential(state(slot), word.held(by: LeaseWord.shelved).rawValue)
    return publish(slot)
  }

  /// Home. Lends a resource that is at home: the handle, without its pool's number, goes to the
  /// borrower by a message.
  public func lend(_ slot: Int) -> LeaseHandle {
    let word = LeaseWord(rawValue: memory.loadRelaxed(state(slot))).next(holder: LeaseWord.lent)
    memory.storeRelaxed(state(slot), word.rawValue)
    return LeaseHandle(pool: 0, slot: slot, generation: word.generation)
  }

  /// Home. Whether the loop has to be sent a message: else one is under way, and it will do.
  public func requestFlush(of loop: Int) -> Bool { change(flushWanted(loop)) { _ in 1 } == 0 }

  /// Any thread. How many a loop kept a moment ago.
  public func keptCount(by loop: Int) -> Int { Int(bitPattern: memory.loadRelaxed(slice(loop))) }

  /// Any thread. The slot's word a moment ago.
  public func observe(_ slot: Int) -> LeaseObservation {
    LeaseObservation(word: LeaseWord(rawValue: memory.loadRelaxed(state(slot))))
  }

  /// Home. Ends a lease that its borrower doesn't return; the handle is stale from then on.
  /// `mustSendHome`: it is at home. `mustForward`: its loop has to do it. `stale`: it came back.
  public func reclaim(_ slot: Int, _ observation: LeaseObservation) -> LeaseReturn {
    sendHome(LeaseHandle(pool: 0, slot: slot, generation: observation.word.generation))
  }
}

/// In whose hands a resource was, seen from elsewhere: two that are equal mean that it has not
/// been lent or returned in between.
public struct LeaseObservation: Equatable, Sendable {
  @usableFromInline let word: LeaseWord

  @inlinable
  init(word: LeaseWord) { self.word = word }

  public var isIdle: Bool { word.isIdle }
  public var isLent: Bool { word.isLent }
  /// The generation of the last lease.
  public var generation: UInt64 { word.generation }
  public var rawValue: UInt64 { UInt64(word.rawValue) }

  public static func == (left: LeaseObservation, right: LeaseObservation) -> Bool {
    left.word.rawValue == right.word.rawValue
  }
}
