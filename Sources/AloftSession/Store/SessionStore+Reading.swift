internal import AloftMembership

/// What a session is, but for its state and its events.
package struct SessionInfo: Hashable, Sendable {
  package var id: SessionID
  package var principal: Principal
  package var version: UInt64
  package var phase: SessionPhase
  package var durability: SessionDurability
  /// What its caller called it.
  package var name: [UInt8]
  package var stateLength: Int
  /// The oldest event that is not acknowledged, and the next one there will be.
  package var firstEvent: UInt64
  package var nextEvent: UInt64
  package var idleTimeoutMs: UInt32
  /// In milliseconds since 1970; 0 for none.
  package var deadlineMs: UInt64
  /// It was its time that closed it.
  package var isExpired: Bool
  /// Connections, as far as this node owns it.
  package var attachments: Int
}

/// A session that may be read, or why not.
package enum SessionReading: Hashable, Sendable {
  case found(SessionRef)
  case refused(SessionOutcome)

  package var ref: SessionRef? {
    if case .found(let ref) = self { ref } else { nil }
  }
}

extension SessionStore {
  /// For a reader at any node, who has seen what `token` stands for, the greatest version that he
  /// was ever answered: never back behind that, though it may be behind the session's owner.
  package func read(
    _ id: SessionID, by principal: Principal, token: UInt64 = 0
  ) -> SessionReading {
    let number = number(of: id)
    let isThere = appliedIndex >= token &>> Self.versionShift
    guard number != 0 else { return .refused(SessionOutcome(isThere ? .unknown : .behind)) }
    guard isThere || records[number].version >= token else {
      return .refused(SessionOutcome(.behind, version: records[number].version))
    }
    return reading(number, by: principal)
  }

  @inline(__always)
  func reading(_ number: UInt32, by principal: Principal) -> SessionReading {
    guard self.principal(of: number) == principal else {
      return .refused(SessionOutcome(.forbidden))
    }
    if records[number].phase == .closed {
      return .refused(SessionOutcome(.closed, version: records[number].version))
    }
    return .found(SessionRef(number: number))
  }

  package func info(_ ref: SessionRef) -> SessionInfo {
    let record = records[ref.number]
    return unsafe SessionInfo(
      id: record.id, principal: principal(of: ref.number), version: record.version,
      phase: record.phase, durability: record.durability, name: Array(nameBytes(ref.number)),
      stateLength: Int(record.stateLength), firstEvent: record.firstEvent,
      nextEvent: record.nextEvent, idleTimeoutMs: record.idleMs, deadlineMs: record.deadline,
      isExpired: record.flags & Record.expired != 0, attachments: attachmentCount(ref.number))
  }

  /// What the next event's number will be.
  package func nextEvent(_ ref: SessionRef) -> UInt64 { records[ref.number].nextEvent }

  package func version(_ ref: SessionRef) -> UInt64 { records[ref.number].version }

  package func state(_ ref: SessionRef) -> [UInt8] { unsafe Array(stateBytes(ref.number)) }

  /// The state where it lies, for the time of the call.
  @inline(__always)
  package func withState<Result>(
    _ ref: SessionRef, _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    unsafe body(stateBytes(ref.number))
  }

  /// Its fields, when it is a list of them.
  package func fields(_ ref: SessionRef) -> [SessionField]? {
    var reader = unsafe RawReader(stateBytes(ref.number))
    var fields: [SessionField] = []
    while reader.remaining > 0 {
      guard let field = try? FieldList.field(&reader) else { return nil }
      fields.append(field)
    }
    return fields
  }
}

extension SessionField {
  /// A state that is these fields.
  package static func state(_ fields: [SessionField]) -> [UInt8] {
    var writer = RawWriter()
    for field in fields where field.value != nil { FieldList.write(field, to: &writer) }
    return writer.take()
  }
}
