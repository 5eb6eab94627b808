import AloftEngine
import AloftSession

/// Requests of clients that have shown whose they are.
extension SessionDoor {
  func request(
    _ connection: DoorConnection, _ kind: DoorKind, _ reader: inout FrameReader
  ) -> DoorRefusal? {
    guard let number: UInt32 = reader.number() else { return .malformed }
    statistics.requests += 1
    switch kind {
    case .ping:
      var frame = FrameWriter(.pong)
      frame.put(number)
      send(connection, frame.finish())
      return reader.remaining == 0 ? nil : .malformed
    case .unsubscribe:
      if let subscription = connection.subscriptions[number] { drop(subscription) }
      return reader.remaining == 0 ? nil : .malformed
    case .newID, .write, .repeatedWrite, .query, .subscribe: break
    default: return .malformed
    }
    guard let limit: UInt32 = reader.number() else { return .malformed }
    guard let sessions, let keys = sessions.keys else { return .notReady }
    let call = DoorCall(
      connection, number, deadline: ClusterNode.now() + UInt64(limit) * 1_000_000)
    guard connection.requests < options.requestsMax else {
      answer(call, SessionOutcome(.busy, number: UInt64(connection.requests)))
      return nil
    }
    if kind == .newID { return newID(call, sessions, keys, &reader) }
    guard let text = reader.text(SessionKeys.textLength) else { return .malformed }
    guard let id = keys.id(text: text) else {
      statistics.forged += 1
      answer(call, SessionOutcome(.unknown))
      return nil
    }
    switch kind {
    case .write: return write(call, id, sessions, keys, nil, &reader)
    case .repeatedWrite:
      guard let since: UInt64 = reader.number() else { return .malformed }
      return write(call, id, sessions, keys, since, &reader)
    case .query: return query(call, id, sessions, &reader)
    default: return subscribe(call, id, sessions, &reader)
    }
  }

  // MARK: Each of them

  /// The number of a session that is yet to be made: by its name, or one that nobody can guess.
  private func newID(
    _ call: DoorCall, _ sessions: ClusterSessions, _ keys: SessionKeys,
    _ reader: inout FrameReader
  ) -> DoorRefusal? {
    guard let length: UInt8 = reader.number(), let name = reader.array(Int(length)),
      let local: UInt8 = reader.number(), local == 0 || local == 1 && name.isEmpty,
      reader.remaining == 0
    else { return .malformed }
    let made = name.isEmpty ? sessions.mint(isLocal: local == 1) : keys.id(named: name)
    guard let id = made else {
      answer(call, SessionOutcome(.notAccepting))
      return nil
    }
    var frame = FrameWriter(.answer)
    frame.put(call.number)
    frame.put(sessions.store.appliedIndex)
    frame.put(SessionOutcome(.done).bytes)
    frame.put(keys.text(id).utf8)
    send(call.connection, frame.finish())
    return nil
  }

  private func write(
    _ call: DoorCall, _ id: SessionID, _ sessions: ClusterSessions, _ keys: SessionKeys,
    _ since: UInt64?, _ reader: inout FrameReader
  ) -> DoorRefusal? {
    guard var request = try? SessionRequest(bytes: reader.rest()) else { return .malformed }
    if case .create(_, let name, _) = request.operation, !name.isEmpty, keys.id(named: name) != id {
      return .malformed
    }
    // Whose it is was proved; what the request says of that counts nothing.
    request.id = id
    request.principal = call.connection.principal
    begin(call)
    sessions.write(
      request, deadline: call.deadline, repeatedSince: since
    ) { [weak self] outcome in
      self?.end(call, outcome, nil)
    }
    return nil
  }

  private func query(
    _ call: DoorCall, _ id: SessionID, _ sessions: ClusterSessions, _ reader: inout FrameReader
  ) -> DoorRefusal? {
    guard let kind: UInt8 = reader.number(), let word: UInt64 = reader.number(),
      let countMax: UInt32 = reader.number(), let bytesMax: UInt32 = reader.number(),
      reader.remaining == 0
    else { return .malformed }
    let principal = call.connection.principal
    let bytesAllowed = UInt32(options.frameMax / 2)
    let query: SessionQuery
    switch DoorQuery(rawValue: kind) {
    case .read: query = .read
    case .touch: query = .touch
    case .events:
      query = .events(from: word, countMax: countMax, bytesMax: min(bytesMax, bytesAllowed))
    case .readAtLeast:
      begin(call)
      sessions.read(id, principal, atLeast: word, deadline: call.deadline) { [weak self] in
        self?.end(call, $0, $1)
      }
      return nil
    case nil: return .malformed
    }
    begin(call)
    sessions.query(query, id, principal, deadline: call.deadline) { [weak self] in
      self?.end(call, $0, $1)
    }
    return nil
  }

  // MARK: Answers

  func begin(_ call: DoorCall) { call.connection.requests += 1 }

  func end(_ call: DoorCall, _ outcome: SessionOutcome, _ view: SessionView?) {
    call.connection.requests -= 1
    answer(call, outcome, view)
  }

  func answer(_ call: DoorCall, _ outcome: SessionOutcome, _ view: SessionView? = nil) {
    if call.connection.isOver { return }
    statistics.answers += 1
    var frame = FrameWriter(.answer, capacity: unsafe 64 + (view?.bytes.count ?? 0))
    frame.put(call.number)
    // For what the client is going to ask: it comes later than this.
    frame.put(sessions?.store.appliedIndex ?? 0)
    frame.put(SessionWire.answer(outcome, view))
    send(call.connection, frame.finish())
  }

  /// A client that leaves so much unread that there is no room for an answer has to come again.
  func send(_ connection: DoorConnection, _ frame: [UInt8]) {
    switch connection.channel.send(frame) {
    case .accepted: return
    case .wouldBlock, .closed:
      if connection.isOver { return }
      count(.overrun)
      loop.reset(connection.channel.id)
    }
  }
}

/// What a client may ask, by number.
enum DoorQuery: UInt8 {
  case read = 1
  case touch
  case events
  case readAtLeast
}

/// A request, until it's answered.
struct DoorCall {
  let connection: DoorConnection
  let number: UInt32
  let deadline: UInt64

  init(_ connection: DoorConnection, _ number: UInt32, deadline: UInt64) {
    self.connection = connection
    self.number = number
    self.deadline = deadline
  }
}
