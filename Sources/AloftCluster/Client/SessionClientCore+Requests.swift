import AloftEngine
package import AloftSession

/// What a client asks, and what it's answered.
extension SessionClientCore {
  /// Which state a read is to show.
  package enum Consistency: Hashable, Sendable {
    /// The last one that anybody was told of.
    case linearizable
    /// One of this version or a later one: that of the node that is asked, if that will do.
    case atLeast(UInt64)
  }

  package typealias Wrote = (SessionOutcome) -> Void
  package typealias Viewed = (SessionOutcome, SessionView?) -> Void

  /// A number for a session that is yet to be created: by its name, or one that nobody can guess;
  /// `isLocal`: for the memory of the node alone that the client is at.
  package func newID(
    name: [UInt8] = [], isLocal: Bool = false, milliseconds: UInt32,
    _ answer: @escaping (SessionOutcome, String) -> Void
  ) {
    guard !isLocal || name.isEmpty else { return answer(SessionOutcome(.malformed), "") }
    var body = [UInt8(min(name.count, 255))]
    body += name.prefix(255)
    body.append(isLocal ? 1 : 0)
    newID(body, Self.deadline(milliseconds), answer)
  }

  private func newID(
    _ body: [UInt8], _ deadline: UInt64, _ answer: @escaping (SessionOutcome, String) -> Void
  ) {
    unsafe ask(.newID, body, deadline: deadline, session: nil) { [weak self] outcome, rest in
      // A node that has no slots yet: another moment, and it may.
      if outcome.code == .notAccepting, let self, !isOver, ClusterNode.now() < deadline {
        _ = loop.startTimer(afterMilliseconds: 10, period: 0, beyondLimit: true) { [weak self] in
          guard let self else { return answer(outcome, "") }
          newID(body, deadline, answer)
        }
        return
      }
      answer(outcome, unsafe String(decoding: rest, as: UTF8.self))
    }
  }

  /// A write; `key` is its own, so that it's done once.
  package func write(
    _ session: String, _ operation: SessionOperation, key: UInt64 = .random(in: 1...UInt64.max),
    expected: UInt64? = nil, milliseconds: UInt32, _ answer: @escaping Wrote
  ) {
    guard let text = Self.text(session) else { return answer(SessionOutcome(.unknown)) }
    let nowhere = SessionID(high: 0, low: 0, place: 0)
    guard let nowhere else { return answer(SessionOutcome(.malformed)) }
    let request = SessionRequest(
      id: nowhere, principal: .anyone, key: key, expected: expected, operation: operation)
    let bytes = request.bytes
    guard bytes.count < 2 << 20 - 64 else {
      return answer(SessionOutcome(.tooLarge, number: 1 << 20))
    }
    unsafe ask(
      .write, text + bytes, deadline: Self.deadline(milliseconds), session: session
    ) { [weak self] outcome, _ in
      self?.saw(outcome)
      answer(outcome)
    }
  }

  package func read(
    _ session: String, _ consistency: Consistency, milliseconds: UInt32,
    _ answer: @escaping Viewed
  ) {
    switch consistency {
    case .linearizable: query(session, .read, 0, milliseconds: milliseconds, answer)
    case .atLeast(let token):
      query(session, .readAtLeast, token, milliseconds: milliseconds, answer)
    }
  }

  package func touch(_ session: String, milliseconds: UInt32, _ answer: @escaping Wrote) {
    query(session, .touch, 0, milliseconds: milliseconds) { outcome, _ in answer(outcome) }
  }

  /// Events that aren't acknowledged, from that number on, as `SessionView.bytes`.
  package func events(
    _ session: String, from number: UInt64, max: UInt32, milliseconds: UInt32,
    _ answer: @escaping (SessionOutcome, UInt64, [[UInt8]]) -> Void
  ) {
    query(
      session, .events, number, max, 1 << 20, milliseconds: milliseconds
    ) { outcome, view in
      guard let view else { return answer(outcome, 0, []) }
      answer(outcome, view.firstEvent, unsafe SessionWire.events(view.bytes))
    }
  }

  private func query(
    _ session: String, _ query: DoorQuery, _ word: UInt64, _ countMax: UInt32 = 0,
    _ bytesMax: UInt32 = 0, milliseconds: UInt32, _ answer: @escaping Viewed
  ) {
    guard let text = Self.text(session) else { return answer(SessionOutcome(.unknown), nil) }
    var body = text
    body.append(query.rawValue)
    for shift in stride(from: 0, to: 64, by: 8) {
      body.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
    }
    for number in [countMax, bytesMax] {
      for shift in stride(from: 0, to: 32, by: 8) {
        body.append(UInt8(truncatingIfNeeded: number >> UInt32(shift)))
      }
    }
    unsafe ask(
      .query, body, deadline: Self.deadline(milliseconds), session: nil
    ) { [weak self] outcome, rest in
      self?.saw(outcome)
      unsafe Self.view(outcome, rest, answer)
    }
  }

  static func view(
    _ outcome: SessionOutcome, _ rest: UnsafeRawBufferPointer, _ answer: Viewed
  ) {
    let bytes = unsafe outcome.bytes + Array(rest)
    unsafe bytes.withUnsafeBytes { bytes in
      let found = unsafe SessionWire.answer(bytes)
      answer(outcome, outcome.code == .done ? found?.1 : nil)
    }
  }

  static func text(_ session: String) -> [UInt8]? {
    let text = Array(session.utf8)
    return text.count == SessionKeys.textLength ? text : nil
  }

  private func saw(_ outcome: SessionOutcome) { token = max(token, outcome.version) }

  // MARK: Asking

  @discardableResult
  func ask(
    _ kind: DoorKind, _ body: [UInt8], deadline: UInt64, session: String?,
    _ answer: @escaping ClientRequest.Answer
  ) -> UInt32 {
    let none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    let number = newNumber()
    if isOver {
      unsafe answer(SessionOutcome(.notAccepting), none)
      return number
    }
    guard requests.count + heldCount < options.requestsMax else {
      unsafe answer(SessionOutcome(.busy, number: UInt64(requests.count)), none)
      return number
    }
    statistics.requests += 1
    let request = unsafe ClientRequest(
      number, kind, body, deadline: deadline, session: session, answer)
    let now = ClusterNode.now()
    let wait = deadline > now ? (deadline - now) / 1_000_000 : 0
    // The node tells by itself a little before, what it knows.
    request.timer = loop.startTimer(
      afterMilliseconds: wait + 50, period: 0, beyondLimit: true
    ) { [weak self] in
      request.timer = nil
      self?.giveUp(request)
    }
    if let session {
      guard underWay[session, default: 0] < options.writesPerSession else {
        held[session, default: []].append(request)
        heldCount += 1
        return number
      }
      underWay[session, default: 0] += 1
    }
    begin(request)
    return number
  }

  private func begin(_ request: ClientRequest) {
    requests[request.number] = request
    order.append(request.number)
    if order.count > 64, order.count > 2 * requests.count {
      order.removeAll { requests[$0] == nil }
    }
    guard let connection, connection.isUp else { return }
    unsent.append(request.number)
    pump()
  }

  /// A node takes 1,024 requests of a connection's at a time. Some that were given up here may be
  /// among them.
  private static let onTheirWayMax = 512

  /// Sends what there is to be sent, as far as there is room for it.
  func pump() {
    while onTheirWay < Self.onTheirWayMax, unsentFirst < unsent.count {
      // It may have been lost by what was sent before.
      guard let connection, connection.isUp else { return }
      let number = unsent[unsentFirst]
      unsentFirst += 1
      if let request = requests[number], !request.isSent { send(request, connection) }
    }
    if unsentFirst > 256, unsentFirst > unsent.count / 2 {
      unsent.removeFirst(unsentFirst)
      unsentFirst = 0
    }
  }

  private func send(_ request: ClientRequest, _ connection: ClientConnection) {
    if request.wasSent {
      statistics.repeated += 1
    } else {
      request.since = knownIndex
    }
    (request.isSent, request.wasSent) = (true, true)
    onTheirWay += 1
    connection.send(request.frame(now: ClusterNode.now()))
  }

  /// The next write of a session, once one of it is answered.
  private func goOn(_ session: String) {
    guard var waiting = held[session], !waiting.isEmpty, !isOver else {
      let left = underWay[session, default: 1] - 1
      underWay[session] = left == 0 ? nil : left
      return
    }
    let next = waiting.removeFirst()
    heldCount -= 1
    held[session] = waiting.isEmpty ? nil : waiting
    begin(next)
  }

  /// Its time is over, or the client's.
  func giveUp(_ request: ClientRequest) {
    var outcome = SessionOutcome(.notAccepting)
    if request.wasSent {
      outcome.code = .uncertain
      statistics.uncertain += 1
    }
    unsafe finish(request, outcome, UnsafeRawBufferPointer(start: nil, count: 0))
  }

  private func finish(
    _ request: ClientRequest, _ outcome: SessionOutcome, _ rest: UnsafeRawBufferPointer
  ) {
    if let timer = request.timer { loop.cancelTimer(timer) }
    request.timer = nil
    if request.isSent {
      request.isSent = false
      onTheirWay -= 1
    }
    if requests.removeValue(forKey: request.number) != nil {
      if let session = request.session { goOn(session) }
    } else if let session = request.session {
      heldCount -= 1
      held[session]?.removeAll { $0 === request }
      if held[session]?.isEmpty == true { held[session] = nil }
    }
    unsafe request.answer(outcome, rest)
    pump()
  }

  // MARK: Answers

  /// False for what makes no sense.
  func received(_ kind: DoorKind, _ reader: inout FrameReader) -> Bool {
    guard let number: UInt32 = reader.number() else { return false }
    switch kind {
    case .pong: return true
    case .answer:
      guard let index: UInt64 = reader.number(),
        let bytes = reader.array(SessionOutcome.byteCount),
        var outcome = try? SessionOutcome(bytes: bytes)
      else { return false }
      knownIndex = max(knownIndex, index)
      // Of one that was given up, nobody waits for the answer.
      guard let request = requests[number] else { return true }
      statistics.answers += 1
      // That it wasn't done now says nothing of the first time.
      if request.isRepeated, request.kind == .write,
        outcome.code == .busy || outcome.code == .notAccepting
      {
        outcome.code = .uncertain
      }
      if outcome.code == .uncertain { statistics.uncertain += 1 }
      unsafe finish(request, outcome, reader.restInPlace)
      return true
    case .events: return events(number, &reader)
    case .ended:
      guard let code = reader.number().flatMap(SessionCode.init) else { return false }
      if let subscription = subscriptions[number] { over(subscription, code) }
      return true
    default: return false
    }
  }
}
