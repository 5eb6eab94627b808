extension ClusterCore {
  mutating func received(_ envelope: ClusterEnvelope, from source: MessageSource) {
    let sender = envelope.sender
    // Who isn't in any cluster yet says 0; so does this node before it is told.
    let isOurs = sender.cluster == identity.cluster || sender.cluster == 0 || identity.cluster == 0
    guard isOurs else {
      if case .joinRequest(_, let birth, _) = envelope.message {
        reply(.notAdmitted(.unknownFormer, birth: birth), to: source)
      }
      return
    }
    if state.fence(sender) == .staleSender { tellOver(envelope, source) }
    switch envelope.message {
    case .joinRequest(let description, let birth, let former):
      joinRequested(description, birth: birth, former: former, from: source)
    case .admitted(let identity, let contacts, let birth): admitted(identity, contacts, birth)
    case .redirected(let address): joining.redirect(to: address)
    case .notAdmitted(let refusal, let birth): notAdmitted(refusal, birth)
    case .beat(let term, let round, let echo):
      beatReceived(from: sender.id, term: term, round: round, echo: echo)
    case .beatAnswer(let term, let round, let stamp):
      duties.noteEpoch(envelope.epoch, of: sender)
      beatAnswered(by: sender, term: term, round: round, stamp: stamp)
    case .forward(let proposal): forwarded(proposal, by: sender)
    case .opinionRequest(let incarnation):
      guard state.fence(sender) == .passed else { return }
      let isHeard = detector.hears(incarnation, now: now)
      send(.opinion(about: incarnation, isHeard: isHeard), to: sender.id)
    case .opinion(let incarnation, let isHeard):
      guard state.fence(sender) == .passed else { return }
      detector.opinion(about: incarnation, isHeard: isHeard, now: now)
    case .over(let incarnation):
      if phase == .member || phase == .arriving, incarnation == identity.incarnation {
        endOwnLife()
      }
    }
  }

  /// Whoever acts as one who lives, and lives no more by the log, hears of it. The log itself
  /// doesn't reach a node that was convicted while it could not be reached, and then lost its vote
  /// to another.
  private mutating func tellOver(_ envelope: ClusterEnvelope, _ source: MessageSource) {
    guard envelope.sender.incarnation.rawValue != 0 else { return }
    switch envelope.message {
    case .joinRequest, .forward, .beat, .beatAnswer, .opinionRequest:
      reply(.over(envelope.sender.incarnation), to: source)
    case .admitted, .redirected, .notAdmitted, .opinion, .over: break
    }
  }

  mutating func send(_ message: ClusterMessage, to id: NodeID) {
    act(.send(to: id, envelope(message)))
  }

  mutating func reply(_ message: ClusterMessage, to source: MessageSource) {
    switch source {
    case .node(let id): act(.send(to: id, envelope(message)))
    case .stranger(let link): act(.reply(link: link, envelope(message)))
    }
  }

  /// Whether a message about a slot may have effect on this node, now. The time counts: after this
  /// process was stopped for a while, the message may be the first thing that happens to it.
  package func fence(
    _ sender: NodeIdentity, epoch: Epoch, slot: Slot, now time: UInt64
  ) -> FenceAnswer {
    let answer = state.fence(sender)
    guard answer == .passed else { return answer }
    if epoch > state.epoch { return .ahead }
    // Who owns what hasn't changed since the slots did.
    if epoch < state.slotsEpoch { return .staleEpoch(state.epoch) }
    let owner = state.slots[slot]
    guard owner == identity.id else { return .notOwner(owner) }
    return isAccepting && time < lease.until ? .passed : .notAccepting
  }
}
