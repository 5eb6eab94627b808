import AloftEngine

/// Signs of life, on a connection of their own: none waits behind a large message.
extension LinkTable {
  /// With the first link.
  func startHeartbeats() {
    guard heartbeatTimer == nil else { return }
    heartbeatTimer = loop.startTimer(
      afterMilliseconds: UInt64(options.heartbeatInterval), period: options.heartbeatInterval
    ) { self.sendHeartbeats() }
  }

  private func sendHeartbeats() {
    endSilentLinks()
    for case let peer? in peers where peer.isUp {
      guard let connection = peer.heartbeats, connection.phase == .up else { continue }
      // One that the last ones have not left: more would only pile up.
      guard loop.queuedBytes(connection.id) == 0 else { continue }
      unsafe counts.pointee.heartbeatsSent += 1
      let header = RecordHeader(.heartbeat, word: unsafe counts.pointee.heartbeatsSent)
      unsafe withUnsafeTemporaryAllocation(byteCount: RecordHeader.bytes, alignment: 8) { memory in
        unsafe header.store(to: memory.baseAddress!)
        let bytes = UnsafeRawBufferPointer(memory)
        guard let session = connection.session else {
          _ = unsafe loop.write(connection.id, bytes)
          return
        }
        _ = unsafe session.write(bytes)
        unsafe session.takeOutput { _ = unsafe loop.write(connection.id, $0) }
      }
    }
  }

  /// Counted in heartbeats of its own, so that a loop which stood still holds that against nobody.
  private func endSilentLinks() {
    guard options.silentHeartbeatsMax > 0 else { return }
    for case let peer? in peers where peer.isUp {
      peer.silentHeartbeats += 1
      guard peer.silentHeartbeats > options.silentHeartbeatsMax,
        let carrier = unsafe peer.state.pointee.carrier?.takeUnretainedValue()
      else { continue }
      end(carrier, .silent)
    }
  }

  /// Whoever dialled the link dials its heartbeats.
  func dialHeartbeats(_ peer: LinkPeer) {
    guard peer.isUp, peer.heartbeats == nil, let address = peer.address, !isStopped else { return }
    if !begin(to: address, channel: .heartbeat, dial: 0, peer: peer) {
      dialHeartbeatsLater(peer)
    }
  }

  func heartbeatsFailed(_ connection: LinkConnection) {
    guard let peer = connection.peer else { return }
    if peer.heartbeats === connection { peer.heartbeats = nil }
    if connection.role == .dialler { dialHeartbeatsLater(peer) }
  }

  private func dialHeartbeatsLater(_ peer: LinkPeer) {
    guard peer.isUp, !isStopped else { return }
    peer.heartbeatAttempts = min(peer.heartbeatAttempts + 1, 16)
    _ = loop.startTimer(afterMilliseconds: backoff(peer.heartbeatAttempts)) {
      if unsafe peer.state.pointee.isDialledHere { self.dialHeartbeats(peer) }
    }
  }

  /// The peer lives.
  func heard(_ peer: LinkPeer) {
    let now = loop.turnTime
    unsafe peer.state.pointee.lastHeard = now
    peer.silentHeartbeats = 0
    unsafe client.heard(peer, at: now)
  }
}
