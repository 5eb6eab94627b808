extension ClusterCore {
  private var voters: [NodeID] { logMembers.filter { $0.role == .voter }.map(\.id) }

  mutating func beatIfDue() {
    guard now >= lease.beatAt else { return }
    let round = lease.begin(now: now, next: now + options.beatInterval)
    count(answerOf: nil, round)
    let beat = ClusterMessage.beat(term: term, round: round, backed: lease.backed)
    for id in links.keys.sorted() { send(beat, to: id) }
  }

  private mutating func count(answerOf node: NodeID?, _ round: UInt64) {
    let isFirst = lease.answer(
      of: node, round, voters: voters, selfID: identity.id, lease: options.lease)
    // The others wait to hear of it.
    if isFirst { lease.beatAt = now }
  }

  mutating func beatAnswered(by node: NodeID, term: Term, round: UInt64) {
    guard isLeader, term == self.term else { return }
    count(answerOf: node, round)
  }

  mutating func beatReceived(from node: NodeID, term: Term, round: UInt64, backed: UInt64) {
    guard !isLeader, term >= self.term else { return }
    guard lease.beat(term, round, backed: backed, now: now, lease: options.lease) else { return }
    // A standby may learn from it who leads, if its log hasn't said so yet.
    if leader == nil { leader = node }
    send(.beatAnswer(term: term, round: round), to: node)
  }

  mutating func updateAccepting() {
    let accepts = phase == .member && now < lease.until
    guard accepts != isAccepting else { return }
    isAccepting = accepts
    act(.accepting(accepts))
  }
}
