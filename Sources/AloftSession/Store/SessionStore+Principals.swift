package import AloftMembership

extension SessionStore {
  @inline(__always)
  private func shard(_ principal: Principal) -> Int {
    Int(truncatingIfNeeded: principal.high) & (principalIndex.shards &- 1)
  }

  @inline(__always)
  private func hash(_ principal: Principal) -> UInt32 {
    UInt32(truncatingIfNeeded: principal.low &>> 32)
  }

  /// 0 when it has no session.
  @inline(__always)
  func number(of principal: Principal) -> UInt32 {
    principalIndex.find(shard(principal), hash(principal)) {
      principals[$0].high == principal.high && principals[$0].low == principal.low
    }
  }

  @inline(__always)
  func principal(of number: UInt32) -> Principal { principals[records[number].principal].principal }

  /// The session is this principal's from now on.
  @inline(__always)
  func joinPrincipal(_ number: UInt32, _ principal: Principal) {
    var owner = self.number(of: principal)
    if owner == 0 {
      guard let fresh = principals.take(&slabs.pages) else {
        preconditionFailure("more principals than sessions")
      }
      owner = fresh
      principals[owner].high = principal.high
      principals[owner].low = principal.low
      principalIndex.insert(shard(principal), hash(principal), owner, &slabs)
    }
    let next = principals[owner].first
    records[number].principal = owner
    records[number].previousOfPrincipal = 0
    records[number].nextOfPrincipal = next
    if next != 0 { records[next].previousOfPrincipal = number }
    principals[owner].first = number
    principals[owner].sessions &+= 1
  }

  func leavePrincipal(_ number: UInt32) {
    let owner = records[number].principal
    let (previous, next) = (
      records[number].previousOfPrincipal, records[number].nextOfPrincipal
    )
    if previous != 0 {
      records[previous].nextOfPrincipal = next
    } else {
      principals[owner].first = next
    }
    if next != 0 { records[next].previousOfPrincipal = previous }
    records[number].principal = 0
    principals[owner].sessions -= 1
    guard principals[owner].sessions == 0 else { return }
    let principal = principals[owner].principal
    principalIndex.remove(shard(principal), hash(principal), owner, &slabs)
    principals.give(owner)
  }

  /// The session has so many bytes more, or fewer.
  @inline(__always)
  func addBytes(_ number: UInt32, _ difference: Int) {
    let owner = records[number].principal
    principals[owner].bytes = UInt64(
      truncatingIfNeeded: Int(truncatingIfNeeded: principals[owner].bytes) &+ difference)
  }

  package func count(principal: Principal) -> Int {
    let number = number(of: principal)
    return number == 0 ? 0 : Int(principals[number].sessions)
  }

  /// Of the states, names and events of a principal's sessions.
  package func bytes(principal: Principal) -> Int {
    let number = number(of: principal)
    return number == 0 ? 0 : Int(principals[number].bytes)
  }

  /// A principal's sessions, those that are not over; the next `max` after one that a former call
  /// ended with. If that one is gone by now, from the first on.
  package func list(
    principal: Principal, after last: SessionID? = nil, max: Int = .max
  ) -> [SessionID] {
    let owner = number(of: principal)
    guard owner != 0 else { return [] }
    var number = principals[owner].first
    if let last {
      let found = self.number(of: last)
      if found != 0, records[found].principal == owner { number = records[found].nextOfPrincipal }
    }
    var ids: [SessionID] = []
    while number != 0, ids.count < max {
      if records[number].phase != .closed { ids.append(records[number].id) }
      number = records[number].nextOfPrincipal
    }
    return ids
  }

  /// A slot's sessions, those that are not over.
  package func list(slot: Slot) -> [SessionID] {
    var ids: [SessionID] = []
    slots.forEach(Int(slot.rawValue)) { number in
      if records[number].phase != .closed { ids.append(records[number].id) }
    }
    return ids
  }
}
