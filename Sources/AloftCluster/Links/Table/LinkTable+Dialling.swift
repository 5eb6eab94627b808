package import AloftEngine
import Glibc

/// An address that the table keeps a link to.
struct Dial {
  let address: SocketAddress
  /// Attempts since the last that led to a link.
  var attempts: UInt32 = 0
  var timer: TimerID?
  var isUnderWay = false
  /// Who was found there.
  var peerName: String?
}

/// Coming by connections: listening, dialling, and dialling again.
extension LinkTable {
  /// Listens; answers the address that was really bound. `listener` is a number of the loop's
  /// listeners that nobody else uses.
  package func listen(
    on address: SocketAddress, listener: UInt16
  ) throws(EngineError) -> SocketAddress {
    let request = ListenRequest(
      index: listener, address: address, backlog: 128, first: true, handOver: false)
    let bound = try loop.listen(request, handler: handler)
    listeners.append(listener)
    return bound
  }

  /// Keeps a link to the node at this address: dials at once, and again after each failure and
  /// each end of the link, with back-off. To dial one's own address does no harm.
  package func connect(to address: SocketAddress) {
    guard !isStopped, !dials.values.contains(where: { $0.address == address }) else { return }
    dialsBegun += 1
    dials[dialsBegun] = Dial(address: address)
    dial(dialsBegun)
  }

  /// Dials this address no more. A link that is up stays up.
  package func disconnect(from address: SocketAddress) {
    for (number, dial) in dials where dial.address == address { forgetDial(number) }
  }

  func forgetDial(_ number: UInt32) {
    if let dial = dials.removeValue(forKey: number) { forgetTimer(dial) }
  }

  func forgetTimer(_ dial: Dial) {
    if let timer = dial.timer { loop.cancelTimer(timer) }
  }

  private func dial(_ number: UInt32) {
    guard var dial = dials[number], !dial.isUnderWay else { return }
    dial.timer = nil
    if let name = dial.peerName, let peer = byName[name], peer.isUp {
      dials[number] = dial
      return
    }
    dial.isUnderWay = true
    dials[number] = dial
    if !begin(to: dial.address, channel: .data, dial: number, peer: nil) { dialFailed(number) }
  }

  /// The attempt led to no link: another follows.
  func dialFailed(_ number: UInt32) {
    guard dials[number] != nil, !isStopped else { return }
    dials[number]?.isUnderWay = false
    let attempts = dials[number]?.attempts ?? 0
    dials[number]?.attempts = min(attempts + 1, 16)
    dials[number]?.timer = loop.startTimer(afterMilliseconds: backoff(attempts)) {
      self.dial(number)
    }
  }

  /// Half of it is chance, so that nodes which lost each other don't meet again and again.
  func backoff(_ attempts: UInt32) -> UInt64 {
    let whole = min(UInt64(options.backoffMin) << UInt64(attempts), UInt64(options.backoffMax))
    return max(1, whole / 2 + randomWord() % (whole / 2 + 1))
  }

  /// The link to a peer has ended: those dials that led to it begin again.
  func redial(_ peer: LinkPeer) {
    for (number, dial) in dials where dial.peerName == peer.name && !dial.isUnderWay {
      forgetTimer(dial)
      dialFailed(number)
    }
  }

  /// A link is up: whoever dialled is content.
  func dialSucceeded(_ number: UInt32, name: String) {
    dials[number]?.isUnderWay = false
    dials[number]?.attempts = 0
    dials[number]?.peerName = name
  }

  /// Starts a connection; false when it can't even begin.
  func begin(
    to address: SocketAddress, channel: Hello.Channel, dial: UInt32, peer: LinkPeer?
  ) -> Bool {
    guard isAllowed(address) else {
      refuse(address, .plaintext)
      return false
    }
    guard let id = try? loop.connect(to: address, handler: handler) else { return false }
    let connection = LinkConnection(
      id, role: .dialler, channel: channel, address: address, dial: dial, lengthMax: lengthMax)
    connection.peer = peer
    if channel == .data { unsafe counts.pointee.dialled += 1 }
    admit(connection)
    return true
  }

  /// Most bytes behind a record's header: a payload and the longest extension, twice, for a
  /// fragment of a call.
  var lengthMax: UInt32 { UInt32(options.frameMax + 32) }

  func admit(_ connection: LinkConnection) {
    connections[connection.id] = connection
    let pointer = unsafe Unmanaged.passUnretained(connection).toOpaque()
    loop.setContext(connection.id, UInt(bitPattern: pointer))
    connection.timer = loop.startTimer(
      afterMilliseconds: UInt64(options.handshakeTimeout)
    ) {
      guard connection.isPending else { return }
      connection.timer = nil
      self.fail(connection, .timedOut)
    }
  }

  // MARK: Which addresses

  /// Plain text is for the machine itself, unless the options say otherwise.
  func isAllowed(_ address: SocketAddress?) -> Bool {
    if tls != nil || options.plaintextOffLoopback { return true }
    guard let address else { return false }
    return Self.isLoopback(address)
  }

  static func isLoopback(_ address: SocketAddress) -> Bool {
    switch address {
    case .unix: return true
    case .ip(let host, _):
      var four = in_addr()
      if unsafe inet_pton(AF_INET, host, &four) == 1 {
        return UInt32(bigEndian: four.s_addr) >> 24 == 127
      }
      var six = in6_addr()
      guard unsafe inet_pton(AF_INET6, host, &six) == 1 else { return false }
      return unsafe withUnsafeBytes(of: &six) { bytes in
        let isOne = unsafe bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1
        // ::ffff:127.0.0.0/104, as a listener for both families shows IPv4.
        let isMapped =
          unsafe bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10] == 0xFF
          && bytes[11] == 0xFF && bytes[12] == 127
        return isOne || isMapped
      }
    }
  }

  /// Counts a link that did not come about, and tells the client of the first of its kind.
  func refuse(_ address: SocketAddress?, _ reason: LinkRefusal) {
    unsafe counts.pointee.refused[reason, default: 0] += 1
    guard reason != .duplicate, reason != .itself else { return }
    let host =
      switch address {
      case .ip(let host, _): host
      case .unix(let path): path
      case nil: ""
      }
    if told.count >= Self.toldMax { told.removeAll() }
    guard told.insert(Refusal(host: host, reason: reason)).inserted else { return }
    unsafe client.refused(address, reason)
  }
}
