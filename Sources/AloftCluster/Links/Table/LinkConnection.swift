import AloftEngine
import AloftQueue

/// One socket of a table's, from its first byte: it shakes hands, and then carries a link's records
/// or its heartbeats.
@safe
final class LinkConnection {
  enum Phase { case connecting, encrypting, handshaking, up, over }

  let id: ConnectionID
  let role: Hello.Role
  var channel: Hello.Channel
  let address: SocketAddress?
  /// The dial that it serves; 0 for one that came from elsewhere, or carries heartbeats.
  let dial: UInt32
  var phase = Phase.connecting
  var handshake: Handshake?
  var session: TLSSession?
  var timer: TimerID?
  var peer: LinkPeer?
  /// Why it ends, if this side has decided so.
  var end: LinkEnd?
  /// A hello has come and was answered with a proof: the peer's answer decides.
  var hasProved = false
  /// Records, once it is up. Behind a pointer: handlers may end the connection while one is told.
  let parser: UnsafeMutablePointer<RecordParser>

  init(
    _ id: ConnectionID, role: Hello.Role, channel: Hello.Channel, address: SocketAddress?,
    dial: UInt32, lengthMax: UInt32
  ) {
    self.id = id
    self.role = role
    self.channel = channel
    self.address = address
    self.dial = dial
    unsafe parser = .allocate(capacity: 1)
    unsafe parser.initialize(to: RecordParser(lengthMax: lengthMax))
  }

  deinit {
    unsafe parser.deinitialize(count: 1)
    unsafe parser.deallocate()
  }

  /// Whether it is still to become something.
  var isPending: Bool { phase != .up && phase != .over }
}

/// Hands a connection's events to its table.
final class LinkHandler: ConnectionHandler, @unchecked Sendable {
  // @unchecked: set before the first event, and used on the table's loop alone.
  /// Nil when it has ended. Not `weak`: an object to which there is a weak reference pays for it
  /// whenever it is retained.
  unowned(unsafe) var table: LinkTable?

  /// Bytes that the connection may owe its socket. Small, since what is behind them waits: fairness
  /// is made before.
  static let queuedMax: UInt32 = 512 << 10

  init(connectTimeout: UInt32) {
    var settings = ConnectionSettings()
    settings.queuedMax = Self.queuedMax
    settings.lowWater = Self.queuedMax / 4
    // A link always reads: two sides that waited for each other to read would wait for ever. What
    // comes is bounded by credit.
    settings.highWater = .max
    settings.connectTimeout = connectTimeout
    // The failure detector decides about silence, not the connection.
    settings.stallTimeout = 0
    super.init(settings: settings)
  }

  override func opened(_ id: ConnectionID) { unsafe table?.opened(id) }
  override func received(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {
    guard let table = unsafe table else { return }
    unsafe table.receivedBytes(id, bytes)
  }
  override func ended(_ id: ConnectionID) { unsafe table?.peerEnded(id) }
  override func writable(_ id: ConnectionID) { unsafe table?.connectionWritable(id) }
  override func draining(_ id: ConnectionID) {}
  override func closed(_ id: ConnectionID, _ reason: CloseReason) {
    unsafe table?.closed(id, reason)
  }
}
