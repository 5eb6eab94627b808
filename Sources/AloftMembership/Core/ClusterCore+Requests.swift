extension ClusterCore {
  mutating func requested(_ request: ClusterRequest, _ token: UInt64) {
    guard phase == .member, requests.pending.count < options.requestsMax else {
      return act(.answered(token: token, .busy))
    }
    guard let command = command(for: request) else {
      return act(.answered(token: token, .unknownName))
    }
    let proposal = ClusterProposal(
      proposer: identity.incarnation, sequence: duties.nextSequence(), command: command)
    requests.add(
      Requests.Pending(
        proposal: proposal, token: token, sentAt: now, deadline: now + options.requestTimeout))
    if case .leave = request { joining.isLeaving = true }
    submit(proposal)
  }

  private func command(for request: ClusterRequest) -> ClusterCommand? {
    switch request {
    case .leave: return .leave(identity.incarnation)
    case .setDraining(let name, let isDraining):
      return state.member(named: name).map { .setDraining($0.incarnation, isDraining) }
    case .setWeight(let name, let weight):
      return state.member(named: name).map { .setWeight($0.incarnation, weight) }
    case .forget(let name): return state.member(named: name).map { .forget($0.incarnation) }
    case .convict(let name): return state.member(named: name).map { .convict($0.incarnation) }
    }
  }

  /// To the log, or to who leads it; nowhere if nobody does, then it's sent again later. The number
  /// stays the same, so however often it comes there, it counts once.
  private mutating func submit(_ proposal: ClusterProposal) {
    if isLeader {
      propose(proposal)
    } else if let leader, leader != identity.id {
      send(.forward(proposal), to: leader)
    }
  }

  mutating func retryRequests() {
    for request in requests.takeOverdue(now: now) {
      act(.answered(token: request.token, .unknown))
    }
    guard now >= options.proposalRetry else { return }
    let due = requests.takeDue(sentBefore: now - options.proposalRetry, now: now)
    for proposal in due { submit(proposal) }
  }

  /// Somebody else leads, or nobody did before.
  mutating func resendRequests() {
    for proposal in requests.takeDue(sentBefore: now, now: now) { submit(proposal) }
  }

  mutating func forwarded(_ proposal: ClusterProposal, by sender: NodeIdentity) {
    guard isLeader, proposal.proposer == sender.incarnation, state.fence(sender) == .passed else {
      return
    }
    propose(proposal)
  }

  mutating func answerRequest(_ sequence: UInt64, _ result: CommandResult) {
    guard let request = requests.take(sequence) else { return }
    switch result {
    case .done, .unchanged: act(.answered(token: request.token, .done))
    // Its first copy came with a snapshot, which doesn't say what became of it.
    case .refused(.repeated): act(.answered(token: request.token, .unknown))
    case .refused(let refusal): act(.answered(token: request.token, .refused(refusal)))
    }
  }
}
