extension ClusterCore {
  mutating func received(_ envelope: ClusterEnvelope, from source: MessageSource) {
    let sender = envelope.sender
    // Who isn't in any cluster yet says 0; so does this node before it is told.
    let isOurs = sender.cluster == identity.cluster || sender.cluster == 0 || identity.cluster == 0
    guard isOurs else {
      if case .joinRequest = envelope.message {
        reply(.notAdmitted(.unknownFormer), to: source)
      }
      return
    }
    switch envelope.message {
    case .joinRequest(let description, let birth, let former):
      joinRequested(description, birth: birth, former: former, from: source)
    case .admitted(let identity, let contacts): admitted(identity, contacts)
    case .redirected(let address): joining.redirect(to: address)
    case .notAdmitted(let refusal): notAdmitted(refusal)
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

  /// Whether a message about a slot may have effect on this node.
  package func fence(_ sender: NodeIdentity, epoch: Epoch, slot: Slot) -> FenceAnswer {
    let answer = state.fence(sender)
    guard answer == .passed else { return answer }
    if epoch > state.epoch { return .ahead }
    // Who owns what hasn't changed since the slots did.
    if epoch < state.slotsEpoch { return .staleEpoch(state.epoch) }
    let owner = state.slots[slot]
    guard owner == identity.id else { return .notOwner(owner) }
    return isAccepting ? .passed : .notAccepting
  }
}
