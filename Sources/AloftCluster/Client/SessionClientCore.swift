package import AloftEngine
import AloftSession

/// A client of a cluster's sessions: one connection to any node, and another one when that is lost.
///
/// What was asked and not answered is asked again at the next node, in the same order and with the
/// same key, so that a write is done once. Who waits is told within the time that he has given: it
/// was done, it was not, or nobody knows.
///
/// On its loop alone, and every callback comes there.
@safe
package final class SessionClientCore: @unchecked Sendable {
  // @unchecked: for closures that go to the loop, where alone it is used.
  package let loop: EventLoop
  package let options: ClientOptions
  package private(set) var state = ClientState.connecting
  package var onState: ((ClientState) -> Void)?
  package internal(set) var statistics = ClientStatistics()
  let tls: TLSContext?
  var connection: ClientConnection?
  /// In the order in which they were asked.
  var requests: [UInt32: ClientRequest] = [:]
  var order: [UInt32] = []
  /// Writes of a session that wait for others of it, and how many those are.
  var underWay: [String: Int] = [:]
  var held: [String: [ClientRequest]] = [:]
  var heldCount = 0
  /// Requests that are to be sent, in their order, from that place on; and those on their way.
  var unsent: [UInt32] = []
  var unsentFirst = 0
  var onTheirWay = 0
  /// What some node is known to have applied of the log.
  var knownIndex: UInt64 = 0
  var subscriptions: [UInt32: ClientSubscription] = [:]
  private var numbers: UInt32 = 0
  private var nextAddress = 0
  /// Addresses that failed one after the other.
  private var failures = 0
  private var retryTimer: TimerID?
  private var beatTimer: TimerID?
  var heardAt: UInt64 = 0
  /// The greatest version that any answer has had: reads don't go back behind it.
  package internal(set) var token: UInt64 = 0

  package init(_ options: ClientOptions, on loop: EventLoop) throws(ClientError) {
    self.options = options
    self.loop = loop
    guard !options.addresses.isEmpty else {
      throw ClientError("a client needs the address of a node at least")
    }
    guard let authorities = options.authorities else {
      tls = nil
      return
    }
    do throws(LinkError) {
      tls = try TLSContext(
        TLSOptions(certificate: [], privateKey: [], authorities: authorities), asksAlways: false)
    } catch {
      throw ClientError(error.description)
    }
  }

  /// Connects, and goes on to until `close`.
  package func start() {
    guard connection == nil, case .connecting = state else { return }
    nextAddress = Int.random(in: 0..<options.addresses.count)
    beatTimer = loop.startTimer(
      afterMilliseconds: UInt64(max(1, options.silenceMs / 4)),
      period: max(1, options.silenceMs / 4), beyondLimit: true
    ) { [weak self] in self?.beat() }
    dial()
  }

  /// Ends it. Who waits is told that it's over.
  package func close() { end(.closed) }

  package var isOver: Bool {
    switch state {
    case .closed, .failed: true
    default: false
    }
  }

  private func become(_ state: ClientState) {
    if self.state == state { return }
    self.state = state
    onState?(state)
  }

  private func end(_ state: ClientState) {
    guard !isOver else { return }
    for timer in [retryTimer, beatTimer] {
      if let timer { loop.cancelTimer(timer) }
    }
    (retryTimer, beatTimer) = (nil, nil)
    let last = connection
    connection = nil
    last?.close()
    become(state)
    for number in order { requests[number].map { giveUp($0) } }
    let waiting = held.values.flatMap { $0 }
    held = [:]
    for request in waiting { giveUp(request) }
    let attached = subscriptions.values
    subscriptions = [:]
    for subscription in attached where !subscription.isOver {
      subscription.isOver = true
      subscription.ended(.notAccepting)
    }
    onState = nil
  }

  // MARK: Connections

  private func dial() {
    guard !isOver, connection == nil else { return }
    retryTimer = nil
    let address = options.addresses[nextAddress % options.addresses.count]
    nextAddress += 1
    statistics.attempts += 1
    guard tls != nil || options.plaintextOffLoopback || LinkTable.isLoopback(address) else {
      return failed(.plaintext)
    }
    let made = ClientConnection(self, address)
    connection = made
    if !made.begin() {
      connection = nil
      failed(nil)
    }
  }

  /// An attempt has led to nothing, or a connection has ended: the next address is tried, at once
  /// if it wasn't tried just before.
  private func failed(_ reason: DoorRefusal?) {
    switch reason {
    case .badToken, .expired, .plaintext: return end(.failed(reason ?? .badToken))
    default: break
    }
    failures += 1
    let round = failures / options.addresses.count
    var wait: UInt64 = 0
    if failures % options.addresses.count == 0 || round > 3 {
      let whole = UInt64(options.backoffMinMs) << UInt64(min(round, 16))
      let bounded = min(whole, UInt64(options.backoffMaxMs))
      // Half of it is chance, so that many clients don't come back at once.
      wait = bounded / 2 + UInt64.random(in: 0...bounded / 2)
    }
    retryTimer = loop.startTimer(
      afterMilliseconds: wait, period: 0, beyondLimit: true
    ) { [weak self] in self?.dial() }
  }

  func connected(_ connection: ClientConnection, node: UInt8, appliedIndex: UInt64) {
    guard connection === self.connection else { return }
    knownIndex = max(knownIndex, appliedIndex)
    failures = 0
    statistics.connections += 1
    heardAt = ClusterNode.now()
    become(.connected(connection.address, node: node))
    guard connection === self.connection else { return }
    unsent = order.filter { requests[$0] != nil }
    unsentFirst = 0
    pump()
    for subscription in subscriptions.values { attach(subscription) }
  }

  /// The connection is no more; nil for one that was simply lost.
  func disconnected(_ connection: ClientConnection, _ reason: DoorRefusal?) {
    guard connection === self.connection else { return }
    self.connection = nil
    for request in requests.values {
      if request.wasSent { request.isRepeated = true }
      request.isSent = false
    }
    onTheirWay = 0
    for subscription in subscriptions.values where requests[subscription.number] == nil {
      subscription.isAttached = false
    }
    if case .connected = state { become(.resuming) }
    failed(reason)
  }

  /// Four times in the time that a node may be silent.
  private func beat() {
    guard let connection, connection.isUp else { return }
    let now = ClusterNode.now()
    if now > heardAt + UInt64(options.silenceMs) * 1_000_000 {
      connection.close()
      return disconnected(connection, nil)
    }
    var frame = FrameWriter(.ping)
    frame.put(UInt32(0))
    connection.send(frame.finish())
  }

  // MARK: Numbers

  func newNumber() -> UInt32 {
    numbers &+= 1
    return numbers
  }

  /// A time, that many milliseconds from now.
  static func deadline(_ milliseconds: UInt32) -> UInt64 {
    ClusterNode.now() + UInt64(milliseconds) * 1_000_000
  }
}

/// Why there can be no client.
package struct ClientError: Error, Hashable, Sendable, CustomStringConvertible {
  package let description: String
  init(_ description: String) { self.description = description }
}
