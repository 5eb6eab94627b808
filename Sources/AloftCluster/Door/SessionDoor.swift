package import AloftEngine
import AloftMembership
import AloftSession

/// What the door may cost a node.
package struct DoorOptions: Hashable, Sendable {
  /// Connections that have shown a token; and those that have not yet, at a time.
  package var connectionsMax = 1 << 17
  package var greetingsMax = 1_024
  /// A limit for one principal's connections.
  package var perPrincipalMax = 1 << 17
  /// Requests of one connection that aren't answered; more are told `busy`.
  package var requestsMax = 1_024
  /// Sessions that one connection is attached to.
  package var subscriptionsMax = 4_096
  /// Milliseconds for a client to prove who it is.
  package var greetingMs: UInt32 = 5_000
  /// Bytes of a frame: a state of 1 MiB, and what goes with it.
  package var frameMax = 2 << 20
  /// Milliseconds without a word from a client. It says one each second, or so.
  package var idleMs: UInt32 = 60_000
  /// For so long a node that is cut off keeps its clients waiting; then they are sent elsewhere.
  package var cutOffMs: UInt64 = 1_000

  package init() {}
}

package struct DoorStatistics: Hashable, Sendable {
  package var connections: UInt64 = 0
  package var accepted: UInt64 = 0
  package var requests: UInt64 = 0
  package var answers: UInt64 = 0
  package var events: UInt64 = 0
  /// Numbers of sessions that no node of this cluster made.
  package var forged: UInt64 = 0
  package var refused: [DoorRefusal: UInt64] = [:]

  package init() {}
}

/// Where clients of sessions come in: each node has one, and answers for any session.
///
/// On the node's home loop alone.
@safe
package final class SessionDoor: ConnectionHandler, @unchecked Sendable {
  // @unchecked: used on the home loop alone.
  let loop: EventLoop
  let options: DoorOptions
  /// Nil once the node has stopped.
  private(set) weak var node: ClusterNode?
  package internal(set) var statistics = DoorStatistics()
  private let plaintextOffLoopback: Bool
  var tls: TLSContext?
  private var listener: UInt16?
  var connections: [ConnectionID: DoorConnection] = [:]
  var greetings = 0
  var perPrincipal: [Principal: Int] = [:]
  /// Attached connections, by session.
  var watching: [SessionID: [DoorSubscription]] = [:]
  /// Those that there is more for than their connection takes at the moment, or whose session is in
  /// another node's memory alone.
  var waiting: [DoorSubscription] = []
  private var acceptedUntil: UInt64 = 0
  private var isStopped = false

  static let greetingFrameMax = 512

  init(_ node: ClusterNode, _ options: DoorOptions) throws(LinkError) {
    self.node = node
    self.options = options
    loop = node.loop
    plaintextOffLoopback = node.options.plaintextOffLoopback
    tls = if let given = node.options.tls { try TLSContext(given, asksAlways: false) } else { nil }
    var settings = ConnectionSettings()
    settings.queuedMax = UInt32(options.frameMax) * 2
    // A client that doesn't read isn't read from.
    settings.highWater = 256 << 10
    settings.lowWater = 64 << 10
    settings.idleTimeout = options.idleMs
    super.init(settings: settings)
    acceptedUntil = ClusterNode.now() + options.cutOffMs * 1_000_000
  }

  var sessions: ClusterSessions? { isStopped ? nil : node?.sessions }

  func listen(
    on address: SocketAddress, listener: UInt16
  ) throws(EngineError) -> SocketAddress {
    let request = ListenRequest(
      index: listener, address: address, backlog: 1_024, first: true, handOver: false)
    let bound = try loop.listen(request, handler: self)
    self.listener = listener
    return bound
  }

  func stop() {
    guard !isStopped else { return }
    isStopped = true
    if let listener { loop.closeListener(listener) }
    for connection in Array(connections.values) { leave(connection, .notReady) }
  }

  // MARK: Connections

  override package func opened(_ id: ConnectionID) {
    let address = loop.name(of: id, peer: true)
    let isAllowed =
      tls != nil || plaintextOffLoopback || address.map(LinkTable.isLoopback) ?? false
    guard !isStopped, isAllowed, greetings < options.greetingsMax else {
      count(isAllowed ? .tooMany : .plaintext)
      return loop.reset(id)
    }
    let session = tls?.makeSession(isServer: true)
    if tls != nil, session == nil { return loop.reset(id) }
    statistics.accepted += 1
    greetings += 1
    let channel = DoorChannel(loop, id, session: session, lengthMax: Self.greetingFrameMax)
    let connection = DoorConnection(channel)
    connections[id] = connection
    let pointer = unsafe Unmanaged.passUnretained(connection).toOpaque()
    loop.setContext(id, UInt(bitPattern: pointer))
    connection.timer = loop.startTimer(afterMilliseconds: UInt64(options.greetingMs)) {
      [weak self, weak connection] in
      guard let self, let connection, !connection.isUp else { return }
      connection.timer = nil
      refuse(connection, .timedOut)
    }
    let problem = channel.begin { connection.binding = $0 }
    if let problem { refuse(connection, problem) }
  }

  private func connection(_ id: ConnectionID) -> DoorConnection? {
    guard let pointer = unsafe UnsafeRawPointer(bitPattern: loop.context(id)) else { return nil }
    return unsafe Unmanaged<DoorConnection>.fromOpaque(pointer).takeUnretainedValue()
  }

  override package func received(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {
    guard let connection = connection(id), !connection.isOver else { return }
    let problem = unsafe connection.channel.received(bytes) {
      connection.binding = $0
    } _: { frame in
      if let problem = unsafe self.frame(connection, frame) { refuse(connection, problem) }
      return !connection.isOver
    }
    if let problem, !connection.isOver { refuse(connection, problem) }
  }

  private func frame(
    _ connection: DoorConnection, _ frame: UnsafeRawBufferPointer
  ) -> DoorRefusal? {
    guard let kind = unsafe frame.first.flatMap(DoorKind.init) else { return .malformed }
    var reader = unsafe FrameReader(UnsafeRawBufferPointer(rebasing: frame.dropFirst()))
    if connection.isUp { return request(connection, kind, &reader) }
    return greeting(connection, kind, &reader)
  }

  override package func ended(_ id: ConnectionID) { loop.close(id) }

  override package func draining(_ id: ConnectionID) {
    if let connection = connection(id) { leave(connection, .notReady) }
  }

  override package func closed(_ id: ConnectionID, _ reason: CloseReason) {
    guard let connection = connections.removeValue(forKey: id) else { return }
    if case .writeStalled = reason { count(.overrun) }
    end(connection)
  }

  // MARK: Ends

  func count(_ reason: DoorRefusal) { statistics.refused[reason, default: 0] += 1 }

  /// Says why, counts it, and closes.
  func refuse(_ connection: DoorConnection, _ reason: DoorRefusal) {
    guard !connection.isOver else { return }
    count(reason)
    leave(connection, reason)
  }

  /// Says why, and closes.
  func leave(_ connection: DoorConnection, _ reason: DoorRefusal) {
    guard !connection.isOver else { return }
    var frame = FrameWriter(connection.isUp ? .goodbye : .refused)
    frame.put(reason.rawValue)
    if reason != .encryption { _ = connection.channel.send(frame.finish()) }
    end(connection)
    loop.close(connection.channel.id)
  }

  /// It is of no use any more.
  private func end(_ connection: DoorConnection) {
    guard !connection.isOver else { return }
    connection.isOver = true
    if let timer = connection.timer { loop.cancelTimer(timer) }
    connection.timer = nil
    if connection.isUp {
      statistics.connections -= 1
      let left = perPrincipal[connection.principal, default: 1] - 1
      perPrincipal[connection.principal] = left == 0 ? nil : left
    } else {
      greetings -= 1
    }
    for subscription in Array(connection.subscriptions.values) { drop(subscription) }
  }

  // MARK: Time

  /// Each tick of the node.
  func tick() {
    guard let node, !isStopped else { return }
    let now = ClusterNode.now()
    if node.core.isAccepting {
      acceptedUntil = now + options.cutOffMs * 1_000_000
    } else if !isAccepting, !connections.isEmpty {
      for connection in Array(connections.values) where connection.isUp {
        leave(connection, .notReady)
      }
    }
    goOn(now)
  }

  /// Whether this node may be of use to anybody, or could be a moment ago.
  var isAccepting: Bool { ClusterNode.now() < acceptedUntil }
}

/// A client's connection, as the node has it.
@safe
final class DoorConnection {
  let channel: DoorChannel
  /// What only this connection has; nil until it's encrypted, if it is to be.
  var binding: [UInt8]?
  var greeting: DoorGreeting?
  var timer: TimerID?
  var isUp = false
  var isOver = false
  var principal = Principal.anyone
  /// Requests that wait for their answers.
  var requests = 0
  var subscriptions: [UInt32: DoorSubscription] = [:]

  init(_ channel: DoorChannel) { self.channel = channel }
}
