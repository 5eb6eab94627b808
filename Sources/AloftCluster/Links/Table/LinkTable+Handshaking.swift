import AloftEngine
import AloftMembership
import AloftQueue

/// From a connection's first byte to its link.
extension LinkTable {
  func connection(_ id: ConnectionID) -> LinkConnection? {
    guard let pointer = unsafe UnsafeRawPointer(bitPattern: loop.context(id)) else { return nil }
    return unsafe Unmanaged<LinkConnection>.fromOpaque(pointer).takeUnretainedValue()
  }

  func opened(_ id: ConnectionID) {
    if let connection = connection(id) {
      begin(connection)
      return
    }
    unsafe counts.pointee.accepted += 1
    let address = loop.name(of: id, peer: true)
    let refusal: LinkRefusal? =
      isStopped || handshakes >= options.handshakesMax
      ? .tooMany : isAllowed(address) ? nil : .plaintext
    if let refusal {
      refuse(address, refusal)
      loop.reset(id)
      return
    }
    let connection = LinkConnection(
      id, role: .acceptor, channel: .data, address: address, dial: 0, lengthMax: lengthMax)
    handshakes += 1
    admit(connection)
    begin(connection)
  }

  private func begin(_ connection: LinkConnection) {
    guard let tls else {
      beginHandshake(connection, binding: [UInt8](repeating: 0, count: 32))
      return
    }
    guard let session = tls.makeSession(isServer: connection.role == .acceptor) else {
      fail(connection, .encryption)
      return
    }
    connection.session = session
    connection.phase = .encrypting
    encrypt(connection)
  }

  /// Takes the encryption a step further.
  func encrypt(_ connection: LinkConnection) {
    guard let session = connection.session else { return }
    let step = session.shakeHands()
    sendEncrypted(connection)
    switch step {
    case .needsMore: break
    case .done(let binding): beginHandshake(connection, binding: binding)
    case .failed: fail(connection, .encryption)
    }
  }

  private func beginHandshake(_ connection: LinkConnection, binding: [UInt8]) {
    connection.phase = .handshaking
    connection.handshake = Handshake(
      hello(connection.role, connection.channel), keys: keys, binding: binding)
    sendOutput(connection)
  }

  private func hello(_ role: Hello.Role, _ channel: Hello.Channel) -> Hello {
    Hello(
      role: role, channel: channel, id: id, incarnation: incarnation, life: life, epoch: epoch,
      creditBytes: UInt32(options.creditBytes), frameMax: UInt32(options.frameMax),
      messageMax: UInt64(options.messageMax), reassemblyMax: UInt64(options.reassemblyMax),
      nonce: randomBytes(Hello.nonceBytes), name: options.name, cluster: options.cluster)
  }

  /// Sends what the handshake has to say.
  private func sendOutput(_ connection: LinkConnection) {
    guard let output = connection.handshake?.output, !output.isEmpty else { return }
    connection.handshake?.output = []
    unsafe output.withUnsafeBytes { bytes in
      if let session = connection.session {
        _ = unsafe session.write(bytes)
        sendEncrypted(connection)
      } else {
        // A new connection has room for these few.
        _ = unsafe loop.write(connection.id, bytes)
      }
    }
  }

  /// Sends what the encryption has to say while no link is up.
  private func sendEncrypted(_ connection: LinkConnection) {
    unsafe connection.session?.takeOutput { bytes in _ = unsafe loop.write(connection.id, bytes) }
  }

  /// Feeds the handshake; leaves what is behind it.
  func shakeHands(_ connection: LinkConnection, _ bytes: inout UnsafeRawBufferPointer) {
    while connection.phase == .handshaking, unsafe !bytes.isEmpty {
      let event = unsafe connection.handshake?.received(&bytes) ?? .needsMore
      switch event {
      case .needsMore: sendOutput(connection)
      case .greeted: greeted(connection)
      case .proved: proved(connection)
      case .accepted: becomeUp(connection)
      case .refused(let reason):
        sendOutput(connection)
        fail(connection, reason)
      case .turnedAway(let reason): fail(connection, reason, byPeer: true)
      }
    }
  }

  /// The dialler knows who claims to be there.
  private func greeted(_ connection: LinkConnection) {
    guard let hello = connection.handshake?.peer else { return }
    let known = byName[hello.name].flatMap { $0.life == hello.life ? $0 : nil }
    if connection.channel == .heartbeat {
      guard let known, known === connection.peer, known.isUp else {
        fail(connection, .noLink)
        return
      }
      connection.handshake?.prove(Handshake.Memory())
    } else {
      dials[connection.dial]?.peerName = hello.name
      if known?.isUp == true || proving[hello.name] != nil {
        fail(connection, .duplicate)
        return
      }
      proving[hello.name] = connection
      connection.hasProved = true
      connection.handshake?.prove(unsafe known?.state.pointee.memory ?? Handshake.Memory())
    }
    sendOutput(connection)
  }

  /// The acceptor knows that the peer is one of the cluster's, and decides.
  private func proved(_ connection: LinkConnection) {
    guard let hello = connection.handshake?.peer else { return }
    connection.channel = hello.channel
    let refusal =
      hello.channel == .heartbeat
      ? judgeHeartbeats(connection, hello) : judge(connection, hello)
    if let refusal {
      connection.handshake?.refuse(refusal)
      sendOutput(connection)
      fail(connection, refusal)
      return
    }
    let known = byName[hello.name].flatMap { $0.life == hello.life ? $0 : nil }
    connection.handshake?.accept(
      hello.channel == .data
        ? unsafe known?.state.pointee.memory ?? Handshake.Memory() : Handshake.Memory())
    sendOutput(connection)
    becomeUp(connection)
  }

  private func judgeHeartbeats(_ connection: LinkConnection, _ hello: Hello) -> LinkRefusal? {
    guard let peer = byName[hello.name], peer.life == hello.life, peer.isUp else {
      return .noLink
    }
    connection.peer = peer
    return nil
  }

  /// Whether a link that is asked for may be. Of two dials at the same time that of the smaller
  /// name wins, and its dialler decides: once it has sent its proof it refuses the other's, and
  /// while it has not, it takes the other's and gives up its own. So both sides come to the same.
  private func judge(_ connection: LinkConnection, _ hello: Hello) -> LinkRefusal? {
    if let peer = byName[hello.name], peer.isUp {
      if let refusal = judge(hello, against: peer, connection) { return refusal }
    }
    if let own = proving[hello.name], own.handshake?.peer?.life == hello.life {
      if options.name < hello.name { return .duplicate }
      fail(own, .duplicate)
    }
    if let other = unsafe byID[Int(hello.id.rawValue)], hello.id.rawValue != 0,
      let holder = unsafe other.pointee.peer?.takeUnretainedValue(), holder.name != hello.name
    {
      guard hello.incarnation > holder.incarnation else { return .superseded }
    }
    if byName[hello.name] == nil, byName.count >= options.peersMax { return .tooMany }
    return nil
  }

  /// There is a link with that name.
  private func judge(
    _ hello: Hello, against peer: LinkPeer, _ connection: LinkConnection
  ) -> LinkRefusal? {
    guard let carrier = unsafe peer.state.pointee.carrier?.takeUnretainedValue() else { return nil }
    if peer.life != hello.life {
      if hello.incarnation < peer.incarnation { return .superseded }
      end(carrier, .superseded)
      return nil
    }
    // The peer dials when it has no link. If it dialled the one that we have, or says that it saw
    // it end, that is gone, and we just have not heard. Else the two dials have crossed.
    let ended = connection.handshake?.peerMemory.lastLink
    let hasEnded = unsafe peer.state.pointee.linkNumber == ended
    guard unsafe hasEnded || !peer.state.pointee.isDialledHere else { return .duplicate }
    end(carrier, .replaced)
    return nil
  }
}
