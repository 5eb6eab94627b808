package import AloftEngine
package import AloftMembership
import AloftQueue

/// The links of one node: connections to other nodes, shaken hands on, kept up, and shared by
/// streams of messages and calls.
///
/// All of it lives on one event loop, the home, and every call is made there; other threads come
/// through `EventLoop.executeUnrefused`. Nothing blocks. The client is not retained: it calls
/// `stop` before it goes, and until then the loop's timers keep the table.
@safe
package final class LinkTable: TurnEndHandler, @unchecked Sendable {
  // @unchecked: for closures that go to the loop, where alone it is used.
  package let loop: EventLoop
  package let options: LinkOptions
  unowned(unsafe) let client: any LinkClient
  /// Who takes calls in the client's place. It outlives the links, or is taken away before.
  let taker: UnsafeMutablePointer<Unmanaged<CallTaker>?>
  let handler: LinkHandler
  /// Drawn anew by each table: the same node after a restart is another life.
  package let life: UInt64
  var keys: ClusterKeys
  var tls: TLSContext?

  // Who this node is at present.
  package internal(set) var id: NodeID
  package internal(set) var incarnation: Incarnation
  package internal(set) var epoch: Epoch

  /// 256 places: the peer with that number, of the latest incarnation that was met.
  let byID: UnsafeMutablePointer<UnsafeMutablePointer<PeerState>?>
  let counts: UnsafeMutablePointer<LinkStatistics>
  /// Behind a pointer, as a peer's state.
  let calls: UnsafeMutablePointer<CallTable>
  /// The states of `peers`, for whom a reference would cost too much.
  let byNumber: UnsafeMutablePointer<PeerNumbers>
  var peers: [LinkPeer?] = []
  var byName: [String: LinkPeer] = [:]
  var dials: [UInt32: Dial] = [:]
  var dialsBegun: UInt32 = 0
  /// Dialled connections that wait for the answer to their proof, by the peer's name.
  var proving: [String: LinkConnection] = [:]
  /// Connections that came from elsewhere and have not finished their handshake.
  var handshakes = 0
  /// All connections that are not over.
  var connections: [ConnectionID: LinkConnection] = [:]
  /// Peers with something to send when the turn ends.
  var dirty: [LinkPeer] = []
  /// Addresses and reasons that the client was told of.
  var told: Set<Refusal> = []
  var heartbeatTimer: TimerID?
  var callTimer: TimerID?
  var listeners: [UInt16] = []
  var isStopped = false

  /// What the client hears of once.
  struct Refusal: Hashable {
    var host: String
    var reason: LinkRefusal
  }

  /// More addresses than that are told of again.
  static let toldMax = 1_024

  package init(
    loop: EventLoop, options: LinkOptions, client: any LinkClient
  ) throws(LinkError) {
    try options.check()
    self.loop = loop
    self.options = options
    handler = LinkHandler(connectTimeout: options.connectTimeout)
    unsafe self.client = client
    keys = try ClusterKeys(options.keys)
    tls = if let given = options.tls { try TLSContext(given) } else { nil }
    id = options.id
    incarnation = options.incarnation
    epoch = options.epoch
    var life: UInt64 = 0
    unsafe withUnsafeMutableBytes(of: &life) { unsafe options.random($0) }
    self.life = life
    unsafe byID = .allocate(capacity: 256)
    unsafe byID.initialize(repeating: nil, count: 256)
    unsafe counts = .allocate(capacity: 1)
    unsafe counts.initialize(to: LinkStatistics())
    unsafe taker = .allocate(capacity: 1)
    unsafe taker.initialize(to: nil)
    unsafe calls = .allocate(capacity: 1)
    unsafe calls.initialize(to: CallTable(capacity: options.callsMax, now: loop.turnTime))
    unsafe byNumber = .allocate(capacity: 1)
    unsafe byNumber.initialize(to: PeerNumbers())
    super.init()
    unsafe handler.table = self
  }

  deinit {
    unsafe handler.table = nil
    unsafe byID.deallocate()
    unsafe counts.deinitialize(count: 1)
    unsafe counts.deallocate()
    unsafe calls.deinitialize(count: 1)
    unsafe calls.deallocate()
    unsafe taker.deallocate()
    unsafe byNumber.deinitialize(count: 1)
    unsafe byNumber.deallocate()
  }

  package override func turnEnds() { flushDirty() }

  package var statistics: LinkStatistics { unsafe counts.pointee }

  /// Peers with a link.
  package var linkedPeers: [LinkPeer] { peers.compactMap { $0 }.filter(\.isUp) }

  /// The peer with this number, linked or not.
  package func peer(_ id: NodeID) -> LinkPeer? {
    unsafe byID[Int(id.rawValue)]?.pointee.peer?.takeUnretainedValue()
  }

  /// The peer with this name, linked or not.
  package func peer(named name: String) -> LinkPeer? { byName[name] }

  /// Bytes that nobody can guess, or a word of them.
  func randomBytes(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    unsafe bytes.withUnsafeMutableBytes { unsafe options.random($0) }
    return bytes
  }

  /// For back-off.
  func randomWord() -> UInt64 {
    var word: UInt64 = 0
    unsafe withUnsafeMutableBytes(of: &word) { unsafe options.random($0) }
    return word
  }

  // MARK: What may change while links are up

  /// Replaces the keys for handshakes from now on. Links that are up stay up.
  package func setKeys(_ keys: [[UInt8]]) throws(LinkError) { self.keys = try ClusterKeys(keys) }

  /// Replaces the certificates for connections from now on. Links that are up stay up.
  package func setTLS(_ options: TLSOptions) throws(LinkError) { tls = try TLSContext(options) }

  /// Says who the node is now: to linked peers at once, to others in the handshake.
  package func setIdentity(id: NodeID, incarnation: Incarnation) {
    self.id = id
    self.incarnation = incarnation
    for peer in linkedPeers { unsafe owe(peer.state) { $0.owesIdentity = true } }
  }

  /// Says which epoch the node is in. What it sends from here on is received in that epoch.
  package func setEpoch(_ epoch: Epoch) {
    guard epoch != self.epoch else { return }
    self.epoch = epoch
    for peer in linkedPeers {
      // What was sent before belongs to the epoch before: the word of it takes its place in line.
      unsafe writeControl(
        peer.state, RecordHeader(.epoch, word: epoch.rawValue), orElse: { $0.owesEpoch = true })
    }
  }

  // MARK: The end

  /// Says goodbye to all and closes everything. The client hears `linkDown` of each.
  package func stop() {
    guard !isStopped else { return }
    isStopped = true
    for index in listeners { loop.closeListener(index) }
    for dial in dials.values { forgetTimer(dial) }
    dials = [:]
    if let heartbeatTimer { loop.cancelTimer(heartbeatTimer) }
    heartbeatTimer = nil
    for connection in Array(connections.values) { end(connection, .stopped) }
    stopCallTimer()
  }

  /// It was stopped, and the last of its sockets is closed.
  package var hasEnded: Bool { isStopped && connections.isEmpty }

  /// Says goodbye to a peer and closes the link. Unless it is to be dialled again, dials that led
  /// to it end, too.
  package func close(_ peer: LinkPeer, code: UInt8 = 0, redial: Bool = false) {
    if !redial {
      for (number, dial) in dials where dial.peerName == peer.name { forgetDial(number) }
    }
    guard let carrier = unsafe peer.state.pointee.carrier?.takeUnretainedValue() else { return }
    end(carrier, .local(code))
  }

  /// Forgets what was counted and kept for a peer without a link: its node has left for good.
  package func forget(_ peer: LinkPeer) {
    guard !peer.isUp, byName[peer.name] === peer else { return }
    discard(peer)
  }

  /// A peer's life is over: what it still had to get is undelivered.
  func discard(_ peer: LinkPeer) {
    let state = unsafe peer.state
    var undelivered: [(stream: UInt16, messages: Int)] = []
    unsafe state.pointee.out.forEach { number, stream in
      var messages = 0
      while let waiting = unsafe stream.pointee.removeFirst() {
        MessageBlock.release(waiting.block)
        messages += 1
      }
      if messages > 0 { undelivered.append((number, messages)) }
    }
    byName[peer.name] = nil
    peers[Int(unsafe state.pointee.number)] = nil
    unsafe byNumber.pointee.set(state.pointee.number, nil)
    if unsafe byID[Int(peer.id.rawValue)] == state { unsafe byID[Int(peer.id.rawValue)] = nil }
    for (stream, messages) in undelivered {
      unsafe client.undelivered(peer, stream: stream, messages: messages)
    }
  }
}
