extension ClusterCore {
  /// All that a leader owes the cluster, from what is now.
  mutating func performDuties() {
    duties.isDue = false
    guard isLeader, now >= duties.pausedUntil else { return }
    if state.cluster == 0 {
      return propose(.found(cluster: identity.cluster, description, birth: birth))
    }
    guard phase == .member else {
      return propose(.admit(description, birth: birth, former: formerLife))
    }
    convictTheDead()
    seeOffTheLeaving()
    spreadSlots()
    changeLog()
    passOnLeadership()
  }

  private mutating func convictTheDead() {
    for member in state.living where member.id != identity.id {
      if detector.isConvicted(member.id) { propose(.convict(member.incarnation)) }
    }
  }

  private mutating func seeOffTheLeaving() {
    let living = state.living
    for member in living where member.status == .leaving {
      // Its vote goes before it does: of three that left at the same time one would remain, waiting
      // for the others' votes.
      let votes = logMembers.contains(LogMember(id: member.id, role: .voter))
      // Who is down couldn't come back to a cluster whose last voter has gone.
      let isLast = living.count == 1 && !state.members.contains { $0.status == .down }
      if isLast || !votes && !state.slots.owns(member.id) {
        propose(.depart(member.incarnation))
      }
    }
  }

  // MARK: Slots

  private mutating func spreadSlots() {
    guard !duties.areSlotsUnderWay else { return }
    let counts = state.slots.counts
    let members = state.members.filter { isPlaced($0, holds: counts[Int($0.id.rawValue)] > 0) }
    // What has no living owner can't wait until all have come.
    let isOrphaned = (0..<256).contains { number in
      counts[number] > 0 && state[NodeID(rawValue: UInt8(number))]?.isAlive != true
    }
    guard isOrphaned || now >= duties.changedAt + options.rebalanceDelay else { return }
    let nodes = Placement.nodes(members)
    guard !isBalanced(counts, nodes) else { return }
    let plan = Placement.plan(from: state.slots, nodes: nodes, loads: slotLoads)
    let runs = plan.changes(since: state.slots)
    guard !runs.isEmpty else { return }
    propose(.assignSlots(base: state.epoch, runs))
  }

  /// A new member gets slots once it follows the log.
  private func isPlaced(_ member: Member, holds: Bool) -> Bool {
    guard member.takesSlots, !detector.isConvicted(member.id) else { return false }
    return holds || member.id == identity.id || duties.isReady(member)
  }

  private func isBalanced(_ counts: [Int], _ nodes: [Placement.Node]) -> Bool {
    let held = nodes.map { counts[Int($0.id.rawValue)] }
    return nodes.isEmpty
      || Quotas.shares(of: Slot.count, weights: nodes.map(\.weight), held: held) == held
  }

  // MARK: The log's members

  private mutating func changeLog() {
    guard duties.logChange == nil, !logMembers.isEmpty else { return }
    var gone: Set<NodeID> = []
    for member in state.members where member.status == .left {
      let isInLog = logMembers.contains { $0.id == member.id }
      if isInLog, duties.mayBeRemoved(member, now: now, wait: 4 * options.lease) {
        gone.insert(member.id)
      }
    }
    let plan = LogPlan(
      members: state.members, log: logMembers, leader: identity.id, gone: gone,
      ready: Set(state.members.filter { duties.isReady($0) }.map(\.id)),
      votersMax: options.votersMax,
      heard: Set(logMembers.map(\.id).filter(answers)))
    guard let change = plan.next else { return }
    act(.changeLog(change, token: duties.addLogChange()))
  }

  /// Just now: who answered a while ago may be dead, and with one voter fewer nobody would be left
  /// to agree on anything.
  private func answers(_ id: NodeID) -> Bool {
    lease.answers(id, within: 2) && !detector.isConvicted(id)
  }

  /// Who is about to go, or is a witness, doesn't lead if another can.
  private mutating func passOnLeadership() {
    guard let own = state[identity.id], own.status != .up || own.description.role == .witness else {
      return
    }
    if let at = duties.transferredAt, now < at + options.lease { return }
    let heir = state.members.first { member in
      member.status == .up && member.description.role != .witness && member.id != identity.id
        && !detector.isSuspected(member.id)
        && logMembers.contains(LogMember(id: member.id, role: .voter))
    }
    guard let heir else { return }
    duties.transferredAt = now
    act(.transferLeadership(to: heir.id))
  }

  // MARK: Proposing

  /// A leader's own proposal, unless it's under way.
  mutating func propose(_ command: ClusterCommand) {
    guard !duties.isUnderWay(command) else { return }
    let proposal = ClusterProposal(
      proposer: identity.incarnation, sequence: duties.nextSequence(), command: command)
    act(.propose(proposal.bytes, token: duties.add(proposal)))
  }

  /// A proposal with a number, unless it's under way.
  mutating func propose(_ proposal: ClusterProposal) {
    guard !duties.isUnderWay(proposal) else { return }
    act(.propose(proposal.bytes, token: duties.add(proposal)))
  }
}
