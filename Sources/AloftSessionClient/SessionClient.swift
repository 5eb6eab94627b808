public import Aloft
internal import AloftCluster
internal import AloftEngine
internal import AloftMembership
public import AloftNode
public import AloftSession
import Synchronization

/// Uses a cluster's sessions from outside of it: through any of its nodes, and through another one
/// when that is lost.
///
/// ```swift
/// let options = SessionClientOptions(addresses: [address, another], token: token)
/// let client = try await SessionClient.connect(runtime, options)
/// let session = try await client.create(state: bytes, idleTimeout: .seconds(1_800))
/// try await session.append(more)
/// keep(session.id)                                     // and later, anywhere:
/// let same = try await client.resume(id)
/// for try await event in try await same.events() {
///   use(event.bytes)
///   try await same.acknowledge(through: event.number)
/// }
/// ```
/// What was asked when a connection is lost is asked again at the next node, with the same key: a
/// write that is answered was done once. One that isn't answered in time throws
/// ``SessionFailure``: `notAccepting` if it was certainly not done, `uncertain` if nobody knows.
///
/// A session that several clients write to at a time should keep more keys
/// (`SessionOptions.keysMax`): one that may have forgotten a write's key answers `uncertain` when
/// that is repeated, for it can't know.
///
/// **Threads**: any. One client has one connection, shared by all of its sessions.
public final class SessionClient: Sendable {
  /// The loop that its connection lives on.
  public let eventLoop: Aloft.EventLoop
  let options: SessionClientOptions
  private let core: Core
  private let watchers = Mutex<[Int: AsyncStream<State>.Continuation]>([:])
  private let watchersMade = Atomic<Int>(0)

  /// Where a client stands.
  public enum State: Sendable, Hashable {
    case connecting
    /// At the node with that number, by that door.
    case connected(Aloft.SocketAddress, node: Int)
    /// The connection was lost; requests wait, and are repeated at the next node.
    case resuming
    /// For good: the cluster doesn't take the token, say.
    case failed(SessionFailure)
    case closed
  }

  /// The core, which is its loop's alone: it is only passed on here.
  struct Core: @unchecked Sendable {
    // @unchecked: see above.
    let value: SessionClientCore
  }

  // MARK: The beginning and the end

  /// Comes to a cluster: answers when a node has let it in.
  /// - Parameters:
  ///   - loop: which loop its connection lives on; the runtime's first unless given.
  ///   - limit: after so long it's given up.
  /// - Throws: ``SessionFailure``: `denied` when the cluster doesn't take the token, `notAccepting`
  ///   when no node let it in in time, `invalid` for options that can't be.
  public static func connect(
    _ runtime: Runtime, _ options: SessionClientOptions, on loop: Aloft.EventLoop? = nil,
    within limit: Duration = .seconds(10)
  ) async throws -> SessionClient {
    let client = try SessionClient(options, loop ?? runtime.eventLoops[0])
    try await client.start(within: limit)
    return client
  }

  private init(_ options: SessionClientOptions, _ loop: Aloft.EventLoop) throws {
    self.options = options
    eventLoop = loop
    let inner = try options.inner()
    do throws(ClientError) {
      core = Core(value: try SessionClientCore(inner, on: loop.engineLoop))
    } catch {
      throw SessionFailure(.invalid, error.description)
    }
  }

  private func start(within limit: Duration) async throws {
    let late = SessionFailure(
      .notAccepting, "no node let the client in within \(limit): is an address right?")
    let milliseconds = UInt64(limit.milliseconds)
    let failure: SessionFailure? = await onLoop(otherwise: late) { [weak self] core, owed in
      core.onState = { state in
        self?.became(state)
        switch state {
        case .connected: owed.tell(nil)
        case .failed(let reason): owed.tell(SessionFailure(reason))
        case .closed: owed.tell(late)
        case .connecting, .resuming: break
        }
      }
      _ = core.loop.startTimer(afterMilliseconds: milliseconds, period: 0, beyondLimit: true) {
        owed.tell(late)
      }
      core.start()
    }
    if let failure {
      await close()
      throw failure
    }
  }

  deinit {
    let core = core
    core.value.loop.executeUnrefused { core.value.close() }
  }

  /// Ends it. Requests that wait throw. Sessions stay as they are. Idempotent.
  public func close() async {
    await onLoop(otherwise: ()) { core, owed in
      core.close()
      owed.tell(())
    }
  }

  // MARK: What the user must know

  private func became(_ inner: ClientState) {
    let state = State(inner)
    for continuation in watchers.withLock({ Array($0.values) }) { continuation.yield(state) }
    switch state {
    case .closed, .failed: break
    case .connecting, .connected, .resuming: return
    }
    for continuation in watchers.withLock({ Array($0.values) }) { continuation.finish() }
  }

  public var state: State {
    get async {
      await onLoop(otherwise: State.closed) { core, owed in owed.tell(State(core.state)) }
    }
  }

  /// Each change of ``state`` from now on; those that aren't taken are kept, some hundred of them.
  public func states() -> AsyncStream<State> {
    let number = watchersMade.add(1, ordering: .relaxed).newValue
    return AsyncStream(bufferingPolicy: .bufferingNewest(128)) { continuation in
      continuation.onTermination = { [weak self] _ in
        _ = self?.watchers.withLock { $0.removeValue(forKey: number) }
      }
      watchers.withLock { $0[number] = continuation }
    }
  }

  /// What a client has done.
  public struct Statistics: Sendable, Hashable {
    /// Connections that came about, the first one included.
    public var connections: UInt64
    public var requests: UInt64
    /// Requests that were sent again, at another connection.
    public var repeated: UInt64
    /// Those of which nobody knows what has become of them.
    public var uncertain: UInt64
    public var events: UInt64

    init(_ inner: ClientStatistics) {
      connections = inner.connections
      requests = inner.requests
      repeated = inner.repeated
      uncertain = inner.uncertain
      events = inner.events
    }
  }

  public func statistics() async -> Statistics {
    await onLoop(otherwise: Statistics(ClientStatistics())) { core, owed in
      owed.tell(Statistics(core.statistics))
    }
  }

  /// The greatest version that any answer has had: for ``Consistency/atLeast(_:)``, here or at
  /// another client that is to see no less than this one.
  public var token: UInt64 {
    get async { await onLoop(otherwise: 0) { core, owed in owed.tell(core.token) } }
  }

  // MARK: Sessions

  /// Makes a session.
  /// - Parameters:
  ///   - state: what it holds.
  ///   - name: up to 255 bytes, its own in the cluster; without one it gets a number that nobody
  ///     can guess.
  ///   - idleTimeout: it ends when nobody was attached and it wasn't used for so long; nil for
  ///     never.
  ///   - options: all else, such as its durability and limits.
  /// - Throws: ``SessionFailure``; `exists` if the name is taken.
  public func create(
    state: [UInt8] = [], name: String? = nil, idleTimeout: Duration? = nil,
    options: SessionOptions = SessionOptions()
  ) async throws -> ClientSession {
    var options = options
    if let idleTimeout { options.idleTimeoutMs = idleTimeout.milliseconds }
    let name = name.map { Array($0.utf8) } ?? []
    let isLocal = options.durability == .local
    let session = ClientSession(id: try await newID(name, isLocal: isLocal), client: self)
    try await session.write(.create(options, name: name, state: state))
    return session
  }

  /// The session of this number, which was made here or elsewhere, if it's there and the client's
  /// principal's.
  /// - Throws: ``SessionFailure``: `unknown` when there is none, or no such number; `closed`;
  ///   `forbidden` when it is another principal's.
  public func resume(_ id: String) async throws -> ClientSession {
    let session = ClientSession(id: id, client: self)
    _ = try await session.read()
    return session
  }

  /// The session of this number, without asking whether it's there.
  public func session(_ id: String) -> ClientSession { ClientSession(id: id, client: self) }

  /// The session that was made with this name.
  public func named(_ name: String) async throws -> ClientSession {
    try await resume(newID(Array(name.utf8)))
  }

  private func newID(_ name: [UInt8], isLocal: Bool = false) async throws -> String {
    guard name.count <= 255 else { throw SessionFailure(.invalid, "a name has 255 bytes at most") }
    guard !isLocal || name.isEmpty else {
      throw SessionFailure(.invalid, "a session in the memory of one node alone has no name")
    }
    let milliseconds = patience
    let answer: (SessionOutcome, String) = await onLoop(otherwise: (Self.over, "")) { core, owed in
      core.newID(name: name, isLocal: isLocal, milliseconds: milliseconds) { owed.tell(($0, $1)) }
    }
    if let failure = SessionFailure(answer.0) { throw failure }
    return answer.1
  }

  // MARK: Behind it

  static let over = SessionOutcome(.notAccepting)

  var patience: UInt32 { options.patience.milliseconds }

  func onLoop<Value: Sendable>(
    otherwise: Value, _ body: @escaping @Sendable (SessionClientCore, Owed<Value>) -> Void
  ) async -> Value {
    let core = core
    return await core.value.loop.told(otherwise: otherwise) { body(core.value, $0) }
  }

  func tell(_ body: @escaping @Sendable (SessionClientCore) -> Void) {
    let core = core
    core.value.loop.executeUnrefused { body(core.value) }
  }
}

extension SessionClient.State {
  init(_ inner: ClientState) {
    self =
      switch inner {
      case .connecting: .connecting
      case .connected(let address, let node):
        .connected(Aloft.SocketAddress(engineAddress: address), node: Int(node))
      case .resuming: .resuming
      case .failed(let reason): .failed(SessionFailure(reason))
      case .closed: .closed
      }
  }
}

extension SessionFailure {
  init(_ refusal: DoorRefusal) {
    switch refusal {
    case .badToken:
      self.init(.denied, "the cluster doesn't take the token: it's another cluster's, or forged")
    case .expired: self.init(.denied, "the token is no longer good")
    case .plaintext:
      self.init(
        .denied, "plain text to another machine: give the client the authorities' certificates")
    default: self.init(.notAccepting, "no node let the client in: \(refusal)")
    }
  }
}
