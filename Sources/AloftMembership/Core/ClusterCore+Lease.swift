extension ClusterCore {
  private var voters: [NodeID] { logMembers.filter { $0.role == .voter }.map(\.id) }

  mutating func beatIfDue() {
    guard now >= lease.beatAt else { return }
    let round = lease.begin(now: now, next: now + options.beatInterval)
    countAnswers()
    for (id, contact) in links.sorted(by: { $0.key < $1.key }) {
      // Who is down by the log gets no lease, whether it has heard so or not.
      let isCurrent = state.isCurrent(id, contact.incarnation)
      let echo = isCurrent ? lease.echo(to: id, contact.incarnation) : 0
      send(.beat(term: term, round: round, echo: echo), to: id)
    }
  }

  private mutating func countAnswers() {
    let isBacked = lease.count(voters: voters, selfID: identity.id, lease: options.lease)
    // Until a leader is first backed nobody may accept: the others wait to hear of it. One whose
    // own life is over won't accept for that, and has time.
    if isBacked, !isAccepting, phase == .member { lease.beatAt = now }
  }

  mutating func beatAnswered(
    by sender: NodeIdentity, term: Term, round: UInt64, stamp: UInt64
  ) {
    guard isLeader, term == self.term else { return }
    lease.answer(of: sender, round, stamp: stamp)
    countAnswers()
  }

  mutating func beatReceived(from node: NodeID, term: Term, round: UInt64, echo: UInt64) {
    guard !isLeader, term >= self.term else { return }
    guard lease.beat(term, echo: echo, lease: options.lease) else { return }
    // Who gets no log, or not yet, learns from it who leads.
    if leader == nil || term > self.term { leader = node }
    self.term = term
    send(.beatAnswer(term: term, round: round, stamp: now), to: node)
  }

  mutating func updateAccepting() {
    let accepts = phase == .member && now < lease.until
    if accepts { acceptedAt = now }
    guard accepts != isAccepting else { return }
    isAccepting = accepts
    act(.accepting(accepts))
  }
}
