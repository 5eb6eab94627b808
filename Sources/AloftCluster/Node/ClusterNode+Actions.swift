import AloftEngine
import AloftMembership
import Glibc

/// What the core asks for.
extension ClusterNode {
  func perform(_ action: ClusterAction) {
    switch action {
    case .keep(let identity): keep(identity)
    case .keepContacts(let contacts): store.write(contacts)
    case .startLog(let identity, let isFounder): startLog(identity, isFounder: isFounder)
    case .propose(let entry, let token):
      guard let log else { return happened(.proposed(token: token, .busy)) }
      log.propose(entry, token: token)
    case .changeLog(let change, let token):
      guard let log else { return happened(.proposed(token: token, .busy)) }
      log.change(change, token: token)
    case .transferLeadership(let id): log?.transferLeadership(to: id)
    case .send(let id, let envelope):
      unsafe send(envelope) { unsafe links.send(to: id, stream: $0, kind: $1, $2) }
    case .sendTo(let address, let envelope): send(envelope, toAddress: address)
    case .reply(let number, let envelope):
      guard let peer = strangers[number] else { return }
      unsafe send(envelope) { unsafe links.send(to: peer, stream: $0, kind: $1, $2) }
    case .connect(_, _, let address): connect(address)
    case .disconnect(let id, let incarnation): disconnect(id, incarnation)
    case .probe(let id, let incarnation, let address): probe(id, incarnation, address)
    case .joined(let identity): joined(identity)
    case .memberUp(let id, let incarnation): onEvent?(.up(id, incarnation))
    case .memberSuspected(let id, let incarnation): onEvent?(.suspected(id, incarnation))
    case .memberCleared(let id, let incarnation): onEvent?(.cleared(id, incarnation))
    case .memberDead(let id, let incarnation): onEvent?(.dead(id, incarnation))
    case .memberDown(let id, let incarnation):
      lost(id)
      onEvent?(.down(id, incarnation))
    case .memberLeft(let id, let incarnation):
      lost(id)
      onEvent?(.left(id, incarnation))
    case .slotsChanged(let epoch):
      links.setEpoch(epoch)
      onEvent?(.slotsChanged(epoch))
    case .accepting(let isAccepting): onEvent?(.accepting(isAccepting))
    case .answered(let token, let outcome): requests.removeValue(forKey: token)?(outcome)
    case .stopped(let reason): end(reason)
    }
  }

  // MARK: The disk and the log

  private func keep(_ identity: NodeIdentity) {
    do throws(NodeError) {
      try store.write(identity)
    } catch {
      return happened(.logEnded(reason: error.description))
    }
    // From here on the log may talk: the others have to know whose talk it is.
    links.setIdentity(id: identity.id, incarnation: identity.incarnation)
    for peer in links.linkedPeers { greet(peer) }
  }

  private func startLog(_ identity: NodeIdentity, isFounder: Bool) {
    var logOptions = RaftLogOptions(node: identity.id, directory: store.logDirectory)
    logOptions.bootstraps = isFounder
    logOptions.timing = options.timing.raft
    logOptions.reserveBytes = options.reserveBytes
    do throws(RaftLogError) {
      log = try RaftLog(logOptions, on: loop, client: self)
    } catch {
      happened(.logEnded(reason: error.message))
    }
  }

  private func joined(_ identity: NodeIdentity) {
    names.begin()
    onEvent?(.joined(identity))
  }

  // MARK: Links

  private func send(
    _ envelope: ClusterEnvelope, _ body: (UInt16, UInt8, UnsafeRawBufferPointer) -> LinkSendResult
  ) {
    // What can't be sent is dropped: the core sends again.
    _ = unsafe envelope.bytes.withUnsafeBytes {
      unsafe body(NodeStream.control, NodeKind.envelope, $0)
    }
  }

  private func send(_ envelope: ClusterEnvelope, toAddress text: String) {
    guard let address = SocketAddress(text: text) else { return }
    if let peer = links.linkedPeers.first(where: { $0.address == address }) {
      return unsafe send(envelope) { unsafe links.send(to: peer, stream: $0, kind: $1, $2) }
    }
    owed[address] = envelope
    connect(text)
  }

  private func connect(_ text: String) {
    guard let address = SocketAddress(text: text), address != self.address else { return }
    links.connect(to: address)
  }

  private func disconnect(_ id: NodeID, _ incarnation: Incarnation) {
    lost(id)
    guard let peer = links.peer(id), peer.incarnation == incarnation else { return }
    links.close(peer)
  }

  /// Another life, or none, is to be waited for.
  private func lost(_ id: NodeID) {
    names.removeAll(of: id)
    if let gateway = gateways.removeValue(forKey: id) { close(gateway) }
  }

  // MARK: Probes

  private func probe(_ id: NodeID, _ incarnation: Incarnation, _ text: String) {
    guard let address = SocketAddress(text: text) else {
      return happened(.probed(id, incarnation, .unknown))
    }
    let probe = Probe(loop, address) { [self] probe, result in
      guard probes.removeValue(forKey: ObjectIdentifier(probe)) != nil else { return }
      happened(.probed(id, incarnation, result))
      guard result == .refused, !isStopped else { return }
      // That process leads and serves nobody any more, whatever lease it had.
      log?.isGone(id)
      sessions.isGone(id, incarnation)
    }
    probes[ObjectIdentifier(probe)] = probe
    probe.begin()
  }
}
