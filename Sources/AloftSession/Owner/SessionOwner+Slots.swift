package import AloftMembership

extension SessionOwner {
  /// The cluster is now this, since the entry of this index: to be told after each entry that
  /// changed members or slots, and after a snapshot.
  package func clusterChanged(
    _ state: ClusterState, index: UInt64, identity: NodeIdentity, now: UInt64
  ) {
    self.now = now
    let isOtherLife = identity != self.identity
    if isOtherLife {
      dropAll(as: .moved)
      for slot in slots.owned { slots.lose(slot) }
      self.identity = identity
    }
    let changed = store.clusterChanged(state, index: index)
    if state.epoch != epoch {
      // What was asked for before was asked of who owned what then.
      closeEntry()
      epoch = state.epoch
    }
    // Those who had slots before were noted then.
    let isAllNew = isOtherLife || isFenceNew
    isFenceNew = false
    if !changed.isEmpty || isAllNew {
      for (node, incarnation) in store.fence.holders { slots.note(node, incarnation) }
    }
    let isMember =
      identity.id.rawValue != 0 && state.isCurrent(identity.id, identity.incarnation)
    var gained: [Slot] = []
    func look(at number: Int) {
      let slot = Slot(rawValue: UInt16(number))
      let isMine = isMember && store.fence.owners[number] == identity.id.rawValue
      if isMine == (slots[slot] != .foreign) { return }
      if isMine { gained.append(slot) } else { slots.lose(slot) }
    }
    if isAllNew { (0..<Slot.count).forEach(look) } else { changed.forEach(look) }
    slots.gain(gained, epoch)
    placer.change(to: state)
    settleSlots()
  }

  /// That life of that node knows of this change of slots.
  package func announced(
    by node: NodeID, _ incarnation: Incarnation, epoch: Epoch, now: UInt64
  ) {
    self.now = now
    slots.announced(incarnation, epoch)
    settleSlots()
  }

  /// The process of that life is certainly gone, not only silent.
  package func isGone(_ node: NodeID, _ incarnation: Incarnation, now: UInt64) {
    self.now = now
    slots.isGone(incarnation)
    settleSlots()
  }

  func settleSlots() {
    slots.endLives(now: now, lease: lease, current: store.fence.lives)
    let isHasty = store.has(.servedTooEarly)
    for slot in slots.settle(own: identity.incarnation, isHasty: isHasty) {
      slots.events.add(.ready(slot))
      if store.count(slot: slot) > 0 { unarmed.append(slot) }
    }
  }

  /// Why this node can't serve a slot; nil when it can.
  @inline(__always)
  func standing(_ slot: Slot) -> SessionOutcome? {
    switch slots[slot] {
    case .ready:
      // After a snapshot that is older than what was answered.
      return isAccepting && store.appliedIndex >= servedFrom ? nil : SessionOutcome(.notAccepting)
    case .waiting:
      let wait = slots.wait(now: now, own: identity.incarnation)
      let ms = wait.map { $0 > now ? ($0 - now) / 1_000_000 + 1 : 1 } ?? 0
      return SessionOutcome(.notReady, number: ms)
    case .foreign:
      return SessionOutcome(.moved, number: UInt64(store.fence.owners[Int(slot.rawValue)]))
    }
  }

  /// Whose slot it is, by the last change that was applied; 0 for nobody's.
  package func server(of slot: Slot) -> NodeID {
    NodeID(rawValue: store.fence.owners[Int(slot.rawValue)])
  }

  package func isReady(_ slot: Slot) -> Bool { slots[slot] == .ready }

  /// A snapshot has replaced the store: ``clusterChanged(_:index:identity:now:)`` follows.
  ///
  /// - Parameter other: what ``SessionRestorer`` made.
  package func restore(_ other: SessionStore, now: UInt64) {
    self.now = now
    let before = store.fence
    store.swap(with: other)
    // Whatever happened to a slot meanwhile, it's not the one that this node had.
    for slot in slots.owned {
      let number = Int(slot.rawValue)
      if store.fence.since[number] != before.since[number] { slots.lose(slot) }
    }
    isFenceNew = true
    servedFrom = max(servedFrom, earlyIndex)
    bringOver(from: other)
    closeEntry()
    for index in entries.indices { refer(&entries[index]) }
    // Those that the snapshot has were done, or refused: nobody knows; nor of any, if this life was
    // over before it.
    let isOver = !store.fence.isCurrent(identity.id, identity.incarnation)
    let last = isOver ? UInt64.max : store.fence.shown(of: identity.id)
    while let first = entries.first, first.sequence <= last { dropFirst(as: .uncertain) }
    for number in 0..<Slot.count {
      let slot = Slot(rawValue: UInt16(number))
      if slots[slot] == .ready, store.count(slot: slot) > 0 { unarmed.append(slot) }
    }
  }

  /// What is on its way is on its way for the new records.
  private func refer(_ entry: inout OwnEntry) {
    var numbers: [UInt32] = []
    unsafe entry.bytes.withUnsafeBytes { bytes in
      var reader = unsafe RawReader(bytes)
      _ = try? SessionEntryHeader(&reader)
      while let view = try? OperationView(&reader) {
        numbers.append(store.number(of: view.head.id))
      }
    }
    for (position, number) in numbers.enumerated() {
      entry.operations[position].number = number
      guard number != 0 else { continue }
      store.records[number].inFlight += 1
      if !entry.operations[position].isAwaited { store.records[number].flags |= Record.ending }
    }
  }

  /// What this node alone knows of its sessions, to the new records; and those of its own memory.
  private func bringOver(from old: SessionStore) {
    guard old.records.last > 0 else { return }
    for number in 1...old.records.last where old.records[number].isLinked {
      let record = old.records[number]
      if record.id.isLocal {
        store.bringOver(number, from: old)
        continue
      }
      guard record.attachment != 0 || record.holds > 0 else { continue }
      let fresh = store.number(of: record.id)
      guard fresh != 0 else { continue }
      store.records[fresh].holds = record.holds
      store.records[fresh].activeAt = record.activeAt
      for connection in old.connections(number) { _ = store.attach(fresh, connection) }
    }
  }
}
