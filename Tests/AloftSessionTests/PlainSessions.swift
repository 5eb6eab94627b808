import AloftMembership

@testable import AloftSession

/// What entries of the log do to sessions, as plainly as it can be said: dictionaries and arrays.
struct PlainSessions: Equatable {
  struct Key: Equatable {
    var key: UInt64
    var version: UInt64
    var number: UInt64
  }

  struct Session: Equatable {
    var principal: Principal
    var options: SessionOptions
    var deadline: UInt64
    var name: [UInt8]
    var state: [UInt8]
    var version: UInt64
    var phase: SessionPhase
    var keys: [Key] = []
    var firstEvent: UInt64 = 1
    var events: [[UInt8]] = []

    var next: UInt64 { firstEvent + UInt64(events.count) }
  }

  var sessions: [SessionID: Session] = [:]
  var cluster = ClusterState()
  /// Since which index which life has a slot.
  private var holders: [Int: (life: UInt64, index: UInt64)] = [:]
  private var sequences: [UInt64: UInt64] = [:]

  static func == (a: Self, b: Self) -> Bool { a.sessions == b.sessions }

  /// What each operation has come to; nil for an entry that doesn't count.
  mutating func apply(index: UInt64, entry: [UInt8]) -> [SessionOutcome]? {
    if entry.first == LogEntryKind.cluster {
      _ = cluster.apply(index: index, entry: entry)
      for slot in 0..<Slot.count {
        let life = cluster[NodeID(rawValue: cluster.slots.owners[slot])].flatMap {
          $0.isAlive ? $0.incarnation.rawValue : nil
        }
        if holders[slot]?.life != life { holders[slot] = life.map { ($0, index) } }
      }
      return nil
    }
    let parsed = Self.parse(entry)
    guard let (header, views) = parsed, cluster.isCurrent(header.origin, header.incarnation),
      header.sequence == (sequences[header.incarnation.rawValue] ?? 0) + 1
    else { return nil }
    sequences[header.incarnation.rawValue] = header.sequence
    return views.enumerated().map { position, view in
      guard let slot = view.head.id.slot, let holder = holders[Int(slot.rawValue)],
        holder.life == header.incarnation.rawValue, holder.index <= header.epoch.rawValue
      else { return SessionOutcome(.moved) }
      return perform(view, index << 16 | UInt64(position + 1))
    }
  }

  struct View {
    var head: OperationHead
    var operation: SessionOperation?
    var deadline: UInt64
  }

  static func parse(_ entry: [UInt8]) -> (SessionEntryHeader, [View])? {
    entry.withUnsafeBytes { bytes in
      var reader = RawReader(bytes)
      guard let header = try? SessionEntryHeader(&reader) else { return nil }
      var views: [View] = []
      while let view = try? OperationView(&reader) {
        let deadline = view.head.kind == .create ? (try? CreateBody(view.body))?.deadline : nil
        views.append(
          View(head: view.head, operation: try? SessionOperation(view), deadline: deadline ?? 0))
      }
      return (header, views)
    }
  }

  private mutating func perform(_ view: View, _ version: UInt64) -> SessionOutcome {
    let (id, head) = (view.head.id, view.head)
    let principal = head.principal ?? .anyone
    if case .create(let options, let name, let state) = view.operation {
      if let old = sessions[id] {
        if old.principal != principal, old.phase != .closed { return SessionOutcome(.forbidden) }
        if old.principal == principal, let key = old.keys.first(where: { $0.key == head.key }) {
          return SessionOutcome(.repeated, version: key.version, number: key.number)
        }
        if old.phase != .closed { return SessionOutcome(.exists, version: old.version) }
      }
      var kept = options
      (kept.phase, kept.lifetimeMs) = (.active, 0)
      var session = Session(
        principal: principal, options: kept, deadline: view.deadline, name: name, state: state,
        version: version, phase: options.phase)
      remember(&session, head.key, version, 0)
      sessions[id] = session
      return SessionOutcome(.done, version: version)
    }
    guard var session = sessions[id] else { return SessionOutcome(.unknown) }
    if let asked = head.principal, asked != session.principal { return SessionOutcome(.forbidden) }
    if head.key != 0, let key = session.keys.first(where: { $0.key == head.key }) {
      return SessionOutcome(.repeated, version: key.version, number: key.number)
    }
    if head.kind == .remove {
      guard session.phase == .closed, head.expected == session.version else {
        return SessionOutcome(.conflict, version: session.version)
      }
      sessions[id] = nil
      return SessionOutcome(.done, version: session.version)
    }
    if session.phase == .closed { return SessionOutcome(.closed, version: session.version) }
    if let expected = head.expected, expected != session.version {
      return SessionOutcome(.conflict, version: session.version)
    }
    let outcome = change(&session, view, version)
    sessions[id] = session
    return outcome
  }

  private func remember(
    _ session: inout Session, _ key: UInt64, _ version: UInt64, _ number: UInt64
  ) {
    guard key != 0, session.options.keysMax > 0 else { return }
    session.keys.append(Key(key: key, version: version, number: number))
    if session.keys.count > session.options.keysMax { session.keys.removeFirst() }
  }

  private func change(
    _ session: inout Session, _ view: View, _ version: UInt64
  ) -> SessionOutcome {
    var number: UInt64 = 0
    var next = version
    func refused(_ code: SessionCode, _ number: UInt64 = 0) -> SessionOutcome {
      SessionOutcome(code, version: session.version, number: number)
    }
    switch view.operation {
    case .put(let state), .append(let state):
      let fresh = view.head.kind == .put ? state : session.state + state
      guard fresh.count <= session.options.stateMax else {
        return refused(.tooLarge, UInt64(session.options.stateMax))
      }
      session.state = fresh
    case .patch(let fields):
      guard let state = Self.patched(session.state, fields) else { return refused(.notFields) }
      guard state.count <= session.options.stateMax else {
        return refused(.tooLarge, UInt64(session.options.stateMax))
      }
      session.state = state
    case .setPhase(let phase):
      guard session.phase.mayBecome(phase) else { return refused(.badTransition) }
      session.phase = phase
      if phase == .closed { end(&session) }
    case .publish(let event):
      guard session.events.count < session.options.outboxEventsMax else {
        return refused(.outboxFull, UInt64(session.options.outboxEventsMax))
      }
      let bytes = session.events.reduce(4 + event.count) { $0 + 4 + $1.count }
      guard bytes <= session.options.outboxBytesMax else {
        return refused(.outboxFull, UInt64(session.options.outboxBytesMax))
      }
      (number, next) = (session.next, session.version)
      session.events.append(event)
    case .acknowledge(let last):
      guard last < session.next else { return refused(.badNumber, session.next - 1) }
      while session.firstEvent <= last {
        session.firstEvent += 1
        session.events.removeFirst()
      }
      (number, next) = (session.firstEvent, session.version)
    case .close, nil:
      session.phase = .closed
      end(&session)
    case .create: break
    }
    session.version = next
    remember(&session, view.head.key, next, number)
    return SessionOutcome(.done, version: next, number: number)
  }

  private func end(_ session: inout Session) {
    session.state = []
    session.firstEvent = session.next
    session.events = []
  }

  private static func patched(_ state: [UInt8], _ patch: [SessionField]) -> [UInt8]? {
    var fields: [SessionField] = []
    var rest = state[...]
    while let nameLength = rest.popFirst() {
      guard nameLength > 0, rest.count >= 4 + Int(nameLength) else { return nil }
      let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
      rest = rest.dropFirst(4)
      let name = Array(rest.prefix(Int(nameLength)))
      rest = rest.dropFirst(Int(nameLength))
      guard rest.count >= length else { return nil }
      fields.append(SessionField(name: name, value: Array(rest.prefix(length))))
      rest = rest.dropFirst(length)
    }
    for field in patch {
      if let place = fields.firstIndex(where: { $0.name == field.name }) {
        fields[place].value = field.value
      } else {
        fields.append(field)
      }
    }
    return SessionField.state(fields)
  }
}

extension SessionStore {
  /// All that the log has made, in the plain form.
  var plain: [SessionID: PlainSessions.Session] {
    var all: [SessionID: PlainSessions.Session] = [:]
    for slot in 0..<Slot.count {
      slots.forEach(slot) { number in
        let record = records[number]
        let ref = SessionRef(number: number)
        let info = info(ref)
        var options = SessionOptions()
        options.durability = info.durability
        options.idleTimeoutMs = record.idleMs
        options.stateMax = record.stateMax
        options.outboxBytesMax = record.outboxBytesMax
        options.outboxEventsMax = record.outboxEventsMax
        options.keysMax = record.keysMax
        var session = PlainSessions.Session(
          principal: info.principal, options: options, deadline: info.deadlineMs,
          name: info.name, state: state(ref), version: info.version, phase: info.phase)
        var keys = RawReader(keyBytes(number))
        while let key = try? keys.long(), let version = try? keys.long(),
          let value = try? keys.long()
        {
          session.keys.append(.init(key: key, version: version, number: value))
        }
        session.firstEvent = info.firstEvent
        session.events = events(ref).events
        all[info.id] = session
      }
    }
    return all
  }
}
