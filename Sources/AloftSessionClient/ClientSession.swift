internal import AloftCluster
internal import AloftNode
public import AloftSession

/// A session as a ``SessionClient`` has it: by its number, whichever node serves it.
///
/// **Threads**: any. Calls suspend for the client's patience at most, and throw
/// ``SessionFailure``.
public struct ClientSession: Sendable, Hashable {
  /// Its number, as a text of 32 characters that nobody can guess or forge. Whoever has it and is
  /// the session's principal can use the session, at any client.
  public let id: String
  let client: SessionClient

  public static func == (a: ClientSession, b: ClientSession) -> Bool { a.id == b.id }

  public func hash(into hasher: inout Hasher) { hasher.combine(id) }

  /// What a session holds.
  public struct Contents: Sendable, Hashable {
    public var state: [UInt8]
    /// Another one with each write; the token of ``SessionClient/Consistency/atLeast(_:)``.
    public var version: UInt64
    public var phase: SessionPhase
    /// The first event in the outbox that isn't acknowledged, and what the next one's number will
    /// be.
    public var firstEvent: UInt64
    public var nextEvent: UInt64

    init(_ view: SessionView) {
      state = unsafe Array(view.bytes)
      version = view.version
      phase = view.phase
      firstEvent = view.firstEvent
      nextEvent = view.nextEvent
    }
  }

  // MARK: Reading

  /// The session as it is: what was answered to anybody before is in it. Or, for less work, as the
  /// node knows it that the client is at, but never older than `atLeast` says.
  public func read(
    _ consistency: SessionClient.Consistency = .linearizable
  ) async throws -> Contents {
    let (id, milliseconds) = (id, client.patience)
    let answer: (SessionOutcome, Contents?) = await client.onLoop(
      otherwise: (SessionClient.over, nil)
    ) { core, owed in
      core.read(id, consistency.inner, milliseconds: milliseconds) { outcome, view in
        owed.tell((outcome, view.map(Contents.init)))
      }
    }
    return try Self.checked(answer.0, answer.1)
  }

  private static func checked<Value>(_ outcome: SessionOutcome, _ value: Value?) throws -> Value {
    if let failure = SessionFailure(outcome) { throw failure }
    guard let value else { throw SessionFailure(.uncertain, "the answer was damaged") }
    return value
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

  /// Ends the session. What it held is gone.
  public func close() async throws { try await write(.close) }

  /// It's in use: its idle time begins anew.
  public func touch() async throws {
    let (id, milliseconds) = (id, client.patience)
    let outcome = await client.onLoop(otherwise: SessionClient.over) { core, owed in
      core.touch(id, milliseconds: milliseconds) { owed.tell($0) }
    }
    if let failure = SessionFailure(outcome) { throw failure }
  }

  @discardableResult
  func write(
    _ operation: SessionOperation, expected: UInt64? = nil
  ) async throws -> SessionOutcome {
    let (id, milliseconds) = (id, client.patience)
    let outcome = await client.onLoop(otherwise: SessionClient.over) { core, owed in
      core.write(id, operation, expected: expected, milliseconds: milliseconds) { owed.tell($0) }
    }
    if let failure = SessionFailure(outcome) { throw failure }
    return outcome
  }

  // MARK: The outbox

  /// Puts an event into the outbox, where it stays until it's acknowledged. Answers its number.
  @discardableResult
  public func publish(_ event: [UInt8]) async throws -> UInt64 {
    try await write(.publish(event)).number
  }

  /// All events up to that number have arrived: they are no longer kept.
  public func acknowledge(through number: UInt64) async throws {
    try await write(.acknowledge(through: number))
  }

  /// An event of a session's outbox.
  public struct Event: Sendable, Hashable {
    /// One more than that of the event before.
    public let number: UInt64
    public let bytes: [UInt8]
  }

  /// The outbox's events from that number on, those that aren't acknowledged, and then each as it
  /// is published: in order, each once, whatever becomes of connections. While somebody iterates,
  /// the client is attached and the session doesn't expire.
  ///
  /// What arrives and isn't taken is kept here: the outbox's limits bound that as long as only who
  /// takes events acknowledges them.
  /// - Throws: ``SessionFailure``; the sequence, too: `closed` or `unknown` when the session is
  ///   over, `notAccepting` when the client is.
  public func events(from number: UInt64 = 0) async throws -> AsyncThrowingStream<Event, any Error>
  {
    let (stream, feed) = AsyncThrowingStream<Event, any Error>.makeStream()
    _ = try await attach(
      from: number, told: { feed.yield(Event(number: $0, bytes: $1)) },
      ended: { feed.finish(throwing: $0) }, lives: feed)
    return stream
  }

  /// Attaches the client to the session, which doesn't expire until ``ClientAttachment/detach()``:
  /// again at each connection.
  public func attach() async throws -> ClientAttachment {
    try await attach(from: nil, told: { _, _ in }, ended: { _ in }, lives: nil)
  }

  private func attach(
    from number: UInt64?, told: @escaping @Sendable (UInt64, [UInt8]) -> Void,
    ended: @escaping @Sendable (SessionFailure) -> Void,
    lives feed: AsyncThrowingStream<Event, any Error>.Continuation?
  ) async throws -> ClientAttachment {
    let (id, milliseconds) = (id, client.patience)
    let kept = ClientAttachment.Subscription()
    let client = client
    feed?.onTermination = { _ in client.tell { kept.end($0) } }
    let answer: (SessionOutcome, Contents?) = await client.onLoop(
      otherwise: (SessionClient.over, nil)
    ) { core, owed in
      let made = core.subscribe(
        id, from: number, milliseconds: milliseconds,
        { outcome, view in owed.tell((outcome, view.map(Contents.init))) }, told: told,
        ended: { code in
          ended(SessionFailure(SessionOutcome(code)) ?? SessionFailure(.closed, "it has ended"))
        })
      kept.begin(made, core)
    }
    let contents = try Self.checked(answer.0, answer.1)
    return ClientAttachment(contents: contents, client: client, subscription: kept)
  }
}

/// A client's use of a session: see ``ClientSession/attach()``.
public struct ClientAttachment: Sendable {
  /// The session as it was found.
  public let contents: ClientSession.Contents
  let client: SessionClient
  let subscription: Subscription

  /// The core's part of it, which is the loop's alone.
  final class Subscription: @unchecked Sendable {
    // @unchecked: see above.
    private var inner: ClientSubscription?
    private var hasEnded = false

    func begin(_ inner: ClientSubscription, _ core: SessionClientCore) {
      if hasEnded { return core.unsubscribe(inner) }
      self.inner = inner
    }

    func end(_ core: SessionClientCore) {
      hasEnded = true
      if let inner = inner.take() { core.unsubscribe(inner) }
    }
  }

  /// It is no longer used here. Any thread; idempotent.
  public func detach() {
    let subscription = subscription
    client.tell { subscription.end($0) }
  }
}

extension SessionClient {
  /// Which state a read is to show.
  public enum Consistency: Sendable, Hashable {
    /// The last one that anybody was told of: its owner answers.
    case linearizable
    /// One of this version or a later one: the node answers that the client is at, if it knows as
    /// much, and else the owner. A version of ``ClientSession/Contents/version``, of a write, or
    /// ``SessionClient/token``: with that, a client never goes back in time.
    case atLeast(UInt64)

    var inner: SessionClientCore.Consistency {
      switch self {
      case .linearizable: .linearizable
      case .atLeast(let token): .atLeast(token)
      }
    }
  }
}
