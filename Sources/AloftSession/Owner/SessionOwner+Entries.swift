internal import AloftMembership

extension SessionOwner {
  // MARK: Putting entries together

  @inline(__always)
  func beginEntry() {
    // The sequence and the count are set when it's closed.
    SessionEntryHeader(
      origin: identity.id, incarnation: identity.incarnation, sequence: 0, epoch: epoch,
      operations: 0
    ).write(&building)
  }

  func closeEntry() {
    guard !buildingOperations.isEmpty else { return }
    lastSequence += 1
    building.set(UInt32(buildingOperations.count), at: SessionEntryHeader.operationsOffset)
    building.set(lastSequence, at: SessionEntryHeader.sequenceOffset)
    entries.append(
      OwnEntry(
        sequence: lastSequence, bytes: building.take(), operations: buildingOperations))
    let count = buildingOperations.count
    buildingOperations = []
    buildingOperations.reserveCapacity(count)
  }

  /// Bytes that wait for an entry to take them, or in entries that wait to go out.
  package var waitingBytes: Int {
    entries[nextToSend...].reduce(building.count) { $0 + $1.bytes.count }
  }

  /// The next entry for the log, in order; also one that has to go there again. Nil when there is
  /// none, or no room for one on its way.
  package func takeEntry(now: UInt64) -> SessionEntry? {
    self.now = now
    guard nextToSend < limits.entriesInFlightMax, now >= retryAt else { return nil }
    if nextToSend == entries.count { closeEntry() }
    guard nextToSend < entries.count else { return nil }
    nextToSend += 1
    let entry = entries[nextToSend - 1]
    return SessionEntry(sequence: entry.sequence, bytes: entry.bytes)
  }

  /// The log hasn't got it, or may not have: it comes out of `takeEntry` again, with those behind
  /// it.
  package func entryFailed(_ sequence: UInt64, now: UInt64) {
    self.now = now
    guard let position = entries.firstIndex(where: { $0.sequence == sequence }),
      position < nextToSend, entries[position].verdict == nil
    else { return }
    nextToSend = position
    retryAt = now + limits.entryRetryNs
  }

  /// Whoever had what is on its way may not lead any more.
  package func leaderChanged(now: UInt64) {
    self.now = now
    nextToSend = entries.firstIndex { $0.verdict == nil } ?? entries.count
    retryAt = now
  }

  // MARK: What they came to

  /// The verdict of the leader, who has applied it: from here on it can't be otherwise.
  package func entryDone(_ sequence: UInt64, _ verdict: SessionVerdict, now: UInt64) {
    self.now = now
    guard verdict.incarnation == identity.incarnation,
      let position = entries.firstIndex(where: { $0.sequence == sequence })
    else { return }
    switch verdict.kind {
    // What it has come to comes by this node's own log. Of a copy that came after this life was
    // over it isn't known whether there was another one before.
    case .duplicate, .stale: return
    case .gap: return entryFailed(entries[0].sequence, now: now)
    case .applied, .malformed: break
    }
    entries[position].verdict = verdict
    nextToSend = max(nextToSend, position + 1)
    while let first = entries.first, let verdict = first.verdict { resolve(first, verdict) }
  }

  private func resolve(_ entry: OwnEntry, _ verdict: SessionVerdict) {
    switch verdict.kind {
    case .applied:
      earlyIndex = max(earlyIndex, verdict.index)
      var position = 0
      _ = unsafe entry.bytes.withUnsafeBytes { bytes in
        unsafe store.apply(index: verdict.index, entry: bytes, by: verdict) { view, evaluation in
          landed(entry.operations[position], view.head.id, evaluation)
          position += 1
        }
      }
      removeFirst()
    case .malformed:
      store.fence.show(identity.id, entry.sequence)
      dropFirst(as: .malformed)
    case .stale, .duplicate, .gap: dropFirst(as: .moved)
    }
  }

  /// Applies an entry of the log that is the sessions': each one, on each node.
  package func apply(
    index: UInt64, entry: UnsafeRawBufferPointer, now: UInt64
  ) -> SessionVerdict {
    self.now = now
    defer { store.appliedIndex = max(store.appliedIndex, index) }
    guard let header = try? unsafe SessionEntryHeader(entry: entry),
      header.origin == identity.id, header.incarnation == identity.incarnation
    else {
      return unsafe store.apply(index: index, entry: entry) { _, evaluation in
        if evaluation.effect == .closed || evaluation.effect == .expired {
          store.detachAll(evaluation.number)
        }
      }
    }
    // Bytes that only look like the first entry's say nothing of its operations.
    guard let first = entries.first, first.sequence == header.sequence,
      unsafe first.bytes.elementsEqual(entry)
    else {
      let verdict = unsafe store.apply(index: index, entry: entry) { _, _ in }
      if verdict.kind == .gap, let first = entries.first {
        entryFailed(first.sequence, now: now)
      }
      return verdict
    }
    var position = 0
    let verdict = unsafe store.apply(index: index, entry: entry) { view, evaluation in
      landed(first.operations[position], view.head.id, evaluation)
      position += 1
    }
    switch verdict.kind {
    case .applied:
      removeFirst()
      nextToSend = max(nextToSend, 0)
    case .malformed: dropFirst(as: .malformed)
    case .stale: dropFirst(as: .moved)
    case .gap: entryFailed(first.sequence, now: now)
    case .duplicate: break
    }
    return verdict
  }

  /// Entries of other kinds count, too.
  package func skip(to index: UInt64) { store.appliedIndex = max(store.appliedIndex, index) }

  private func removeFirst() {
    entries.removeFirst()
    nextToSend = max(0, nextToSend - 1)
  }

  /// None of the first entry's operations is done, by what this node knows; or nobody knows.
  func dropFirst(as code: SessionCode) {
    guard let entry = entries.first else { return }
    removeFirst()
    drop(entry.operations, entry.bytes, code)
  }

  /// Nothing that waits or is on its way will be done by this life of the node.
  func dropAll(as code: SessionCode) {
    closeEntry()
    while !entries.isEmpty { dropFirst(as: code) }
    (lastSequence, nextToSend, retryAt) = (0, 0, 0)
  }

  private func drop(_ operations: [PendingOperation], _ bytes: [UInt8], _ code: SessionCode) {
    unsafe bytes.withUnsafeBytes { bytes in
      var reader = unsafe RawReader(bytes)
      _ = try? SessionEntryHeader(&reader)
      for operation in operations {
        guard let view = try? OperationView(&reader) else { return }
        landed(operation, view.head.id, Evaluation(SessionOutcome(code)))
      }
    }
  }

  /// An operation has come back.
  @inline(__always)
  private func landed(
    _ operation: PendingOperation, _ id: SessionID, _ evaluation: Evaluation
  ) {
    slotInFlight[Int(id.place)] &-= 1
    pendingOperations &-= 1
    pendingBytes &-= Int(operation.bytes)
    if operation.isCreate { pendingCreates &-= 1 }
    if operation.room != 0 {
      room.give(
        operation.room, sessions: operation.isCreate ? 1 : 0, bytes: Int(operation.bytes))
    }
    if operation.number != 0 {
      if !operation.isAwaited { store.records[operation.number].flags &= ~Record.ending }
      store.landed(operation.number)
    }
    took(evaluation, id)
    if operation.isAwaited {
      answers.add(SessionAnswer(token: operation.token, outcome: evaluation.outcome))
    } else if evaluation.effect == .none {
      // It was this node's own idea, and was overtaken.
      let number = store.number(of: id)
      if number != 0 { arm(number) }
    }
  }

  /// A session of this node's has been changed.
  @inline(__always)
  func took(_ evaluation: Evaluation, _ id: SessionID) {
    let number = evaluation.number
    switch evaluation.effect {
    case .none, .removed: return
    case .created, .changed, .published, .trimmed: break
    case .closed, .expired:
      store.detachAll(number)
      if evaluation.effect == .expired { expiries += 1 }
    }
    touched(number)
    if evaluation.effect == .closed || evaluation.effect == .expired { arm(number) }
    if tellsNews { tell(evaluation, id) }
  }

  private func tell(_ evaluation: Evaluation, _ id: SessionID) {
    switch evaluation.effect {
    case .created: news.add(.created(id))
    case .changed: news.add(.changed(id))
    case .published: news.add(.published(id, evaluation.outcome.number))
    case .closed: news.add(.closed(id, isExpired: false))
    case .expired: news.add(.closed(id, isExpired: true))
    case .none, .trimmed, .removed: break
    }
  }
}
