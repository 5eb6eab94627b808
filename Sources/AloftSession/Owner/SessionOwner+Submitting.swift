internal import AloftMembership

extension SessionOwner {
  /// Takes a write. What it came to, if that is known at once; else nil, and `nextAnswer` brings it
  /// with this token.
  package func submit(
    _ request: SessionRequest, token: UInt64, now: UInt64
  ) -> SessionOutcome? {
    scratch.removeAll()
    request.operation.writeBody(&scratch)
    var head = request.head
    head.principal = request.principal
    return unsafe scratch.withBytes { unsafe submit(head, $0, token: token, now: now) }
  }

  /// Takes a write in the form in which it is passed on: ``SessionRequest/bytes``.
  /// - Parameter since: of a write that may have been done before, what had been applied where it
  ///   was asked for when it was asked for the first time. If its key may be forgotten by now, the
  ///   answer is `uncertain` with 1 as the number: to do it once more could be to do it twice.
  package func submit(
    bytes: UnsafeRawBufferPointer, repeatedSince since: UInt64? = nil, token: UInt64, now: UInt64
  ) -> SessionOutcome? {
    var reader = unsafe RawReader(bytes)
    guard let view = try? OperationView(&reader), reader.remaining == 0, view.head.kind.isUsers
    else { return SessionOutcome(.malformed) }
    var head = view.head
    head.principal = head.principal ?? .anyone
    if let since {
      self.now = now
      let isServed = head.id.slot.map { standing($0) == nil } ?? true
      if isServed, mayHaveForgotten(head, since: since) {
        return SessionOutcome(.uncertain, number: 1)
      }
    }
    return unsafe submit(head, view.body, token: token, now: now)
  }

  /// Whether so many others have been done since, or are about to be, that its key may be gone when
  /// its turn comes.
  private func mayHaveForgotten(_ head: OperationHead, since: UInt64) -> Bool {
    let number = store.number(of: head.id)
    guard number != 0, head.key != 0, store.answer(number, to: head.key) == nil else {
      return false
    }
    let newer = store.keysNewer(number, than: since << 16 | 0xFFFF)
    return newer + Int(records[number].inFlight) >= Int(records[number].keysMax)
  }

  /// `submit` of a create, without arrays.
  package func submitCreate(
    _ id: SessionID, principal: Principal, key: UInt64, options: SessionOptions,
    name: RawSpan, state: RawSpan, token: UInt64, now: UInt64
  ) -> SessionOutcome? {
    scratch.removeAll()
    CreateBody.write(options, nameLength: name.byteCount, to: &scratch)
    scratch.put(raw: name)
    scratch.put(raw: state)
    let head = OperationHead(
      kind: .create, id: id, key: key, expected: nil, principal: principal)
    return unsafe scratch.withBytes { unsafe submit(head, $0, token: token, now: now) }
  }

  /// `submit` of a new state, without an array.
  package func submitPut(
    _ id: SessionID, principal: Principal, key: UInt64, expected: UInt64?, state: RawSpan,
    token: UInt64, now: UInt64
  ) -> SessionOutcome? {
    let head = OperationHead(
      kind: .put, id: id, key: key, expected: expected, principal: principal)
    return unsafe state.withUnsafeBytes { unsafe submit(head, $0, token: token, now: now) }
  }

  /// `head.principal` is whose the session has to be.
  @inline(__always)
  private func submit(
    _ head: OperationHead, _ body: UnsafeRawBufferPointer, token: UInt64, now: UInt64
  ) -> SessionOutcome? {
    self.now = now
    if let slot = head.id.slot {
      if let refusal = standing(slot) { return refusal }
    } else if head.id.localNode != identity.id {
      return SessionOutcome(.moved, number: UInt64(head.id.localNode?.rawValue ?? 0))
    }
    let number = store.number(of: head.id)
    if let outcome = unsafe look(head, body, number) {
      if outcome.isDone { touched(number) }
      return outcome
    }
    if head.id.isLocal { return unsafe performLocal(head, body, number) }
    guard pendingBytes + body.count <= limits.queuedBytesMax else {
      return SessionOutcome(.busy, number: UInt64(pendingOperations))
    }
    unsafe add(head, body, number, token: token, isAwaited: true)
    return nil
  }

  /// What can be said at once: all, if nothing of that session is in flight, that follows from what
  /// it is; and what limits say.
  @inline(__always)
  private func look(
    _ head: OperationHead, _ body: UnsafeRawBufferPointer, _ number: UInt32
  ) -> SessionOutcome? {
    if number != 0 {
      if records[number].inFlight == 0 {
        if let refusal = store.refusal(head, on: number) { return refusal }
      }
      if head.kind != .create {
        if records[number].durability == .replicated, voters < 2 { return weaker }
        if head.kind.adds, body.count > Int(records[number].stateMax),
          body.count > Int(records[number].outboxBytesMax)
        {
          return SessionOutcome(.tooLarge, number: UInt64(records[number].stateMax))
        }
      }
    } else if head.kind != .create {
      // Only one that is on its way can still become it.
      guard let slot = head.id.slot, slotInFlight[Int(slot.rawValue)] > 0 else {
        return SessionOutcome(.unknown)
      }
    }
    if head.kind == .create {
      if let refusal = unsafe lookAtCreate(head, body, number) { return refusal }
    }
    return head.kind.adds ? lookAtRoom(head, body.count) : nil
  }

  private var records: Slab<Record> {
    @inline(__always) _read { yield store.records }
  }

  private var weaker: SessionOutcome { SessionOutcome(.weaker, number: UInt64(voters)) }

  @inline(__always)
  private func lookAtCreate(
    _ head: OperationHead, _ body: UnsafeRawBufferPointer, _ number: UInt32
  ) -> SessionOutcome? {
    guard let create = try? unsafe CreateBody(body),
      (create.options.durability == .local) == head.id.isLocal
    else { return SessionOutcome(.malformed) }
    let options = create.options
    if options.stateMax > limits.stateMax {
      return SessionOutcome(.tooLarge, number: UInt64(limits.stateMax))
    }
    if options.outboxBytesMax > limits.outboxBytesMax {
      return SessionOutcome(.tooLarge, number: UInt64(limits.outboxBytesMax))
    }
    if options.keysMax > limits.keysMax {
      return SessionOutcome(.tooLarge, number: UInt64(limits.keysMax))
    }
    if unsafe create.state.count > Int(options.stateMax) {
      return SessionOutcome(.tooLarge, number: UInt64(options.stateMax))
    }
    if options.durability == .replicated, voters < 2 { return weaker }
    if store.count + pendingCreates >= limits.sessionsMax {
      return SessionOutcome(.storeFull, number: UInt64(limits.sessionsMax))
    }
    return nil
  }

  /// A principal's limits: by what it has here and what it's about to have by this node. Other
  /// owners may let it have more by as much as they have in flight.
  @inline(__always)
  private func lookAtRoom(_ head: OperationHead, _ bytes: Int) -> SessionOutcome? {
    guard let principal = head.principal, principal != .anyone else { return nil }
    let taken = room.taken(by: principal)
    if head.kind == .create,
      store.count(principal: principal) + taken.sessions >= limits.sessionsPerPrincipalMax
    {
      return SessionOutcome(.principalFull, number: UInt64(limits.sessionsPerPrincipalMax))
    }
    if store.bytes(principal: principal) + taken.bytes + bytes > limits.bytesPerPrincipalMax {
      return SessionOutcome(.principalFull, number: UInt64(limits.bytesPerPrincipalMax))
    }
    return nil
  }

  /// Puts an operation into the entry that is being put together.
  @inline(__always)
  func add(
    _ head: OperationHead, _ body: UnsafeRawBufferPointer, _ number: UInt32, token: UInt64,
    isAwaited: Bool
  ) {
    let full = building.count > 0 && building.count + body.count > limits.entryBytesMax
    if full || buildingOperations.count == limits.entryOperationsMax { closeEntry() }
    if building.count == 0 { beginEntry() }
    var stored = head
    if head.kind == .create {
      if head.principal == .anyone { stored.principal = nil }
    } else if number != 0, records[number].inFlight == 0 {
      // It was looked at, and nothing is on its way that could change it.
      stored.principal = nil
    }
    let start = building.count
    unsafe write(stored, body, to: &building)
    let bytes = building.count - start
    var operation = PendingOperation(
      token: token, number: number, room: 0, bytes: UInt32(truncatingIfNeeded: bytes),
      isCreate: head.kind == .create, isAwaited: isAwaited)
    if head.kind.adds, let principal = head.principal, principal != .anyone {
      operation.room = room.take(
        principal, sessions: operation.isCreate ? 1 : 0, bytes: bytes)
    }
    buildingOperations.append(operation)
    pendingBytes &+= bytes
    pendingOperations &+= 1
    if operation.isCreate { pendingCreates &+= 1 }
    slotInFlight[Int(head.id.place)] &+= 1
    if number != 0 {
      store.records[number].inFlight &+= 1
      touched(number)
    }
  }

  /// As it stands in an entry: what was left of a life becomes when it ends.
  @inline(__always)
  private func write(
    _ head: OperationHead, _ body: UnsafeRawBufferPointer, to writer: inout RawWriter
  ) {
    let start = writer.begin(head)
    let bodyAt = writer.count
    unsafe writer.put(raw: body)
    writer.finish(start)
    guard head.kind == .create, let at = unsafe CreateBody.deadlineOffset(body) else { return }
    let lifetime = unsafe body.loadUnaligned(fromByteOffset: at, as: UInt64.self)
    let (end, isOver) = (wallOffsetMs + nowMs).addingReportingOverflow(
      UInt64(littleEndian: lifetime))
    writer.set(isOver ? UInt64.max : end, at: bodyAt + at)
  }

  /// For a session in this node's memory: done here and now.
  private func performLocal(
    _ head: OperationHead, _ body: UnsafeRawBufferPointer, _ number: UInt32
  ) -> SessionOutcome {
    store.localVersion += 1
    // As it would stand in an entry, for the deadline.
    var writer = RawWriter(capacity: 64 + body.count)
    unsafe write(head, body, to: &writer)
    let evaluation = unsafe writer.withBytes { bytes in
      var reader = unsafe RawReader(bytes)
      guard let view = try? OperationView(&reader) else {
        return Evaluation(SessionOutcome(.malformed))
      }
      return store.perform(view, version: store.localVersion)
    }
    took(evaluation, head.id)
    return evaluation.outcome
  }
}

extension OperationKind {
  /// What users may ask for.
  var isUsers: Bool { self != .expire && self != .remove }

  /// May need more room.
  @inline(__always)
  var adds: Bool {
    switch self {
    case .create, .put, .append, .patch, .publish: true
    case .setPhase, .acknowledge, .close, .expire, .remove: false
    }
  }
}
