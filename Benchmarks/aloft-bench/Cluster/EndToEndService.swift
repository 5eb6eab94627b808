import Aloft
import AloftNode

/// What a node does for the clients of 11-endtoend. A request comes on a connection and goes by
/// name, through the registry, to the mailbox of a worker, which reads or changes the client's
/// session and builds the answer in a buffer that it leases from a pool.
///
/// Frames are those of `Benchmarks/load/clients.h`.
final class EndToEndService: ConnectionHandler, MailboxHandler, @unchecked Sendable {
  // @unchecked: used on the node's loop alone, the runtime's only one.
  private let node: Node
  private let sessions: Sessions
  private let runtime: Runtime
  private let loop: EventLoop
  private var names: [Registry.Name] = []
  /// Kept: a pool that is released closes what it has.
  private var pool: Pool<AnswerBuffer>?
  private var buffers: LocalPool<AnswerBuffer>?
  private var clients: [Client] = []
  private var freeClients: [Int] = []
  /// A request on its way to a worker: whose it is, then as it came.
  private let request = UnsafeMutableRawPointer.allocate(
    byteCount: 8 + EndToEndService.frameMax, alignment: 8)

  static let workers = 64
  static let frameMax = 16 + 1_024
  private static let headBytes = 16
  private static let nameBytes = 32
  private static let idleTimeoutMs: UInt32 = 600_000

  private enum Kind {
    static let create: UInt8 = 1
    static let resume: UInt8 = 2
    static let read: UInt8 = 3
    static let update: UInt8 = 4
  }

  private enum Code {
    static let done: UInt8 = 0
    static let refused: UInt8 = 1
    static let uncertain: UInt8 = 2
    static let gone: UInt8 = 3
  }

  private struct Client {
    var connection: Connection
    /// Another one each time that the place is used.
    var life: UInt32
    var id: SessionID?
    var attachment: SessionAttachment?
  }

  init(_ node: Node, _ runtime: Runtime) {
    self.node = node
    self.runtime = runtime
    sessions = node.sessions
    loop = node.eventLoop
  }

  deinit { request.deallocate() }

  /// Answers the port.
  func start() async throws -> UInt16 {
    let (runtime, loop) = (self.runtime, self.loop)
    var made: [Registry.Name] = []
    for worker in 0..<Self.workers {
      let name = try Registry.Name("\(node.name)-worker-\(worker)")
      let mailbox = try await runtime.mailbox(on: loop, handler: self)
      try runtime.registry.register("\(node.name)-worker-\(worker)", mailbox)
      made.append(name)
    }
    var options = PoolOptions(size: 16)
    options.sizeMin = 16
    options.keptPerLoop = 16
    let pool = try Pool(runtime, options) { AnswerBuffer(bytes: Self.frameMax) }
    while try await pool.statistics.idle < 16 { try await Task.sleep(for: .milliseconds(1)) }
    let all = made
    try await loop.run { [self] in
      names = all
      self.pool = pool
      buffers = pool.local
    }
    var connections = ConnectionOptions()
    connections.framing = .lengthPrefixed(max: Self.frameMax)
    let listener = try await runtime.listen(
      on: SocketAddress("127.0.0.1", 0), options: connections, handler: self)
    return listener.address.port ?? 0
  }

  // MARK: Connections

  func opened(_ connection: Connection) {
    let place: Int
    if let free = freeClients.popLast() {
      place = free
      clients[place].connection = connection
    } else {
      place = clients.count
      clients.append(Client(connection: connection, life: 0))
    }
    connection.context = UInt(place + 1)
  }

  func closed(_ connection: Connection, reason: CloseReason) {
    let place = Int(connection.context) - 1
    guard place >= 0 else { return }
    connection.context = 0
    clients[place].life &+= 1
    clients[place].id = nil
    clients[place].attachment?.detach()
    clients[place].attachment = nil
    freeClients.append(place)
  }

  func received(_ connection: Connection, _ bytes: RawSpan) {
    let place = Int(connection.context) - 1
    guard place >= 0, bytes.byteCount >= Self.headBytes else { return connection.reset() }
    switch bytes.unsafeLoad(as: UInt8.self) {
    case Kind.create: create(place, bytes)
    case Kind.resume: resume(place, bytes)
    case Kind.read, Kind.update: route(place, bytes)
    default: connection.reset()
    }
  }

  // MARK: Sessions are made and resumed

  private func create(_ place: Int, _ bytes: RawSpan) {
    let (connection, life) = (clients[place].connection, clients[place].life)
    let sessions = sessions
    var made: SessionID?
    let options = SessionOptions(idleTimeoutMs: Self.idleTimeoutMs)
    let state = bytes.extracting(droppingFirst: Self.headBytes)
    made = sessions.create(state, options: options) { [self] _, failure in
      if let failure { return answer(connection, Kind.create, failure, nil, 0, []) }
      guard let id = made else { return }
      Task(executorPreference: loop.executor) { [self] in
        guard let text = try? await sessions.text(of: id) else { return }
        try? await loop.run { [self] in
          guard clients[place].life == life else { return }
          answer(connection, Kind.create, nil, id, 0, Array(text.utf8))
        }
      }
    }
    if made == nil {
      send(connection, Kind.create, Code.refused, nil, 0, [UInt8]().span.bytes)
    }
  }

  private func resume(_ place: Int, _ bytes: RawSpan) {
    let (connection, life) = (clients[place].connection, clients[place].life)
    let name = bytes.extracting(droppingFirst: Self.headBytes)
      .withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    Task(executorPreference: loop.executor) { [self, sessions] in
      let attached: Result<SessionAttachment?, any Error>
      do {
        attached = .success(try await sessions.get(name)?.attach())
      } catch {
        attached = .failure(error)
      }
      try? await loop.run { [self] in resumed(place, life, connection, attached) }
    }
  }

  private func resumed(
    _ place: Int, _ life: UInt32, _ connection: Connection,
    _ attached: Result<SessionAttachment?, any Error>
  ) {
    switch attached {
    case .success(let attachment?):
      // It may have gone meanwhile.
      guard clients[place].life == life else { return attachment.detach() }
      clients[place].id = attachment.session.id
      clients[place].attachment = attachment
      answer(
        connection, Kind.resume, nil, attachment.session.id, 0, attachment.contents.state)
    case .success(nil):
      send(connection, Kind.resume, Code.gone, nil, 0, [UInt8]().span.bytes)
    case .failure(let error):
      answer(connection, Kind.resume, error as? SessionFailure, nil, 0, [])
    }
  }

  // MARK: Requests

  /// To the worker that its session has, by name.
  private func route(_ place: Int, _ bytes: RawSpan) {
    request.storeBytes(of: UInt32(place), as: UInt32.self)
    request.storeBytes(of: clients[place].life, toByteOffset: 4, as: UInt32.self)
    let count = bytes.withUnsafeBytes { bytes in
      (request + 8).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
      return bytes.count
    }
    let span = UnsafeRawBufferPointer(start: request, count: 8 + count).bytes
    let result = runtime.registry.send(span, to: names[place % Self.workers])
    guard result != .accepted else { return }
    let kind = bytes.unsafeLoad(as: UInt8.self)
    let number = bytes.unsafeLoad(fromByteOffset: 8, as: UInt64.self)
    let connection = clients[place].connection
    send(connection, kind, Code.refused, clients[place].id, number, [UInt8]().span.bytes)
  }

  func received(_ mailbox: Mailbox, _ message: consuming Message) {
    message.withUnsafeBytes { work($0) }
  }

  func received(_ batch: inout MailboxBatch) {
    while let message = batch.next() { message.withUnsafeBytes { work($0) } }
  }

  private func work(_ bytes: UnsafeRawBufferPointer) {
    let place = Int(bytes.loadUnaligned(as: UInt32.self))
    let life = bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
    guard clients[place].life == life, let id = clients[place].id else { return }
    let connection = clients[place].connection
    if bytes[8] == Kind.read {
      return sessions.read(id) { [self] state, _, failure in
        send(connection, Kind.read, Self.code(failure), id, 0, state)
      }
    }
    let number = bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
    let state = UnsafeRawBufferPointer(rebasing: bytes[(8 + Self.headBytes)...])
    sessions.put(state.bytes, to: id) { [self] _, failure in
      send(connection, Kind.update, Self.code(failure), id, number, [UInt8]().span.bytes)
    }
  }

  // MARK: Answers

  private static func code(_ failure: SessionFailure?) -> UInt8 {
    guard let failure else { return Code.done }
    switch failure.code {
    case .unknown, .closed: return Code.gone
    case .uncertain: return Code.uncertain
    default: return Code.refused
    }
  }

  private func answer(
    _ connection: Connection, _ kind: UInt8, _ failure: SessionFailure?, _ id: SessionID?,
    _ number: UInt64, _ body: [UInt8]
  ) {
    let code = id == nil && failure == nil ? Code.refused : Self.code(failure)
    send(connection, kind, code, id, number, body.span.bytes)
  }

  private func send(
    _ connection: Connection, _ kind: UInt8, _ code: UInt8, _ id: SessionID?, _ number: UInt64,
    _ body: RawSpan
  ) {
    guard let lease = buffers?.tryLease() else { return connection.reset() }
    let owner = id?.slot.map { node.owners[Int($0.rawValue)] } ?? 0
    let bytes = lease.resource.bytes
    bytes.storeBytes(of: kind, as: UInt8.self)
    bytes.storeBytes(of: code, toByteOffset: 1, as: UInt8.self)
    bytes.storeBytes(of: UInt32(owner), toByteOffset: 4, as: UInt32.self)
    bytes.storeBytes(of: number, toByteOffset: 8, as: UInt64.self)
    let count = body.withUnsafeBytes { body in
      if let from = body.baseAddress {
        (bytes + Self.headBytes).copyMemory(from: from, byteCount: body.count)
      }
      return body.count
    }
    connection.writeFrame(
      UnsafeRawBufferPointer(start: bytes, count: Self.headBytes + count).bytes)
  }
}

/// Room for one answer.
private final class AnswerBuffer: @unchecked Sendable {
  // @unchecked: used by one borrower at a time.
  let bytes: UnsafeMutableRawPointer

  init(bytes count: Int) {
    bytes = .allocate(byteCount: count, alignment: 8)
    bytes.initializeMemory(as: UInt8.self, repeating: 0, count: count)
  }

  deinit { bytes.deallocate() }
}
