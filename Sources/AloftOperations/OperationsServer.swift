public import Aloft
internal import AloftNode
import Synchronization

/// What operators look at, over HTTP: `/metrics` in Prometheus' text format, `/health` and `/ready`
/// for who restarts and who routes, and at `/` a live page.
///
/// ```swift
/// let journal = Journal()
/// let node = try await runtime.join(options) { journal.note($0) }
/// let operations = OperationsServer(Instruments(runtime, node: node), journal: journal)
/// try await operations.listen(on: SocketAddress("127.0.0.1", 9_464))
/// ```
/// It changes nothing and asks nobody who he is: bind it where operators alone get to.
public final class OperationsServer: Sendable {
  /// Browsers open six at a time, and who scrapes opens one.
  static let connectionsMax = 64
  /// For a request's head to arrive, and for the other side to close after the answer.
  static let patience = Duration.seconds(10)

  private let instruments: Instruments
  private let journal: Journal
  private let delays: LoopDelays
  private let patience: Duration
  private let connections = Atomic<Int>(0)
  private let measuring: Task<Void, Never>

  /// Begins to measure what the loops' delays are.
  /// - Parameter journal: where the node's events are noted.
  public convenience init(_ instruments: Instruments, journal: Journal = Journal()) {
    self.init(instruments, journal: journal, patience: Self.patience)
  }

  init(_ instruments: Instruments, journal: Journal, patience: Duration) {
    self.instruments = instruments
    self.journal = journal
    self.patience = patience
    delays = LoopDelays(instruments.runtime.eventLoops)
    measuring = Task { [delays] in await delays.run() }
  }

  deinit { measuring.cancel() }

  /// Serves until the listener is closed or the runtime ends.
  /// - Throws: as `Runtime.listen`.
  @discardableResult
  public func listen(on address: SocketAddress) async throws -> Listener {
    try await instruments.runtime.listen(on: address, options: Self.options) { [self] in
      try await serve($0)
    }
  }

  /// The same on a socket that a service manager has opened; see `Runtime.listen`.
  @discardableResult
  public func listen(inherited descriptor: Int32) async throws -> Listener {
    try await instruments.runtime.listen(inherited: descriptor, options: Self.options) {
      [self] in try await serve($0)
    }
  }

  static var options: ConnectionOptions {
    var options = ConnectionOptions()
    options.writeStallTimeout = Self.patience
    return options
  }

  // MARK: One connection, one request

  func serve(_ connection: AsyncConnection) async throws {
    let isTooMany = connections.add(1, ordering: .relaxed).oldValue >= Self.connectionsMax
    defer { connections.subtract(1, ordering: .relaxed) }
    let response: HTTPResponse
    var withBody = true
    do {
      if isTooMany {
        throw HTTPRequest.Refusal(.unavailable, "\(Self.connectionsMax) connections are the limit")
      }
      guard let request = try await head(of: connection) else { return }
      withBody = request.method != .head
      response = await answer(request)
    } catch let refusal as HTTPRequest.Refusal {
      response = .text(refusal.status, refusal.reason)
    }
    try await connection.write(response.bytes(withBody: withBody))
    if case .events = response.body, withBody { try await tell(connection) }
    try await finish(connection)
  }

  /// Nil when the other side has gone without asking anything.
  private func head(of connection: AsyncConnection) async throws -> HTTPRequest? {
    try await within(patience) {
      var reader = HTTPRequestReader()
      for try await bytes in connection.messages {
        if let request = try reader.feed(bytes) { return request }
      }
      return nil
    }
  }

  /// The connection is closed by the other side, or in time: while it still sends, our closing
  /// would be a reset, and our answer might be lost with it.
  private func finish(_ connection: AsyncConnection) async throws {
    await connection.finishWriting()
    let _: HTTPRequest? = try? await within(patience) {
      // More than that nobody sends by mistake.
      var left = 1 << 20
      for try await bytes in connection.messages {
        left -= bytes.count
        if left < 0 { break }
      }
      return nil
    }
  }

  private func within<Value: Sendable>(
    _ limit: Duration, _ body: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { tasks in
      defer { tasks.cancelAll() }
      tasks.addTask(operation: body)
      tasks.addTask {
        try await Task.sleep(for: limit)
        throw HTTPRequest.Refusal(.requestTimeout, "no request within \(limit)")
      }
      guard let value = try await tasks.next() else { throw CancellationError() }
      return value
    }
  }

  // MARK: Answers

  private func answer(_ request: HTTPRequest) async -> HTTPResponse {
    switch request.path {
    case "/":
      HTTPResponse(
        contentType: "text/html; charset=utf-8", body: .whole(PackageResources.live_html))
    case "/events": HTTPResponse(contentType: "text/event-stream", body: .events)
    case "/metrics":
      HTTPResponse(
        contentType: Exposition.contentType, body: .whole(Array(await metrics().utf8)))
    case "/health": await health()
    case "/ready": await readiness()
    default: .text(.notFound, "there are /, /metrics, /health, /ready and /events")
    }
  }

  /// All figures in Prometheus' text format.
  package func metrics() async -> String {
    var exposition = Exposition()
    exposition.add(await instruments.read())
    if instruments.node != nil {
      exposition.add([
        .total("failovers", journal.failoversCount, "Deaths whose slots have new owners.")
      ])
    }
    for (index, histogram) in delays.histograms.enumerated() {
      exposition.add(
        histogram, name: "aloft_loop_delay_seconds",
        help: "How long tasks sent to an event loop wait until they run.",
        labels: [("loop", "\(index)")])
    }
    exposition.add(ProcessFigures.readings())
    return exposition.text
  }

  /// Whether it should be started anew: only when it has ended by itself.
  private func health() async -> HTTPResponse {
    guard let node = instruments.node else { return .text(.ok, "ok") }
    return await node.status() == nil
      ? .text(.unavailable, "the node has ended") : .text(.ok, "ok")
  }

  /// Whether work should be sent here.
  private func readiness() async -> HTTPResponse {
    guard let node = instruments.node else { return .text(.ok, "ready") }
    guard let status = await node.status() else {
      return .text(.unavailable, "the node has ended")
    }
    guard status.isMember else { return .text(.unavailable, "not a member yet") }
    guard status.isAccepting else { return .text(.unavailable, "no majority is in reach") }
    if status.members.contains(where: { $0.node == status.node && $0.isDraining }) {
      return .text(.unavailable, "draining")
    }
    return .text(.ok, "ready")
  }

  /// Server-sent events: the state, each second, until the other side or the runtime has ended.
  private func tell(_ connection: AsyncConnection) async throws {
    while true {
      try await connection.write("data: \(await state())\n\n")
      try await Task.sleep(for: .seconds(1))
    }
  }

  private func state() async -> String {
    LiveState(
      status: await instruments.node?.status(),
      readings: await instruments.read() + ProcessFigures.readings(), delays: delays.recent,
      entries: journal.entries, failovers: journal.failovers, time: Journal.wallClock()
    ).json
  }
}
