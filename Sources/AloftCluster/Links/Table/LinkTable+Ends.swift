import AloftEngine
import AloftMembership
import AloftQueue

/// Links that come up and go down.
extension LinkTable {
  /// Both sides have shown the key: the connection carries records from here on.
  func becomeUp(_ connection: LinkConnection) {
    guard let hello = connection.handshake?.peer else { return }
    leaveHandshake(connection)
    connection.phase = .up
    if connection.channel == .heartbeat {
      guard let peer = connection.peer, peer.isUp else {
        end(connection, .replaced)
        return
      }
      if let old = peer.heartbeats, old !== connection { end(old, .replaced) }
      peer.heartbeats = connection
      heard(peer)
      return
    }
    let peer = self.peer(of: hello, connection)
    connection.peer = peer
    beginLink(peer, connection, hello)
    if connection.dial != 0 { dialSucceeded(connection.dial, name: peer.name) }
    unsafe counts.pointee.linksUp += 1
    startHeartbeats()
    unsafe client.linkUp(peer)
    guard connection.phase == .up else { return }
    unsafe resume(peer.state)
    if connection.role == .dialler { dialHeartbeats(peer) }
  }

  /// The timer and the count of handshakes are for those who are under way.
  private func leaveHandshake(_ connection: LinkConnection) {
    if let timer = connection.timer { loop.cancelTimer(timer) }
    connection.timer = nil
    if connection.role == .acceptor, connection.isPending { handshakes -= 1 }
    if let name = connection.handshake?.peer?.name, proving[name] === connection {
      proving[name] = nil
    }
  }

  /// The peer's object, which a new life of it gets anew.
  private func peer(of hello: Hello, _ connection: LinkConnection) -> LinkPeer {
    if let known = byName[hello.name] {
      if known.life == hello.life { return known }
      if let carrier = unsafe known.state.pointee.carrier?.takeUnretainedValue() {
        end(carrier, .superseded)
      }
      discard(known)
    }
    let number = peers.firstIndex { $0 == nil } ?? peers.count
    if number == peers.count { peers.append(nil) }
    let peer = LinkPeer(hello, number: UInt32(number), address: connection.address)
    peers[number] = peer
    unsafe byNumber.pointee.set(UInt32(number), peer.state)
    byName[hello.name] = peer
    return peer
  }

  private func beginLink(_ peer: LinkPeer, _ connection: LinkConnection, _ hello: Hello) {
    let state = unsafe peer.state
    peer.address = connection.address
    let number = connection.handshake?.linkNumber ?? 0
    unsafe state.pointee.link += 1
    unsafe state.pointee.connection = connection.id
    unsafe state.pointee.carrier = .passRetained(connection)
    unsafe state.pointee.isUp = true
    unsafe state.pointee.isDialledHere = connection.role == .dialler
    unsafe state.pointee.linkNumber = number
    unsafe state.pointee.frameMax = min(options.frameMax, Int(hello.frameMax))
    unsafe state.pointee.wholeMax = unsafe min(
      Self.gatheredMax, RecordHeader.bytes + state.pointee.frameMax)
    unsafe state.pointee.messageMax = min(options.messageMax, Int(hello.messageMax))
    unsafe state.pointee.windowOut = Int(hello.creditBytes)
    unsafe state.pointee.assemblyRoom = Int(min(hello.reassemblyMax, 1 << 40))
    unsafe state.pointee.epoch = hello.epoch
    identify(peer, id: hello.id, incarnation: hello.incarnation)
    // Both sides hold the same two words against each other, and come to the same.
    let own = unsafe state.pointee.memory.countedSince
    let theirs = connection.handshake?.peerMemory.countedSince ?? 0
    if own == 0 || own != theirs {
      unsafe countAnew(state)
      unsafe state.pointee.memory.countedSince = number
    }
    unsafe beginStreams(state)
    // What changed since our hello was said.
    let said = connection.handshake?.own
    unsafe state.pointee.owesIdentity = said?.id != id || said?.incarnation != incarnation
    unsafe state.pointee.owesEpoch = said?.epoch != epoch
    connection.handshake = nil
    heard(peer)
  }

  /// One of the two has no memory of the other: messages are numbered from 1.
  private func countAnew(_ state: UnsafeMutablePointer<PeerState>) {
    unsafe state.pointee.out.forEach { _, stream in
      var next: UInt64 = 1
      var at = unsafe stream.pointee.first
      while let waiting = Waiting(address: at) {
        let after = waiting.next
        waiting.name(waiting.type, kind: waiting.kind, sequence: next)
        waiting.next = after
        next += 1
        at = after
      }
      unsafe stream.pointee.sequence = next
    }
    unsafe state.pointee.inward.forEach { _, stream in unsafe stream.pointee.expected = 1 }
  }

  private func beginStreams(_ state: UnsafeMutablePointer<PeerState>) {
    let window = unsafe state.pointee.windowOut
    unsafe state.pointee.out.forEach { _, stream in unsafe stream.pointee.begin(credit: window) }
    unsafe state.pointee.out.initial.credit = window
    unsafe state.pointee.inward.forEach { _, stream in unsafe stream.pointee.begin() }
    unsafe state.pointee.active.removeAll()
    unsafe state.pointee.activeHead = 0
    unsafe state.pointee.starved.removeAll()
    unsafe state.pointee.due.removeAll()
    unsafe state.pointee.fragmentBytes = 0
    unsafe state.pointee.assembling = 0
    unsafe state.pointee.isBlocked = false
  }

  /// Sends again what was never acknowledged, and tells those who were refused that there is room.
  private func resume(_ state: UnsafeMutablePointer<PeerState>) {
    unsafe state.pointee.out.forEach { number, stream in
      guard unsafe stream.pointee.next != 0 else { return }
      var at = unsafe stream.pointee.first
      while let waiting = Waiting(address: at) {
        unsafe counts.pointee.resent += 1
        at = waiting.next
      }
      unsafe activate(state, number, stream)
    }
    unsafe tellAwaited(state)
  }

  /// The peer is, or has become, this number. Of two peers that claim one the later incarnation has
  /// it; the other is told of no more by it.
  func identify(_ peer: LinkPeer, id: NodeID, incarnation: Incarnation) {
    let state = unsafe peer.state
    let before = unsafe state.pointee.id
    if unsafe byID[Int(before.rawValue)] == state { unsafe byID[Int(before.rawValue)] = nil }
    unsafe state.pointee.id = id
    unsafe state.pointee.incarnation = incarnation
    guard id.rawValue != 0 else { return }
    if let other = unsafe byID[Int(id.rawValue)], unsafe other != state,
      unsafe other.pointee.incarnation > incarnation
    {
      return
    }
    unsafe byID[Int(id.rawValue)] = unsafe state
  }

  // MARK: Down

  /// No link comes of the connection.
  func fail(_ connection: LinkConnection, _ reason: LinkRefusal, byPeer: Bool = false) {
    guard connection.isPending else { return }
    leaveHandshake(connection)
    connection.phase = .over
    refuse(connection.address, reason)
    // What the handshake had to say goes out first.
    loop.close(connection.id)
    if connection.channel == .heartbeat {
      if connection.role == .dialler { heartbeatsFailed(connection) }
    } else if reason == .itself {
      forgetDial(connection.dial)
    } else if connection.dial != 0 {
      dialFailed(connection.dial)
    }
  }

  /// Ends a connection that is up, or not yet.
  func end(_ connection: LinkConnection, _ reason: LinkEnd) {
    switch connection.phase {
    case .over: return
    case .connecting, .encrypting, .handshaking:
      leaveHandshake(connection)
      connection.phase = .over
      loop.reset(connection.id)
    case .up:
      connection.phase = .over
      if connection.channel == .data { sayGoodbye(connection, reason) }
      if case .fault = reason { unsafe counts.pointee.faults += 1 }
      // Nobody takes what is queued for one that is silent.
      if reason == .silent { loop.reset(connection.id) } else { loop.close(connection.id) }
      if connection.channel == .data {
        goDown(connection, reason)
      } else {
        heartbeatsFailed(connection)
      }
    }
  }

  private func sayGoodbye(_ connection: LinkConnection, _ reason: LinkEnd) {
    let code: UInt8
    switch reason {
    case .local(let given): code = given
    case .stopped: code = LinkCode.stopped
    case .fault: code = LinkCode.fault
    case .replaced, .superseded: code = LinkCode.replaced
    case .socket, .peer, .encryption, .silent: return
    }
    guard let peer = connection.peer else { return }
    unsafe sayLast(peer.state, RecordHeader(.goodbye, kind: code))
  }

  /// The link is gone: what it carried is settled, and the client told.
  private func goDown(_ connection: LinkConnection, _ reason: LinkEnd) {
    guard let peer = connection.peer,
      unsafe peer.state.pointee.carrier?.takeUnretainedValue() === connection
    else { return }
    let state = unsafe peer.state
    unsafe state.pointee.isUp = false
    unsafe state.pointee.stagingMax = 0
    unsafe state.pointee.memory.lastLink = unsafe state.pointee.linkNumber
    unsafe dropUnsent(state)
    unsafe counts.pointee.linksDown += 1
    let carrier = unsafe state.pointee.carrier
    unsafe state.pointee.carrier = nil
    if let heartbeats = peer.heartbeats { end(heartbeats, reason) }
    failCalls(of: unsafe state.pointee.number)
    unsafe client.linkDown(peer, reason: reason)
    unsafe carrier?.release()
    if !isStopped { redial(peer) }
  }

  /// What was at most once is lost with the link; what is acknowledged waits for the next.
  private func dropUnsent(_ state: UnsafeMutablePointer<PeerState>) {
    if let staging = unsafe state.pointee.staging { MessageBlock.release(staging) }
    unsafe state.pointee.staging = nil
    unsafe state.pointee.staged = 0
    unsafe state.pointee.openMax = 0
    unsafe state.pointee.waitingPosts = nil
    for block in unsafe state.pointee.outbox { MessageBlock.release(block) }
    unsafe state.pointee.outbox.removeAll()
    unsafe state.pointee.out.forEach { number, stream in
      guard !LinkStream.isAcknowledged(number) else { return }
      while let waiting = unsafe stream.pointee.removeFirst() {
        unsafe counts.pointee.dropped += UInt64(waiting.messages)
        MessageBlock.release(waiting.block)
      }
    }
    unsafe state.pointee.inward.forEach { _, stream in unsafe stream.pointee.begin() }
  }

  /// The peer sends no more: it has closed.
  func peerEnded(_ id: ConnectionID) {
    guard let connection = connection(id) else {
      loop.close(id)
      return
    }
    closed(connection, .peer)
    loop.close(id)
  }

  func closed(_ id: ConnectionID, _ reason: CloseReason) {
    guard let connection = connections.removeValue(forKey: id) else { return }
    closed(connection, reason)
  }

  private func closed(_ connection: LinkConnection, _ reason: CloseReason) {
    switch connection.phase {
    case .over: break
    case .up: end(connection, .socket(reason))
    case .connecting:
      // Nobody there, or not now. That is no refusal: it is what dialling is for.
      leaveHandshake(connection)
      connection.phase = .over
      if connection.channel == .heartbeat {
        heartbeatsFailed(connection)
      } else {
        dialFailed(connection.dial)
      }
    case .encrypting, .handshaking: fail(connection, .ended)
    }
  }
}

/// Codes of goodbyes that links themselves say; the client's own are below 200.
package enum LinkCode {
  package static let stopped: UInt8 = 255
  package static let fault: UInt8 = 254
  package static let replaced: UInt8 = 253
}
