package import AloftEngine
package import AloftMembership

/// Streams between nodes: order is kept within one.
package enum NodeStream {
  static let control: UInt16 = 0
  static let log: UInt16 = 1
  static let names: UInt16 = 2
  static let messages: UInt16 = 3
  package static let calls: UInt16 = 4
  /// The sessions' entries on their way to the leader, and requests on their way to owners.
  static let entries: UInt16 = 5
  static let sessions: UInt16 = 6
  /// Acknowledged: the last change of slots that the sender knows of.
  static let epochs: UInt16 = LinkStream.acknowledged | 1
  /// The application's channels, 256 of each kind.
  static let channels: UInt16 = 0x100
}

/// What comes on them.
enum NodeKind {
  static let envelope: UInt8 = 1
  /// On the log's stream: the number of the cluster that the sender is in.
  static let cluster: UInt8 = 2
  static let log: UInt8 = 3
  static let names: UInt8 = 4
  static let entry: UInt8 = 5
  static let write: UInt8 = 6
  static let query: UInt8 = 7
  /// A write that may have been done before: behind eight bytes, what had been applied where it
  /// came from when it was asked for first.
  static let repeatedWrite: UInt8 = 8
  static let epoch: UInt8 = 9
  static let channel: UInt8 = 10
}

extension ClusterNode: LinkClient {
  package func linkUp(_ peer: LinkPeer) {
    strangersMet += 1
    strangers[strangersMet] = peer
    peer.context = UInt(strangersMet)
    if peer.id.rawValue != 0 { met(peer) }
    guard let address = peer.address, let envelope = owed.removeValue(forKey: address) else {
      return
    }
    perform(.reply(link: strangersMet, envelope))
  }

  package func identified(_ peer: LinkPeer) {
    if peer.id.rawValue != 0, gateways[peer.id]?.peer !== peer { met(peer) }
  }

  /// A link to a node with a number.
  private func met(_ peer: LinkPeer) {
    if core.identity.id.rawValue != 0 { greet(peer) }
    openGateway(to: peer)
    sessions.writable(peer.id)
    happened(.linkUp(peer.id, peer.incarnation))
  }

  /// Says which cluster this node is in, and which names are here.
  func greet(_ peer: LinkPeer) {
    guard core.identity.cluster != 0 else { return }
    unsafe withUnsafeBytes(of: core.identity.cluster.littleEndian) { bytes in
      _ = unsafe links.send(to: peer, stream: NodeStream.log, kind: NodeKind.cluster, bytes)
    }
    names.greet(peer)
    sessions.announce(to: peer)
  }

  package func linkDown(_ peer: LinkPeer, reason: LinkEnd) {
    strangers[UInt64(peer.context)] = nil
    names.forget(peer)
    guard peer.id.rawValue != 0 else { return }
    channelTaker?.linkDown(to: peer.id)
    if let gateway = gateways[peer.id], gateway.peer === peer {
      gateways[peer.id] = nil
      close(gateway)
      names.removeAll(of: peer.id)
    }
    switch reason {
    case .local, .stopped: break
    default: happened(.linkDown(peer.id, peer.incarnation))
    }
  }

  package func heard(_ peer: LinkPeer, at: UInt64) {
    if peer.id.rawValue != 0 { happened(.heard(peer.id, peer.incarnation)) }
  }

  package func refused(_ address: SocketAddress?, _ reason: LinkRefusal) {
    onEvent?(.refused(address: address.map { "\($0)" } ?? "somebody", reason))
  }

  package func writable(_ peer: LinkPeer, stream: UInt16) {
    switch stream {
    case NodeStream.names: names.goOn(peer)
    case NodeStream.messages:
      gateways[peer.id]?.goOn()
    case NodeStream.entries: sessions.writable(peer.id)
    default:
      guard let channel = Self.channel(stream) else { return }
      channelTaker?.writable(
        to: peer.id, channel: channel, isAcknowledged: LinkStream.isAcknowledged(stream))
    }
  }

  package func received(
    _ peer: LinkPeer, stream: UInt16, kind: UInt8, message: UnsafeRawBufferPointer
  ) {
    switch kind {
    case NodeKind.envelope:
      guard let envelope = try? ClusterEnvelope(bytes: unsafe Array(message)) else { return }
      let source: MessageSource =
        peer.id.rawValue != 0 ? .node(peer.id) : .stranger(link: UInt64(peer.context))
      happened(.received(from: source, envelope))
    case NodeKind.cluster:
      guard message.count == 8 else { return }
      peerClusters[peer.name] = unsafe UInt64(littleEndian: message.loadUnaligned(as: UInt64.self))
      // It says so when it has a log, or is about to: that needn't wait for the next heartbeat.
      if peerClusters[peer.name] == core.identity.cluster, peer.id.rawValue != 0 {
        log?.reach(peer.id)
      }
    case NodeKind.log:
      // A node of a cluster that was founded anew under the same name is none of this one.
      guard peerClusters[peer.name] == core.identity.cluster, peer.id.rawValue != 0 else { return }
      unsafe log?.receive(from: peer.id, message: message)
    case NodeKind.names: unsafe names.received(peer, message)
    case NodeKind.epoch: unsafe sessions.announced(peer, message)
    case NodeKind.channel:
      guard peer.id.rawValue != 0, let channel = Self.channel(stream) else { return }
      unsafe channelTaker?.received(from: peer.id, channel: channel, message)
    default: break
    }
  }

  package func called(
    _ peer: LinkPeer, _ call: IncomingCall, message: UnsafeRawBufferPointer
  ) {
    if call.stream == NodeStream.entries || call.stream == NodeStream.sessions {
      return unsafe sessions.called(peer, call, message)
    }
    guard let onCall = unsafe onCall else {
      _ = unsafe links.fail(call, code: 1, UnsafeRawBufferPointer(start: nil, count: 0))
      return
    }
    unsafe onCall(NodeCall(call: call, from: peer.id), message)
  }

  package func undelivered(_ peer: LinkPeer, stream: UInt16, messages: Int) {
    guard let channel = Self.channel(stream) else { return }
    channelTaker?.undelivered(to: peer.id, channel: channel, messages: messages)
  }

  package func cancelled(_ peer: LinkPeer, _ call: IncomingCall) {
    if call.stream == NodeStream.calls { onCancelled?(NodeCall(call: call, from: peer.id)) }
  }
}

extension ClusterNode: ReplicatedLogClient {
  package func apply(index: UInt64, term: Term, entry: UnsafeRawBufferPointer) {
    guard unsafe entry.first == LogEntryKind.cluster else {
      return unsafe sessions.apply(index: index, entry)
    }
    happened(.applied(index: index, entry: unsafe Array(entry)))
    sessions.clusterApplied(index: index)
  }

  package func restore(index: UInt64, snapshot: UnsafeRawBufferPointer) {
    guard let cluster = unsafe sessions.restore(index: index, snapshot) else {
      return happened(.logEnded(reason: "the snapshot is damaged, or of a later version"))
    }
    happened(.restored(index: index, snapshot: cluster))
    if isStopped { return }
    sessions.restored(index: index)
    door?.restored()
    sessions.desk?.restored()
    sessions.tellAll()
  }

  package func makeSnapshot(index: UInt64) -> [UInt8]? {
    sessions.beginSnapshot(index: index)
    return nil
  }

  package func leaderChanged(leader: NodeID?, term: Term, isSelf: Bool) {
    happened(.leaderChanged(leader: leader, term: term, isSelf: isSelf))
  }

  package func proposed(token: UInt64, _ outcome: LogOutcome) {
    if token & ClusterSessions.Token.isOurs != 0 { return sessions.proposed(token, outcome) }
    happened(.proposed(token: token, outcome))
  }

  package func send(to id: NodeID, message: UnsafeRawBufferPointer) {
    let result = unsafe links.send(to: id, stream: NodeStream.log, kind: NodeKind.log, message)
    if result != .accepted { unsafe counts.pointee.logMessagesDropped += 1 }
  }

  package func membersChanged(_ members: [LogMember]) {
    sessions.votersChanged(members)
    happened(.logMembers(members))
  }

  package func ended(reason: String) { happened(.logEnded(reason: reason)) }
}
