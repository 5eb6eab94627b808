internal import AloftEngine

/// A connection for `async` code.
///
/// ```swift
/// let listener = try await runtime.listen(on: .init("127.0.0.1", 7777)) { connection in
///   for try await message in connection.messages {
///     try await connection.write(message)
///   }
/// }
/// ```
/// **Back-pressure**: messages wait in memory only up to the high-water mark of the options; then
/// reading pauses until they are consumed. `write` suspends while the peer is slow.
/// **Cancellation**: a cancelled task's `write` and iteration throw `CancellationError` at once;
/// the connection stays open until it is closed or its scope ends.
/// **Threads**: use it from any one task at a time. In the tasks that `listen` and `withConnection`
/// start, all calls run on the connection's own loop and cost no hop; elsewhere each call costs
/// one.
public final class AsyncConnection: Sendable {
  /// The same connection for callback code, on its loop.
  public let connection: Connection
  public let eventLoop: EventLoop
  let stream: ConnectionStream

  init(_ connection: Connection, on eventLoop: EventLoop, _ stream: ConnectionStream) {
    self.connection = connection
    self.eventLoop = eventLoop
    self.stream = stream
  }

  /// What arrives: whole messages with framing, else bytes as they come. To be iterated once. Ends
  /// when the peer has finished; throws an `AloftError` when the connection breaks.
  public var messages: Messages { Messages(connection: self) }

  /// Writes all of `bytes` (with framing: as one message), suspending while the queue is full.
  /// - Throws: `AloftError` `closed` when the connection is not open for writing any more, or what
  ///   broke it; `messageTooLarge` for a message beyond the frame limit; `CancellationError`.
  public func write(_ bytes: [UInt8]) async throws {
    if eventLoop.isCurrent, try stream.tryWrite(bytes) { return }
    try await stream.write(bytes, on: eventLoop)
  }

  public func write(_ text: String) async throws { try await write(Array(text.utf8)) }

  /// Half-closes: the peer learns, after all that was written, that no more follows.
  public func finishWriting() async {
    let connection = connection
    try? await eventLoop.run { connection.finishWriting() }
  }

  /// Sends what is queued, then closes. Idempotent; answers at once.
  public func close() async {
    let connection = connection
    try? await eventLoop.run { connection.close() }
  }

  /// Closes with a reset; what is queued is lost.
  public func reset() async {
    let connection = connection
    try? await eventLoop.run { connection.reset() }
  }

  /// The messages of a connection, in the order of their arrival.
  public struct Messages: AsyncSequence, Sendable {
    let connection: AsyncConnection

    public struct AsyncIterator: AsyncIteratorProtocol {
      let connection: AsyncConnection

      public mutating func next() async throws -> [UInt8]? {
        if connection.eventLoop.isCurrent, let message = connection.stream.take() {
          return message
        }
        return try await connection.stream.next(on: connection.eventLoop)
      }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(connection: connection) }
  }
}

extension Runtime {
  /// Listens, and runs `serve` for each connection in a task of its own, on the connection's loop.
  /// The connection is closed when `serve` returns, and reset when it throws.
  ///
  /// The tasks are not children of the caller. `shutdown` closes their connections, which ends
  /// their iterations; they must end then.
  public func listen(
    on address: SocketAddress, options: ConnectionOptions = .init(), backlog: Int = 4_096,
    serve: @escaping @Sendable (AsyncConnection) async throws -> Void
  ) async throws -> Listener {
    let acceptor = ServingHandler(settings: try options.settings(), serve: serve)
    return try await listen(on: address, backlog: backlog, acceptor)
  }

  /// The same on a socket that listens already and was handed to this process; see
  /// `listen(inherited:options:handler:)`.
  public func listen(
    inherited descriptor: Int32, options: ConnectionOptions = .init(),
    serve: @escaping @Sendable (AsyncConnection) async throws -> Void
  ) async throws -> Listener {
    try await listen(
      inherited: descriptor, ServingHandler(settings: try options.settings(), serve: serve))
  }

  /// Listens for as long as `body` runs; the listener is closed when it returns or throws.
  public func withListener<Value>(
    on address: SocketAddress, options: ConnectionOptions = .init(),
    serve: @escaping @Sendable (AsyncConnection) async throws -> Void,
    _ body: (Listener) async throws -> Value
  ) async throws -> Value {
    let listener = try await listen(on: address, options: options, serve: serve)
    do {
      let value = try await body(listener)
      await listener.close()
      return value
    } catch {
      await listener.close()
      throw error
    }
  }

  /// Connects, passes the connection to `body`, and closes it when that returns; resets it when it
  /// throws. Cancellation while connecting gives the attempt up.
  public func withConnection<Value: Sendable>(
    to address: SocketAddress, from local: SocketAddress? = nil,
    options: ConnectionOptions = .init(), on eventLoop: EventLoop? = nil,
    _ body: @escaping @Sendable (AsyncConnection) async throws -> Value
  ) async throws -> Value {
    let loop = eventLoop ?? nextEventLoop()
    let stream = ConnectionStream(settings: try options.settings())
    let connection = try await connect(to: address, from: local, on: loop, then: stream)
    let scoped = AsyncConnection(connection, on: loop, stream)
    return try await withTaskExecutorPreference(loop.executor) {
      try await scoped.scope(body)
    }
  }
}

extension AsyncConnection {
  func scope<Value: Sendable>(
    _ body: (AsyncConnection) async throws -> Value
  ) async throws -> Value {
    do {
      let value = try await body(self)
      await close()
      return value
    } catch {
      await reset()
      throw error
    }
  }
}

/// Starts a task for each connection that arrives.
final class ServingHandler: AloftEngine.ConnectionHandler, @unchecked Sendable {
  // @unchecked: the stored property is immutable and Sendable.
  private let serve: @Sendable (AsyncConnection) async throws -> Void

  init(
    settings: ConnectionSettings, serve: @escaping @Sendable (AsyncConnection) async throws -> Void
  ) {
    self.serve = serve
    super.init(settings: settings)
  }

  override func opened(_ id: ConnectionID) {
    guard let loop = AloftEngine.EventLoop.owner(of: id) else { return }
    let stream = ConnectionStream(settings: settings)
    loop.setHandler(id, stream)
    // It has missed this, and who serves may speak first.
    stream.opened(id)
    let connection = AsyncConnection(Connection(id), on: EventLoop(loop), stream)
    let serve = serve
    Task(executorPreference: loop) { try? await connection.scope(serve) }
  }
}
