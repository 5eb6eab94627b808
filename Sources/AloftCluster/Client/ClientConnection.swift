import AloftEngine

/// A client's connection to a node, from the attempt on.
@safe
final class ClientConnection: ConnectionHandler, @unchecked Sendable {
  // @unchecked: used on the client's loop alone.
  private weak var client: SessionClientCore?
  let address: SocketAddress
  private let loop: EventLoop
  private let token: ClientToken
  private let connectMs: UInt32
  private var id: ConnectionID?
  private var channel: DoorChannel?
  private var binding: [UInt8] = []
  private let nonce = ClientToken.nonce()
  private var timer: TimerID?
  private(set) var isUp = false
  private var isOver = false

  private static let greetingFrameMax = 512

  init(_ client: SessionClientCore, _ address: SocketAddress) {
    self.client = client
    self.address = address
    loop = client.loop
    token = client.options.token
    connectMs = client.options.connectMs
    var settings = ConnectionSettings()
    settings.connectTimeout = connectMs
    // Requests are bounded by their number; what comes has to be read, or nobody would be answered.
    settings.queuedMax = 64 << 20
    settings.highWater = .max
    settings.lowWater = 1 << 20
    super.init(settings: settings)
  }

  /// False when it can't even begin.
  func begin() -> Bool {
    guard let id = try? loop.connect(to: address, handler: self) else { return false }
    self.id = id
    timer = loop.startTimer(
      afterMilliseconds: UInt64(connectMs), period: 0, beyondLimit: true
    ) { [weak self] in
      guard let self, !isUp else { return }
      timer = nil
      lost(.timedOut)
    }
    return true
  }

  func send(_ frame: [UInt8]) {
    guard let channel, !isOver else { return }
    if channel.send(frame) != .accepted { lost(nil) }
  }

  /// Without a word to the client.
  func close() {
    if isOver { return }
    isOver = true
    if let timer { loop.cancelTimer(timer) }
    timer = nil
    if let id { loop.close(id) }
  }

  private func lost(_ reason: DoorRefusal?) {
    if isOver { return }
    close()
    client?.disconnected(self, reason)
  }

  // MARK: Events

  override func opened(_ id: ConnectionID) {
    guard let client, !isOver else { return loop.reset(id) }
    let session = client.tls?.makeSession(isServer: false)
    if client.tls != nil, session == nil { return lost(.encryption) }
    let channel = DoorChannel(loop, id, session: session, lengthMax: Self.greetingFrameMax)
    self.channel = channel
    if let problem = channel.begin({ hello($0) }) { lost(problem) }
  }

  override func received(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {
    guard let channel, !isOver else { return }
    let problem = unsafe channel.received(bytes, ready: { hello($0) }) { frame in
      if let problem = unsafe take(frame) { lost(problem) }
      return !isOver
    }
    if let problem { lost(problem) }
  }

  override func ended(_ id: ConnectionID) { lost(nil) }

  override func draining(_ id: ConnectionID) { client?.close() }

  override func closed(_ id: ConnectionID, _ reason: CloseReason) {
    if isOver { return }
    self.id = nil
    lost(nil)
  }

  // MARK: Greeting

  private func hello(_ binding: [UInt8]) {
    self.binding = binding
    var frame = FrameWriter(.hello)
    frame.put(DoorGreeting.magic)
    frame.put(token.keyTag)
    frame.put(token.expiry)
    frame.put(nonce)
    frame.put(UInt8(token.principal.utf8.count))
    frame.put(token.principal.utf8)
    send(frame.finish())
  }

  private func take(_ frame: UnsafeRawBufferPointer) -> DoorRefusal? {
    guard let kind = unsafe frame.first.flatMap(DoorKind.init) else { return .malformed }
    var reader = unsafe FrameReader(UnsafeRawBufferPointer(rebasing: frame.dropFirst()))
    if isUp {
      client?.heardAt = ClusterNode.now()
      if kind == .goodbye { return reader.number().flatMap(DoorRefusal.init) ?? .malformed }
      return client?.received(kind, &reader) == false ? .malformed : nil
    }
    switch kind {
    case .challenge: return challenge(&reader)
    case .welcome: return welcome(&reader)
    case .refused: return reader.number().flatMap(DoorRefusal.init) ?? .malformed
    default: return .malformed
    }
  }

  private func challenge(_ reader: inout FrameReader) -> DoorRefusal? {
    guard let node = reader.array(ClientToken.nonceBytes),
      let shown = reader.array(ClusterKeys.proofBytes), reader.remaining == 0
    else { return .malformed }
    func proof(_ side: ClientToken.Side) -> [UInt8] {
      ClientToken.proof(of: side, token.secret, binding: binding, client: nonce, node: node)
    }
    guard ClientToken.isEqual(shown, proof(.node)) else { return .badToken }
    var frame = FrameWriter(.proof)
    frame.put(proof(.client))
    send(frame.finish())
    return nil
  }

  private func welcome(_ reader: inout FrameReader) -> DoorRefusal? {
    guard let node: UInt8 = reader.number(), let frameMax: UInt32 = reader.number(),
      let index: UInt64 = reader.number(), let channel
    else { return .malformed }
    if let timer { loop.cancelTimer(timer) }
    timer = nil
    isUp = true
    channel.parser.lengthMax = Int(frameMax)
    client?.connected(self, node: node, appliedIndex: index)
    return nil
  }
}
