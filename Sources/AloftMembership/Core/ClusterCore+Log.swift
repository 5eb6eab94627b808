extension ClusterCore {
  mutating func applied(_ index: UInt64, _ entry: [UInt8]) {
    let members = state.members
    let slotsEpoch = state.slotsEpoch
    let applied = state.apply(index: index, entry: entry)
    if applied.result == .done { stateChanged(from: members, slotsEpoch: slotsEpoch) }
    guard let proposal = applied.proposal else { return }
    answerJoiner(proposal.command, applied.result)
    if proposal.proposer == identity.incarnation {
      answerRequest(proposal.sequence, applied.result)
    }
  }

  mutating func restored(_ snapshot: [UInt8]) {
    let members = state.members
    let slotsEpoch = state.slotsEpoch
    do {
      state = try ClusterState(snapshot: snapshot)
    } catch {
      return stop(
        .logEnded("the snapshot of the cluster's state is damaged, or of a later version"))
    }
    stateChanged(from: members, slotsEpoch: slotsEpoch)
  }

  private mutating func stateChanged(from old: [Member], slotsEpoch: Epoch) {
    updateOwnLife()
    announce(old)
    if state.slotsEpoch != slotsEpoch { act(.slotsChanged(state.slotsEpoch)) }
    updateLinks()
    duties.isDue = true
    duties.changedAt = now
    if isLeader { lease.beatAt = now }
  }

  /// Whether this node is a member, in which life, by what the log says.
  private mutating func updateOwnLife() {
    let mine = state.members.last { $0.birth == birth && $0.name == description.name }
    if let mine, mine.isAlive {
      guard phase != .member || identity.incarnation != mine.incarnation else { return }
      identity = NodeIdentity(cluster: state.cluster, id: mine.id, incarnation: mine.incarnation)
      enter(.member)
      act(.keep(identity))
      act(.joined(identity))
      return
    }
    if let mine, mine.status == .left { return stop(.left) }
    if phase == .member || mine != nil {
      endOwnLife()
    }
  }

  /// Convicted, though it lives: this life is over all the same, and another one begins.
  mutating func endOwnLife() {
    birth = word()
    enter(.returning)
    lease.end()
    joining.askedAt = nil
    for request in requests.takeAll() { act(.answered(token: request.token, .unknown)) }
  }

  /// Tells what has become of the others, and watches those who live.
  private mutating func announce(_ old: [Member]) {
    var before: [Incarnation: MemberStatus] = [:]
    for member in old { before[member.incarnation] = member.status }
    var now: Set<Incarnation> = []
    for member in state.members {
      now.insert(member.incarnation)
      let was = before[member.incarnation]
      if member.isAlive, was == nil {
        act(.memberUp(member.id, member.incarnation))
        if member.id != identity.id { watch(member) }
      }
      guard !member.isAlive, was == .up || was == .leaving else { continue }
      forget(member.id, member.incarnation)
      lease.forget(member.id)
      let isLeft = member.status == .left
      act(
        isLeft
          ? .memberLeft(member.id, member.incarnation)
          : .memberDown(member.id, member.incarnation))
    }
    for member in old where member.isAlive && !now.contains(member.incarnation) {
      // Replaced by a later life; that one is watched by now.
      act(.memberDown(member.id, member.incarnation))
    }
  }

  private mutating func watch(_ member: Member) {
    detector.watch(member.id, member.incarnation, now: now)
  }

  private mutating func forget(_ id: NodeID, _ incarnation: Incarnation) {
    if detector.watches(id, incarnation) { detector.unwatch(id) }
  }

  /// Links are kept to all who live, and to all who are in the log: those that are down may come
  /// back by it, and their votes count.
  mutating func updateLinks() {
    var wanted: [NodeID: Contact] = [:]
    for member in state.members {
      let isInLog = logMembers.contains { $0.id == member.id }
      guard member.id != identity.id, member.isAlive || isInLog && member.status == .down else {
        continue
      }
      wanted[member.id] = Contact(
        id: member.id, incarnation: member.incarnation, address: member.description.address)
    }
    // Whom the log, as far as it was applied, doesn't know yet. It may need them to get on.
    if phase == .arriving || phase == .returning {
      for (id, contact) in links where state[id] == nil { wanted[id] = contact }
    }
    for (id, contact) in links.sorted(by: { $0.key < $1.key }) where wanted[id] == nil {
      act(.disconnect(id, contact.incarnation))
    }
    for (id, contact) in wanted.sorted(by: { $0.key < $1.key }) where links[id] != contact {
      act(.connect(id, contact.incarnation, address: contact.address))
    }
    if links != wanted, phase != .new {
      act(.keepContacts(wanted.values.sorted { $0.id < $1.id }))
    }
    links = wanted
  }

  mutating func changed(_ leader: NodeID?, _ term: Term, _ isSelf: Bool) {
    let wasLeader = isLeader
    // A log that lags behind knows less than a beat that came.
    if isSelf || term >= self.term { self.leader = leader }
    self.term = max(self.term, term)
    isLeader = isSelf
    if wasLeader || isSelf { duties.reset(now: now) }
    // They ask again, and whoever leads then answers.
    if wasLeader { joining.waiting = [:] }
    if isSelf {
      lease.lead(now: now)
      beatIfDue()
      duties.isDue = true
    }
    resendRequests()
    if phase == .returning || phase == .joining { joining.askedAt = nil }
  }

  mutating func proposed(_ token: UInt64, _ outcome: LogOutcome) {
    duties.finished(token, outcome, now: now + options.beatInterval)
    if case .committed = outcome { duties.isDue = true }
    if case .failed(let reason) = outcome { stop(.logEnded(reason)) }
  }
}
