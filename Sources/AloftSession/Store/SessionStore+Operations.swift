internal import AloftMembership

/// What an operation has done, for whoever owns the session.
enum OperationEffect: UInt8 {
  case none, created, changed, published, trimmed, closed, expired, removed
}

/// What an operation has come to.
struct Evaluation {
  var outcome: SessionOutcome
  var effect = OperationEffect.none
  /// The session's record; 0 when it has none.
  var number: UInt32 = 0

  init(_ outcome: SessionOutcome, _ effect: OperationEffect = .none, _ number: UInt32 = 0) {
    (self.outcome, self.effect, self.number) = (outcome, effect, number)
  }
}

/// What operations do: by the session that they are about alone, so that all nodes come to the
/// same, and those that change it only if they are done whole.
extension SessionStore {
  /// - Parameter version: what the session's version is to be, if this changes its state.
  @inline(__always)
  func perform(_ view: OperationView, version: UInt64) -> Evaluation {
    let number = number(of: view.head.id)
    if number == 0 {
      guard view.head.kind == .create else { return Evaluation(SessionOutcome(.unknown)) }
      return create(view, over: 0, version)
    }
    return perform(view, on: number, version: version)
  }

  @inline(never)
  private func perform(_ view: OperationView, on number: UInt32, version: UInt64) -> Evaluation {
    let head = view.head
    if let refusal = refusal(head, on: number) { return Evaluation(refusal, .none, number) }
    let was = SessionOutcome(.done, version: records[number].version)
    switch head.kind {
    case .create: return create(view, over: number, version)
    case .put: return put(view, number, keeping: 0, version)
    case .append:
      return put(view, number, keeping: Int(records[number].stateLength), version)
    case .patch: return patch(view, number, version)
    case .setPhase:
      guard unsafe view.body.count == 1, let next = unsafe SessionPhase(rawValue: view.body[0])
      else {
        return Evaluation(SessionOutcome(.malformed, version: was.version), .none, number)
      }
      guard records[number].phase.mayBecome(next) else {
        return Evaluation(SessionOutcome(.badTransition, version: was.version), .none, number)
      }
      capture(number)
      if next == .closed { return close(number, head, version, .closed) }
      records[number].phase = next
      return changed(number, head, version)
    case .publish: return publish(view, number)
    case .acknowledge: return acknowledge(view, number)
    case .close:
      capture(number)
      return close(number, head, version, .closed)
    case .expire:
      capture(number)
      return close(number, head, version, .expired)
    case .remove:
      capture(number)
      unlink(number)
      return Evaluation(was, .removed, 0)
    }
  }

  /// Why this can't be done to that session, or what was answered when it was done before.
  @inline(__always)
  func refusal(_ head: OperationHead, on number: UInt32) -> SessionOutcome? {
    let version = records[number].version
    let isClosed = records[number].phase == .closed
    if let principal = head.kind == .create ? head.principal ?? .anyone : head.principal,
      principal != self.principal(of: number)
    {
      // What is over doesn't keep its name from others.
      return isClosed && head.kind == .create ? nil : SessionOutcome(.forbidden)
    }
    if head.key != 0, let answer = answer(number, to: head.key), !has(.retryNotDeduplicated) {
      return answer
    }
    switch head.kind {
    case .create: return isClosed ? nil : SessionOutcome(.exists, version: version)
    case .remove:
      guard isClosed else { return SessionOutcome(.conflict, version: version) }
    default: if isClosed { return SessionOutcome(.closed, version: version) }
    }
    if let expected = head.expected, expected != version, !has(.versionUnchecked) {
      return SessionOutcome(.conflict, version: version)
    }
    return nil
  }

  /// The session has changed: it has this version, and the key its answer.
  @inline(__always)
  private func changed(
    _ number: UInt32, _ head: OperationHead, _ version: UInt64,
    _ effect: OperationEffect = .changed
  ) -> Evaluation {
    records[number].version = version
    if head.key != 0 { remember(number, head.key, version: version, 0) }
    return Evaluation(SessionOutcome(.done, version: version), effect, number)
  }

  // MARK: Each of them

  @inline(__always)
  private func create(
    _ view: OperationView, over tombstone: UInt32, _ version: UInt64
  ) -> Evaluation {
    guard let body = unsafe try? CreateBody(view.body),
      (body.options.durability == .local) == view.head.id.isLocal
    else { return Evaluation(SessionOutcome(.malformed)) }
    guard unsafe body.state.count <= Int(body.options.stateMax) else {
      return Evaluation(SessionOutcome(.tooLarge, number: UInt64(body.options.stateMax)))
    }
    var number = tombstone
    if tombstone != 0 {
      capture(tombstone)
      freeParts(tombstone)
      leavePrincipal(tombstone)
      tombstones -= 1
      records[number].firstEvent = 1
      records[number].flags = Record.linked
    } else {
      // Owners stop at half of it. Here it can't be refused: other nodes may have room.
      guard let fresh = records.take(&slabs.pages) else {
        preconditionFailure("more than \(records.max) sessions")
      }
      number = fresh
      let id = view.head.id
      (records[number].high, records[number].low) = (id.high, id.low)
      records[number].place = id.place
      records[number].mark = snapshot.generation
      link(number, id)
    }
    records[number].phase = body.options.phase
    records[number].durability = body.options.durability
    records[number].idleMs = body.options.idleTimeoutMs
    records[number].deadline = body.deadline
    records[number].stateMax = body.options.stateMax
    records[number].outboxBytesMax = body.options.outboxBytesMax
    records[number].outboxEventsMax = body.options.outboxEventsMax
    records[number].keysMax = body.options.keysMax
    joinPrincipal(number, view.head.principal ?? .anyone)
    unsafe setBlock(number, name: body.name, state: body.state)
    return changed(number, view.head, version, .created)
  }

  private func put(
    _ view: OperationView, _ number: UInt32, keeping kept: Int, _ version: UInt64
  ) -> Evaluation {
    guard unsafe kept + view.body.count <= Int(records[number].stateMax) else {
      return tooLarge(number)
    }
    capture(number)
    unsafe setState(number, keeping: kept, view.body)
    return changed(number, view.head, version)
  }

  private func tooLarge(_ number: UInt32) -> Evaluation {
    Evaluation(
      SessionOutcome(
        .tooLarge, version: records[number].version, number: UInt64(records[number].stateMax)),
      .none, number)
  }

  private func patch(_ view: OperationView, _ number: UInt32, _ version: UInt64) -> Evaluation {
    let was = records[number].version
    guard let fields = try? unsafe FieldList.pieces(view.body),
      fields.count <= FieldList.fieldsMax
    else { return Evaluation(SessionOutcome(.malformed, version: was), .none, number) }
    guard let state = unsafe FieldList.patched(stateBytes(number), fields) else {
      return Evaluation(SessionOutcome(.notFields, version: was), .none, number)
    }
    guard state.count <= Int(records[number].stateMax) else { return tooLarge(number) }
    capture(number)
    unsafe state.withUnsafeBytes { unsafe setState(number, keeping: 0, $0) }
    return changed(number, view.head, version)
  }

  private func publish(_ view: OperationView, _ number: UInt32) -> Evaluation {
    let version = records[number].version
    func full(_ limit: Int) -> Evaluation {
      Evaluation(
        SessionOutcome(.outboxFull, version: version, number: UInt64(limit)), .none, number)
    }
    let (countMax, bytesMax) = (
      Int(records[number].outboxEventsMax), Int(records[number].outboxBytesMax)
    )
    if Int(records[number].eventCount) >= countMax { return full(countMax) }
    if unsafe outboxBytes(number) + 4 + view.body.count > bytesMax { return full(bytesMax) }
    capture(number)
    let event = records[number].nextEvent
    unsafe addEvent(number, view.body)
    watched.add(view.head.id)
    if view.head.key != 0 { remember(number, view.head.key, version: version, event) }
    return Evaluation(SessionOutcome(.done, version: version, number: event), .published, number)
  }

  private func acknowledge(_ view: OperationView, _ number: UInt32) -> Evaluation {
    let version = records[number].version
    guard unsafe view.body.count == 8 else {
      return Evaluation(SessionOutcome(.malformed, version: version), .none, number)
    }
    let last = unsafe UInt64(littleEndian: view.body.loadUnaligned(as: UInt64.self))
    guard last < records[number].nextEvent else {
      let outcome = SessionOutcome(
        .badNumber, version: version, number: records[number].nextEvent - 1)
      return Evaluation(outcome, .none, number)
    }
    capture(number)
    trim(number, through: has(.outboxTrimmedTooFar) ? last + 1 : last)
    let first = records[number].firstEvent
    if view.head.key != 0 { remember(number, view.head.key, version: version, first) }
    return Evaluation(SessionOutcome(.done, version: version, number: first), .trimmed, number)
  }

  /// The state and the events go; the name and the keys stay until the tombstone goes.
  private func close(
    _ number: UInt32, _ head: OperationHead, _ version: UInt64, _ effect: OperationEffect
  ) -> Evaluation {
    records[number].phase = .closed
    if effect == .expired { records[number].flags |= Record.expired }
    tombstones += 1
    unsafe setState(number, keeping: 0, UnsafeRawBufferPointer(start: nil, count: 0))
    freeOutbox(number)
    watched.add(head.id)
    return changed(number, head, version, effect)
  }
}
