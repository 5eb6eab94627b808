internal import Aloft
internal import AloftCluster
internal import AloftEngine
public import AloftSession
import Synchronization

extension Node {
  /// The cluster's sessions.
  public var sessions: Sessions { Sessions(self) }
}

/// What outlives a connection, a process and a machine: states with a name, kept by all nodes of a
/// cluster.
///
/// Any node answers for any session; it asks the one that serves it. When that one dies, others
/// take its sessions over, with everything that was acknowledged, and requests wait meanwhile.
/// **Threads**: any, unless said otherwise.
public struct Sessions: Sendable {
  let node: Node

  init(_ node: Node) { self.node = node }

  /// How long calls wait for an answer.
  public var patience: Duration = .seconds(10)

  // MARK: To make and to find

  /// Makes a session. Without a name it gets a number that nobody can guess, on the node that has
  /// fewest sessions; with one its number follows from the name.
  /// - Parameters:
  ///   - state: what it holds.
  ///   - name: up to 255 bytes, to find it again by ``named(_:principal:)``.
  ///   - principal: whose it is. Nobody else can use it.
  ///   - idleTimeout: it ends when it wasn't used for so long; nil for never.
  ///   - options: all else, such as its durability and limits.
  /// - Throws: ``SessionFailure``; `exists` if the name is taken.
  public func create(
    state: [UInt8] = [], name: String? = nil, principal: Principal = .anyone,
    idleTimeout: Duration? = nil, options: SessionOptions = SessionOptions()
  ) async throws -> Session {
    var options = options
    if let idleTimeout { options.idleTimeoutMs = idleTimeout.limitMilliseconds }
    let id = try await newID(name, isLocal: options.durability == .local)
    let operation = SessionOperation.create(
      options, name: name.map { Array($0.utf8) } ?? [], state: state)
    _ = try await write(
      SessionRequest(id: id, principal: principal, key: Self.newKey(), operation: operation))
    return Session(id: id, principal: principal, sessions: self)
  }

  /// A session by its number, if it's there and the principal's.
  public func get(_ id: SessionID, principal: Principal = .anyone) async throws -> Session? {
    do {
      _ = try await query(.read, id, principal)
    } catch let failure as SessionFailure where failure.code == .unknown || failure.code == .closed
    {
      return nil
    }
    return Session(id: id, principal: principal, sessions: self)
  }

  /// The same by the text that ``text(of:)`` made. Nil, without a look-up, for a text that this
  /// cluster never made.
  public func get(_ text: String, principal: Principal = .anyone) async throws -> Session? {
    guard let id = try await keys().id(text: text) else { return nil }
    return try await get(id, principal: principal)
  }

  /// The same by the name that it was made with.
  public func named(_ name: String, principal: Principal = .anyone) async throws -> Session? {
    try await get(keys().id(named: Array(name.utf8)), principal: principal)
  }

  /// A session's number as a text of 32 characters for the world outside, which can't be forged.
  public func text(of id: SessionID) async throws -> String { try await keys().text(id) }

  /// The principal that is called so by who knows him: a user's name, or a token's subject.
  public func principal(_ name: String) async throws -> Principal {
    try await keys().principal(named: Array(name.utf8))
  }

  /// The principal's sessions, some at a time, behind the one that was the last before. As this
  /// node knows them.
  public func list(
    principal: Principal, after: SessionID? = nil, max: Int = 1_000
  ) async -> [SessionID] {
    await node.onLoop { $0.sessions.store.list(principal: principal, after: after, max: max) } ?? []
  }

  /// How many sessions the cluster has. As this node knows.
  public func count() async -> Int {
    await node.onLoop { $0.sessions.store.count - $0.sessions.store.tombstones } ?? 0
  }

  /// How many the principal has, those too that were closed less than half a minute ago.
  public func count(principal: Principal) async -> Int {
    await node.onLoop { $0.sessions.store.count(principal: principal) } ?? 0
  }

  // MARK: Behind it

  static func newKey() -> UInt64 { UInt64.random(in: 1...UInt64.max) }

  func deadline() -> UInt64 {
    ClusterNode.monotonicNow() + UInt64(patience.limitMilliseconds) * 1_000_000
  }

  private func keys() async throws -> SessionKeys {
    try await untilReady { $0.keys }
  }

  private func newID(_ name: String?, isLocal: Bool) async throws -> SessionID {
    guard let name else { return try await untilReady { $0.mint(isLocal: isLocal) } }
    guard !isLocal else {
      throw SessionFailure(.invalid, "a session in the memory of one node alone has no name")
    }
    return try await keys().id(named: Array(name.utf8))
  }

  /// What a node has once it is in a cluster that is up.
  private func untilReady<Value: Sendable>(
    _ body: @escaping @Sendable (ClusterSessions) -> Value?
  ) async throws -> Value {
    let inner = node.box.withLock { Node.Carried($0.node) }
    let loop = node.eventLoop.engineLoop
    let milliseconds = UInt64(patience.limitMilliseconds)
    let value: Value? = unsafe await withUnsafeContinuation { continuation in
      let owed = unsafe OwedValue(continuation)
      loop.executeUnrefused {
        guard let sessions = inner.value?.sessions else { return }
        _ = loop.startTimer(afterMilliseconds: milliseconds, period: 0, beyondLimit: true) {
          owed.tell(nil)
        }
        sessions.whenReady { [weak sessions] in
          guard let sessions, !sessions.hasStopped, !owed.isOver else {
            owed.tell(nil)
            return true
          }
          guard let value = body(sessions) else { return false }
          owed.tell(value)
          return true
        }
      }
    }
    guard let value else {
      throw SessionFailure(
        .notAccepting, "no node has been given any work in time: is a majority up?")
    }
    return value
  }

  /// What was answered, on its way from the loop.
  struct Answer: Sendable {
    var outcome: SessionOutcome
    var found: Session.Contents?
    var number: UInt64 = 0

    init(_ outcome: SessionOutcome, _ found: Session.Contents? = nil, number: UInt64 = 0) {
      self.outcome = outcome
      self.found = found
      self.number = number
    }

    func checked() throws -> Answer {
      if let failure = SessionFailure(outcome) { throw failure }
      return self
    }

    var contents: Session.Contents {
      get throws {
        guard let found else { throw SessionFailure(.uncertain, "the answer was damaged") }
        return found
      }
    }
  }

  func onLoop(
    _ body: @escaping @Sendable (ClusterSessions, @escaping @Sendable (Answer) -> Void) -> Void
  ) async throws -> Answer {
    let inner = node.box.withLock { Node.Carried($0.node) }
    return unsafe await withUnsafeContinuation { continuation in
      node.eventLoop.engineLoop.executeUnrefused {
        guard let value = inner.value else {
          return unsafe continuation.resume(returning: Answer(SessionOutcome(.notAccepting)))
        }
        body(value.sessions) { unsafe continuation.resume(returning: $0) }
      }
    }
  }

  func tell(_ body: @escaping @Sendable (ClusterSessions) -> Void) {
    let inner = node.box.withLock { Node.Carried($0.node) }
    node.eventLoop.engineLoop.executeUnrefused {
      if let value = inner.value { body(value.sessions) }
    }
  }

  func write(_ request: SessionRequest) async throws -> SessionOutcome {
    let deadline = deadline()
    return try await onLoop { sessions, done in
      sessions.write(request, deadline: deadline) { done(Answer($0)) }
    }.checked().outcome
  }

  func query(
    _ query: SessionQuery, _ id: SessionID, _ principal: Principal
  ) async throws -> Answer {
    let deadline = deadline()
    return try await onLoop { sessions, done in
      sessions.query(query, id, principal, deadline: deadline) { outcome, view in
        done(Answer(outcome, view.map(Session.Contents.init)))
      }
    }.checked()
  }
}

extension Sessions {
  /// What this node has done for sessions since it began.
  public struct Statistics: Sendable, Hashable {
    /// Entries of the log that this node made, those that it made a second time included.
    public var entries: UInt64
    /// Entries that were not taken: no leader, no link, no room.
    public var entriesFailed: UInt64
    /// Requests that other nodes were asked for, and that others asked this one for.
    public var requestsOut: UInt64
    public var requestsIn: UInt64
    /// How often a request had to wait for a node that could answer.
    public var requestsHeld: UInt64
    public var snapshots: UInt64
    /// Reads with a version that this node could answer by itself.
    public var readsHere: UInt64

    init(_ inner: SessionStatistics) {
      entries = inner.entries
      entriesFailed = inner.entriesFailed
      requestsOut = inner.requestsOut
      requestsIn = inner.requestsIn
      requestsHeld = inner.requestsHeld
      snapshots = inner.snapshots
      readsHere = inner.readsHere
    }
  }

  /// Nil after the node's end.
  public func statistics() async -> Statistics? {
    await node.onLoop { Statistics($0.sessions.statistics) }
  }
}
