internal import AloftMembership

/// What the owner answers at once, from what is committed: nobody else may change its sessions, so
/// that is the latest there is.
extension SessionOwner {
  /// The session, for a read that is linearizable. Counts as use.
  @inline(__always)
  package func read(_ id: SessionID, by principal: Principal, now: UInt64) -> SessionReading {
    self.now = now
    if let slot = id.slot {
      if let refusal = standing(slot) { return .refused(refusal) }
    } else if id.localNode != identity.id {
      return .refused(SessionOutcome(.moved, number: UInt64(id.localNode?.rawValue ?? 0)))
    }
    let number = store.number(of: id)
    guard number != 0 else { return .refused(SessionOutcome(.unknown)) }
    let reading = store.reading(number, by: principal)
    guard case .found = reading else { return reading }
    // Whether it still is will be known when its end has come back from the log.
    if store.records[number].flags & Record.ending != 0 {
      return .refused(SessionOutcome(.notReady, version: store.records[number].version))
    }
    touched(number)
    return reading
  }

  /// It's in use. No entry: the idle time is the owner's alone.
  package func touch(_ id: SessionID, by principal: Principal, now: UInt64) -> SessionOutcome {
    switch read(id, by: principal, now: now) {
    case .found(let ref): SessionOutcome(.done, version: store.version(ref))
    case .refused(let outcome): outcome
    }
  }

  // MARK: Connections

  /// A connection uses the session: until it's detached, or its node's life is over, the session
  /// doesn't end by itself.
  package func attach(
    _ id: SessionID, by principal: Principal, _ connection: SessionConnection, now: UInt64
  ) -> SessionReading {
    let reading = read(id, by: principal, now: now)
    guard let ref = reading.ref else { return reading }
    dropStale(ref.number)
    if store.connections(ref.number).contains(connection) { return reading }
    guard store.attachmentCount(ref.number) < limits.attachmentsMax,
      store.attach(ref.number, connection)
    else {
      return .refused(SessionOutcome(.attachmentsFull, number: UInt64(limits.attachmentsMax)))
    }
    return reading
  }

  /// False when it wasn't attached.
  @discardableResult
  package func detach(_ id: SessionID, _ connection: SessionConnection, now: UInt64) -> Bool {
    self.now = now
    let number = store.number(of: id)
    guard number != 0 else { return false }
    let found = store.detach(number) {
      $0.number == connection.number && $0.node == connection.node.rawValue
        && $0.incarnation == connection.incarnation.rawValue
    }
    if found { rest(number) }
    return found
  }

  package func connections(_ ref: SessionRef) -> [SessionConnection] {
    dropStale(ref.number)
    return store.connections(ref.number)
  }

  /// Those of lives that are over.
  func dropStale(_ number: UInt32) {
    guard store.records[number].attachment != 0 else { return }
    let found = store.detach(number) { attachment in
      let incarnation = Incarnation(rawValue: attachment.incarnation)
      return slots.isKnownGone(incarnation)
        || !store.fence.isCurrent(NodeID(rawValue: attachment.node), incarnation)
    }
    if found { rest(number) }
  }

  /// Nobody may use it any more, from now on.
  private func rest(_ number: UInt32) {
    store.records[number].activeAt = nowMs
    arm(number)
  }

  // MARK: Requests of the application

  /// A request is under way: until it's released as often as it was held, the session doesn't end
  /// by itself.
  package func hold(_ id: SessionID, by principal: Principal, now: UInt64) -> SessionReading {
    let reading = read(id, by: principal, now: now)
    guard let ref = reading.ref else { return reading }
    guard store.records[ref.number].holds < .max else {
      return .refused(SessionOutcome(.busy, number: UInt64(UInt16.max)))
    }
    store.records[ref.number].holds += 1
    return reading
  }

  package func release(_ id: SessionID, now: UInt64) {
    self.now = now
    let number = store.number(of: id)
    guard number != 0, store.records[number].holds > 0 else { return }
    store.records[number].holds -= 1
    rest(number)
  }

  // MARK: Minting

  /// An ID for a new session, in the slot whose turn it is; nil when no node may have sessions. The
  /// words are random, and nobody else's.
  package func mint(high: UInt64, low: UInt64) -> SessionID? {
    placer.next(own: identity.id) { store.slots.count($0) }.map {
      SessionID(high: high, low: low, slot: $0)
    }
  }
}
