internal import Aloft
internal import AloftCluster
internal import AloftEngine
public import AloftSession

/// One session, by its name: to be had from any node of the cluster, whichever serves it.
///
/// ```swift
/// let session = try await node.sessions.create(state: bytes, idleTimeout: .seconds(1_800))
/// try await session.update { $0.append(contentsOf: more) }
/// ```
/// A write that was answered is on the disks that the session's durability tells of. Each carries a
/// key of its own, so it's done once however often it has to be asked for behind the scenes.
/// **Threads**: any. Calls suspend, and throw ``SessionFailure``.
public struct Session: Sendable, Hashable {
  /// Its number. Whoever has it and is the session's principal can use the session.
  public let id: SessionID
  /// Whose it is.
  public let principal: Principal
  let sessions: Sessions

  public static func == (a: Session, b: Session) -> Bool {
    a.id == b.id && a.principal == b.principal
  }

  public func hash(into hasher: inout Hasher) { hasher.combine(id) }

  /// What a session holds.
  public struct Contents: Sendable, Hashable {
    public var state: [UInt8]
    /// Another one with each write.
    public var version: UInt64
    public var phase: SessionPhase
    /// The first event in the outbox that isn't acknowledged.
    public var firstEvent: UInt64
    /// What the next event's number will be.
    public var nextEvent: UInt64

    init(_ view: SessionView) {
      state = unsafe Array(view.bytes)
      version = view.version
      phase = view.phase
      firstEvent = view.firstEvent
      nextEvent = view.nextEvent
    }
  }

  /// Which state a read is to show.
  public enum Consistency: Sendable, Hashable {
    /// The last one that anybody was told of: its owner answers.
    case linearizable
    /// One of this version or a later one: this node answers if it knows as much, and else the
    /// owner. With the greatest version that one was ever answered, one never goes back in time,
    /// whichever node one comes to.
    case atLeast(UInt64)
  }

  /// The session as it is: what was answered to anybody before is in it. Or, for less work, as this
  /// node knows it, but never older than `atLeast` says.
  public func read(_ consistency: Consistency = .linearizable) async throws -> Contents {
    switch consistency {
    case .linearizable: return try await sessions.query(.read, id, principal).contents
    case .atLeast(let token):
      let (id, principal, deadline) = (id, principal, sessions.deadline())
      return try await sessions.onLoop { inner, done in
        inner.read(id, principal, atLeast: token, deadline: deadline) { outcome, view in
          done(Sessions.Answer(outcome, view.map(Contents.init)))
        }
      }.checked().contents
    }
  }

  // MARK: Writing

  /// Changes the state as the closure does, if nobody else does so meanwhile; else it's called
  /// again with what they made of it. Answers what the closure does, and the new version.
  @discardableResult
  public func update<Result>(
    _ body: (inout [UInt8]) throws -> Result
  ) async throws -> (result: Result, version: UInt64) {
    while true {
      let before = try await read()
      var state = before.state
      let result = try body(&state)
      do {
        return (result, try await put(state, expected: before.version))
      } catch let failure as SessionFailure where failure.code == .conflict {
        continue
      }
    }
  }

  /// Another state, whatever it was; or if it's still of that version. Answers the new version.
  @discardableResult
  public func put(_ state: [UInt8], expected: UInt64? = nil) async throws -> UInt64 {
    try await write(.put(state), expected: expected).version
  }

  /// More behind the state. Answers the new version.
  @discardableResult
  public func append(_ bytes: [UInt8]) async throws -> UInt64 {
    try await write(.append(bytes)).version
  }

  /// Sets named fields of a state that is made of such, nil takes one away. Answers the new
  /// version.
  @discardableResult
  public func patch(_ fields: [String: [UInt8]?]) async throws -> UInt64 {
    try await write(.patch(fields)).version
  }

  /// Goes on to another phase: see ``SessionPhase/mayBecome(_:)``.
  public func setPhase(_ phase: SessionPhase) async throws { try await write(.setPhase(phase)) }

  /// Ends it. What it held is gone.
  public func close() async throws { try await write(.close) }

  @discardableResult
  private func write(
    _ operation: SessionOperation, expected: UInt64? = nil
  ) async throws -> SessionOutcome {
    try await sessions.write(
      SessionRequest(
        id: id, principal: principal, key: Sessions.newKey(), expected: expected,
        operation: operation))
  }

  // MARK: Use

  /// It's in use: its idle time begins anew.
  public func touch() async throws { _ = try await sessions.query(.touch, id, principal) }

  /// A connection uses it from now on, and it doesn't end for being idle until the attachment is
  /// given up. When another node comes to serve the session, that is told by itself.
  public func attach() async throws -> SessionAttachment {
    let (id, principal) = (id, principal)
    let deadline = sessions.deadline()
    let answer = try await sessions.onLoop { inner, done in
      inner.attach(id, principal, deadline: deadline) { number, outcome, view in
        done(Sessions.Answer(outcome, view.map(Contents.init), number: number))
      }
    }
    return SessionAttachment(
      session: self, contents: try answer.checked().contents, number: answer.number)
  }

  // MARK: The outbox

  /// Puts an event into the outbox, from where it's read after a reconnection until it's
  /// acknowledged. Answers its number.
  @discardableResult
  public func publish(_ event: [UInt8]) async throws -> UInt64 {
    try await write(.publish(event)).number
  }

  /// Events that aren't acknowledged, from that number on, and the first one's number; not more
  /// than so many.
  public func events(
    from number: UInt64 = 0, max: Int = 256
  ) async throws -> (first: UInt64, events: [[UInt8]]) {
    let query = SessionQuery.events(
      from: number, countMax: UInt32(clamping: max), bytesMax: 1 << 20)
    let contents = try await sessions.query(query, id, principal).contents
    return (contents.firstEvent, Self.unpack(contents.state))
  }

  /// All events up to that number have arrived: they are no longer kept.
  public func acknowledge(through number: UInt64) async throws {
    try await write(.acknowledge(through: number))
  }

  private static func unpack(_ bytes: [UInt8]) -> [[UInt8]] {
    var events: [[UInt8]] = []
    var at = 0
    while at + 4 <= bytes.count {
      let length = (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) }
      at += 4
      guard length <= bytes.count - at else { break }
      events.append(Array(bytes[at..<at + length]))
      at += length
    }
    return events
  }
}

/// A connection's use of a session.
public struct SessionAttachment: Sendable {
  public let session: Session
  /// The session as it was found.
  public let contents: Session.Contents
  let number: UInt64

  /// The connection has ended. Any thread; idempotent.
  public func detach() {
    let number = number
    session.sessions.tell { $0.detach(number) }
  }
}
