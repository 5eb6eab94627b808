package import AloftEngine
package import AloftMembership
import Glibc

/// One node of a cluster: its mind (`ClusterCore`), its links and its log, put together on one
/// event loop, the home.
///
/// Every call is made on the home loop, and every callback comes there; other threads come through
/// `EventLoop.executeUnrefused`. Nothing blocks, but for one small file that is written when the
/// node is let in. It keeps itself alive until it has stopped.
@safe
package final class ClusterNode: @unchecked Sendable {
  // @unchecked: for closures that go to the home loop, where alone it is used.
  package let loop: EventLoop
  package let options: ClusterNodeOptions
  package internal(set) var core: ClusterCore
  package var onEvent: ((NodeEvent) -> Void)?
  /// A call that came from another node; answered by `answer` or `refuse`.
  package var onCall: ((NodeCall, UnsafeRawBufferPointer) -> Void)?
  /// The caller no longer waits for the answer.
  package var onCancelled: ((NodeCall) -> Void)?
  /// Who takes calls and makes them; kept until the node has stopped.
  package var callTaker: CallTaker? {
    didSet { links.setCallTaker(callTaker) }
  }
  /// Who takes what comes on channels, which are the application's; kept until it is replaced.
  package var channelTaker: (any ChannelTaker)?
  let store: NodeStore
  package internal(set) var links: LinkTable!
  var log: RaftLog?
  let names: RemoteNames
  package let sessions: ClusterSessions
  /// Where clients of sessions come in, if they may.
  package private(set) var door: SessionDoor?
  package private(set) var doorAddress: SocketAddress?
  /// By number of a node, the mailbox that leads to it.
  var gateways: [NodeID: Gateway] = [:]
  var arrears: [ObjectIdentifier: Arrears] = [:]
  var strangers: [UInt64: LinkPeer] = [:]
  var strangersMet: UInt64 = 0
  /// The number of the cluster that a peer says it is in, by the peer's name.
  var peerClusters: [String: UInt64] = [:]
  /// What is to be sent to an address as soon as there is a link.
  var owed: [SocketAddress: ClusterEnvelope] = [:]
  var requests: [UInt64: (RequestOutcome) -> Void] = [:]
  var requestsMade: UInt64 = 0
  var probes: [ObjectIdentifier: Probe] = [:]
  var tickTimer: TimerID?
  private var isPerforming = false
  package internal(set) var isStopped = false
  /// Why it has ended by itself.
  package private(set) var endReason: ClusterEnd?
  var whenStopped: [() -> Void] = []
  /// Where it listens.
  package internal(set) var address: SocketAddress
  /// Behind a pointer, for the class's own would be checked for exclusivity at each message.
  let counts: UnsafeMutablePointer<NodeStatistics>
  private var keeper: ClusterNode?
  /// The directory is free; links' sockets may still be closing.
  private var hasFinished = false

  /// Opens the directory, listens, and begins: to found a cluster, to be let into one, or to come
  /// back. `joined` follows, or `stopped` with the reason.
  /// - Parameters:
  ///   - listener: a number of the loop's listeners that nobody else uses.
  ///   - doorListener: another one, if clients of sessions are listened for.
  package init(
    _ options: ClusterNodeOptions, on loop: EventLoop, names: Names, listener: UInt16,
    doorListener: UInt16? = nil
  ) throws(NodeError) {
    self.options = options
    self.loop = loop
    store = try NodeStore(options.directory)
    let former = try store.read()
    address = options.listen
    self.names = try RemoteNames(names, loop)
    // Not before what may throw: `deinit` frees it, and is not run for half a node.
    unsafe counts = .allocate(capacity: 1)
    unsafe counts.initialize(to: NodeStatistics())
    var seed: UInt64 = 0
    unsafe withUnsafeMutableBytes(of: &seed) { bytes in
      for index in bytes.indices { unsafe bytes[index] = UInt8.random(in: 0...255) }
    }
    sessions = ClusterSessions(
      options.sessionLimits, lease: options.timing.core.lease)
    // The address is not known before it is bound; the core wants it from its beginning.
    core = ClusterCore(
      description: MemberDescription(name: options.name, address: "-"),
      options: options.timing.core,
      seed: seed, start: .found)
    links = try makeLinks(former)
    address = try listen(listener)
    let description = MemberDescription(
      name: options.name, address: "\(options.advertise ?? address)", zone: options.zone,
      weight: options.weight, role: options.role)
    guard description.isValid else {
      throw NodeError("the name, address or zone of the node is empty or too long: \(description)")
    }
    core = ClusterCore(
      description: description, options: options.timing.core, seed: seed, start: begin(former))
    if let address = options.sessionListen, let doorListener {
      try openDoor(address, doorListener)
    }
    begin()
  }

  deinit { unsafe counts.deallocate() }

  package var statistics: NodeStatistics { unsafe counts.pointee }

  private func begin(_ former: NodeIdentity?) -> ClusterStart {
    let seeds = options.seeds.map { "\($0)" }.filter { $0 != "\(options.advertise ?? address)" }
    if let former { return .resume(former, contacts: store.readContacts(), seeds: seeds) }
    return seeds.isEmpty ? .found : .join(seeds: seeds)
  }

  private func makeLinks(_ former: NodeIdentity?) throws(NodeError) -> LinkTable {
    var linkOptions = LinkOptions(name: options.name, cluster: options.cluster, keys: options.keys)
    if let former {
      linkOptions.id = former.id
      linkOptions.incarnation = former.incarnation
    }
    linkOptions.heartbeatInterval = options.timing.heartbeatMilliseconds
    // A network that is mended has its links again within twice that.
    linkOptions.silentHeartbeatsMax = 20
    linkOptions.connectTimeout = 10 * options.timing.heartbeatMilliseconds
    linkOptions.backoffMax = 10 * options.timing.heartbeatMilliseconds
    linkOptions.plaintextOffLoopback = options.plaintextOffLoopback
    linkOptions.tls = options.tls
    do throws(LinkError) {
      return try LinkTable(loop: loop, options: linkOptions, client: self)
    } catch {
      throw NodeError(error.description)
    }
  }

  private func listen(_ listener: UInt16) throws(NodeError) -> SocketAddress {
    do throws(EngineError) {
      return try links.listen(on: options.listen, listener: listener)
    } catch {
      throw NodeError("\(options.listen) can't be listened on: \(error)")
    }
  }

  private func openDoor(
    _ address: SocketAddress, _ listener: UInt16
  ) throws(NodeError) {
    let door: SessionDoor
    do throws(LinkError) {
      door = try SessionDoor(self, options.door)
    } catch {
      links.stop()
      throw NodeError(error.description)
    }
    do throws(EngineError) {
      doorAddress = try door.listen(on: address, listener: listener)
    } catch {
      links.stop()
      throw NodeError("\(address) can't be listened on for sessions: \(error)")
    }
    self.door = door
  }

  private func begin() {
    keeper = self
    names.node = self
    sessions.node = self
    tickTimer = loop.startTimer(
      afterMilliseconds: core.options.tick / 1_000_000,
      period: UInt32(core.options.tick / 1_000_000)
    ) {
      guard !self.isStopped else { return }
      self.happened(.tick)
      if self.isStopped { return }
      self.sessions.tick()
      self.door?.tick()
    }
    happened(.started)
  }

  /// Monotonic nanoseconds; not the turn's, which would be old after a long one.
  package static func monotonicNow() -> UInt64 { now() }

  static func now() -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }

  /// Tells the core, and does what it asks for. What happens meanwhile is told at once, and what
  /// follows from that is done in its turn.
  func happened(_ event: ClusterEvent) {
    if isStopped { return }
    core.handle(event, now: Self.now())
    if isPerforming { return }
    isPerforming = true
    while let action = core.nextAction() { perform(action) }
    isPerforming = false
    if !isStopped { sessions.coreChanged() }
  }

  // MARK: What may change, and be looked at

  /// Replaces the keys for links from now on.
  package func setKeys(_ keys: [[UInt8]]) throws(LinkError) { try links.setKeys(keys) }

  /// Replaces the certificates for links from now on.
  package func setTLS(_ tls: TLSOptions) throws(LinkError) {
    guard options.tls != nil else {
      throw LinkError("the node's links are in plain text: give it a certificate when it joins")
    }
    try links.setTLS(tls)
    door?.tls = try TLSContext(tls, asksAlways: false)
  }

  /// The key that this node proves itself with.
  package var firstKey: [UInt8] { links.keys.keys[0] }

  package var linkStatistics: LinkStatistics { links.statistics }

  // MARK: Requests

  /// Asks for a change of the cluster; `answer` is called once.
  package func request(_ request: ClusterRequest, _ answer: @escaping (RequestOutcome) -> Void) {
    if isStopped { return answer(.unknown) }
    requestsMade += 1
    requests[requestsMade] = answer
    happened(.requested(request, token: requestsMade))
  }

  // MARK: The end

  /// Ends at once, without leaving the cluster: what is in the log is there for the next life.
  /// `body` is called when the directory is free.
  package func stop(_ body: @escaping () -> Void) {
    if keeper == nil || hasFinished { return body() }
    whenStopped.append(body)
    end(nil)
  }

  func end(_ reason: ClusterEnd?) {
    guard !isStopped else { return }
    isStopped = true
    if let tickTimer { loop.cancelTimer(tickTimer) }
    for probe in probes.values { probe.end() }
    // What they would tell keeps this node.
    probes = [:]
    names.detach()
    door?.stop()
    sessions.stop()
    for gateway in gateways.values { close(gateway) }
    gateways = [:]
    links.stop()
    let asked = requests
    requests = [:]
    for answer in asked.values { answer(.unknown) }
    endReason = reason
    if let reason { onEvent?(.stopped(reason)) }
    guard let log else { return finished() }
    log.onStopped = { self.finished() }
    log.stop()
  }

  private func finished() {
    log = nil
    hasFinished = true
    let told = whenStopped
    whenStopped = []
    onEvent = nil
    unsafe onCall = nil
    onCancelled = nil
    callTaker = nil
    for body in told { body() }
    release()
  }

  /// The links' sockets close by and by, and tell of it. They don't keep whom they tell: a timer
  /// does, until the last is closed or the loop ends.
  private func release() {
    keeper = nil
    if links.hasEnded { return }
    _ = loop.startTimer(afterMilliseconds: 5, period: 0, beyondLimit: true) { self.release() }
  }
}

extension NodeTiming {
  var heartbeatMilliseconds: UInt32 {
    switch self {
    case .fast: 10
    case .standard: 25
    case .relaxed: 100
    }
  }
}

/// What a node tells of its cluster.
package enum NodeEvent: Sendable {
  case joined(NodeIdentity)
  case up(NodeID, Incarnation)
  case suspected(NodeID, Incarnation)
  case cleared(NodeID, Incarnation)
  /// Found here, before the log has it.
  case dead(NodeID, Incarnation)
  case down(NodeID, Incarnation)
  case left(NodeID, Incarnation)
  case slotsChanged(Epoch)
  case accepting(Bool)
  /// A link did not come about; once for an address and reason.
  case refused(address: String, LinkRefusal)
  case stopped(ClusterEnd)
}

package struct NodeStatistics: Hashable, Sendable {
  /// Messages for mailboxes of other nodes, on their way or beyond.
  package var messagesOut: UInt64 = 0
  package var messagesIn: UInt64 = 0
  /// Came for a mailbox that has ended or is full.
  package var messagesDropped: UInt64 = 0
  /// Of the log's own, for which there was no link or no room; it sends again.
  package var logMessagesDropped: UInt64 = 0
}
