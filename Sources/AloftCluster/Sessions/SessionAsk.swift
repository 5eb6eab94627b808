import AloftMembership
package import AloftSession

/// What can be asked of a session's owner that leaves nothing in the log.
package enum SessionQuery: Hashable, Sendable {
  /// The session as it is.
  case read
  /// It's in use.
  case touch
  /// A connection of the node that asks uses it, or no longer does; by the node's own count.
  case attach(number: UInt64)
  case detach(number: UInt64)
  /// Events from that number on, some at a time.
  case events(from: UInt64, countMax: UInt32, bytesMax: UInt32)
}

/// Who an answer of the owner is for.
enum Asker {
  case local(SessionAsk)
  case remote(IncomingCall)
}

/// A connection of this node's that uses a session. A session's next owner is told of it again.
struct Attachment {
  var id: SessionID
  var principal: Principal
  var owner: NodeID
}

/// A request of this node's that is under way, or waits until its session has an owner that may
/// answer.
final class SessionAsk {
  enum Body {
    case write(SessionRequest)
    case query(SessionQuery)
  }

  let id: SessionID
  let principal: Principal
  let body: Body
  let deadline: UInt64
  /// What this node had applied when it was asked for first.
  var since: UInt64?
  /// What there is to say if nothing better comes.
  var lastOutcome: SessionOutcome
  let answer: (SessionOutcome, SessionView?) -> Void

  init(
    _ id: SessionID, _ principal: Principal, _ body: Body, deadline: UInt64,
    _ answer: @escaping (SessionOutcome, SessionView?) -> Void
  ) {
    self.id = id
    self.principal = principal
    self.body = body
    self.deadline = deadline
    self.answer = answer
    lastOutcome = SessionOutcome(.notAccepting)
  }

  /// Whether it's asked for again, and may have been done the first time.
  var isRepeated: Bool { lastOutcome.code == .uncertain }

  /// Whether it can be asked a second time when it may have been done.
  var isRepeatable: Bool {
    guard case .write(let request) = body else { return true }
    return request.key != 0
  }
}

/// A session as its owner tells of it: good until the closure returns that it is handed to.
@safe
package struct SessionView {
  package var phase: SessionPhase
  package var version: UInt64
  /// The first event in the outbox that isn't acknowledged, and what the next one will be.
  package var firstEvent: UInt64
  package var nextEvent: UInt64
  /// The state; of a query for events the events, each behind its length in four bytes, from
  /// `firstEvent` on.
  package var bytes: UnsafeRawBufferPointer
}

/// How queries and what is answered travel between nodes.
enum SessionWire {
  static let queryBytes = 55
  /// Of a repeated write, before the write.
  static let sinceBytes = 8
  /// Of an answer before the session's bytes.
  static let answerBytes = SessionOutcome.byteCount + 17

  private static func put<Number: FixedWidthInteger>(_ number: Number, _ bytes: inout [UInt8]) {
    for shift in stride(from: 0, to: Number.bitWidth, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: number >> Number(shift)))
    }
  }

  private static func get<Number: FixedWidthInteger>(
    _ bytes: UnsafeRawBufferPointer, _ offset: Int
  ) -> Number {
    unsafe Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
  }

  static func query(_ query: SessionQuery, _ id: SessionID, _ principal: Principal) -> [UInt8] {
    let (kind, a, b, c): (UInt8, UInt64, UInt32, UInt32) =
      switch query {
      case .read: (1, 0, 0, 0)
      case .touch: (2, 0, 0, 0)
      case .attach(let number): (3, number, 0, 0)
      case .detach(let number): (4, number, 0, 0)
      case .events(let from, let countMax, let bytesMax): (5, from, countMax, bytesMax)
      }
    var bytes: [UInt8] = [kind]
    bytes.reserveCapacity(queryBytes)
    put(id.high, &bytes)
    put(id.low, &bytes)
    put(id.place, &bytes)
    put(principal.high, &bytes)
    put(principal.low, &bytes)
    put(a, &bytes)
    put(b, &bytes)
    put(c, &bytes)
    // For what may come.
    put(UInt32(0), &bytes)
    return bytes
  }

  static func query(
    _ bytes: UnsafeRawBufferPointer
  ) -> (SessionQuery, SessionID, Principal)? {
    guard bytes.count == queryBytes else { return nil }
    let id = unsafe SessionID(high: get(bytes, 1), low: get(bytes, 9), place: get(bytes, 17))
    let principal = unsafe Principal(high: get(bytes, 19), low: get(bytes, 27))
    let a: UInt64 = unsafe get(bytes, 35)
    let query: SessionQuery
    switch unsafe bytes[0] {
    case 1: query = .read
    case 2: query = .touch
    case 3: query = .attach(number: a)
    case 4: query = .detach(number: a)
    case 5: query = unsafe .events(from: a, countMax: get(bytes, 43), bytesMax: get(bytes, 47))
    default: return nil
    }
    guard let id else { return nil }
    return (query, id, principal)
  }

  static func repeated(_ request: SessionRequest, since: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    put(since, &bytes)
    return bytes + request.bytes
  }

  /// Since when, and the write.
  static func repeated(
    _ bytes: UnsafeRawBufferPointer
  ) -> (since: UInt64, request: UnsafeRawBufferPointer)? {
    guard bytes.count > sinceBytes else { return nil }
    return unsafe (get(bytes, 0), UnsafeRawBufferPointer(rebasing: bytes[sinceBytes...]))
  }

  static func answer(_ outcome: SessionOutcome, _ view: SessionView?) -> [UInt8] {
    var bytes: [UInt8] = []
    unsafe bytes.reserveCapacity(answerBytes + (view?.bytes.count ?? 0))
    bytes += outcome.bytes
    guard let view else { return bytes }
    bytes.append(view.phase.rawValue)
    put(view.firstEvent, &bytes)
    put(view.nextEvent, &bytes)
    unsafe bytes.append(contentsOf: view.bytes)
    return bytes
  }

  static func answer(_ bytes: UnsafeRawBufferPointer) -> (SessionOutcome, SessionView?)? {
    let length = SessionOutcome.byteCount
    guard bytes.count >= length,
      let outcome = try? SessionOutcome(bytes: unsafe Array(bytes[..<length]))
    else { return nil }
    guard bytes.count >= answerBytes, let phase = unsafe SessionPhase(rawValue: bytes[length])
    else { return (outcome, nil) }
    let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[answerBytes...])
    let view = unsafe SessionView(
      phase: phase, version: outcome.version, firstEvent: get(bytes, length + 1),
      nextEvent: get(bytes, length + 9), bytes: rest)
    return (outcome, view)
  }
}
