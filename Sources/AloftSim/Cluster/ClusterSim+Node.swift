internal import AloftMembership
internal import AloftSession

extension ClusterSim {
  func handle(_ node: SimNode, _ event: ClusterEvent) {
    node.core?.handle(event, now: now)
    drain(node)
  }

  /// Carries out what the core and the log ask for, until neither asks for anything.
  func drain(_ node: SimNode) {
    let life = node.life
    for _ in 0..<100_000 {
      guard node.life == life else { return }
      if let action = node.core?.nextAction() {
        perform(node, action)
      } else if let raft = node.raft, !raft.outputs.isEmpty {
        let outputs = raft.outputs
        raft.outputs.removeAll(keepingCapacity: true)
        for output in outputs where node.life == life { perform(node, output) }
      } else if !pumpSessions(node) {
        return
      }
    }
    violate("n\(node.number) is busy for ever")
  }

  private func address(_ node: SimNode, of id: NodeID) -> Int? {
    node.wanted[id].flatMap { Int($0.address) } ?? node.origins[id]
  }

  private func perform(_ node: SimNode, _ action: ClusterAction) {
    let number = node.number
    func packet(_ envelope: ClusterEnvelope) -> SimPacket {
      .cluster(envelope, from: number, id: envelope.sender.id)
    }
    switch action {
    case .keep(let identity):
      node.disk.identity = identity
      isFounded = true
    case .keepContacts(let contacts): node.disk.contacts = contacts
    case .startLog(let identity, let isFounder): startLog(node, identity, isFounder)
    case .propose(let bytes, let token):
      node.raft?.propose(.command(renumbered(bytes)), token: token, now: now)
    case .changeLog(let change, let token):
      trace("n\(number) changes the log: \(change)")
      node.raft?.change(change, token: token, now: now)
    case .transferLeadership(let id): node.raft?.transfer(to: id)
    case .send(let id, let envelope):
      if let to = address(node, of: id) { send(packet(envelope), number, to) }
    case .sendTo(let address, let envelope): send(packet(envelope), number, Int(address) ?? -1)
    case .reply(let link, let envelope): send(packet(envelope), number, Int(link))
    case .connect(let id, let incarnation, let address):
      node.wanted[id] = Contact(id: id, incarnation: incarnation, address: address)
      if let link = node.linked[id], link.incarnation < incarnation { node.linked[id] = nil }
      later(.dial(number, life: node.life, id), options.delay)
    case .disconnect(let id, _): (node.wanted[id], node.linked[id]) = (nil, nil)
    case .probe(let id, let incarnation, let address):
      let probe = SimEvent.probed(number, life: node.life, id, incarnation, Int(address) ?? 0)
      later(probe, options.delay)
    case .joined(let identity):
      trace("n\(number) is \(identity.id.rawValue)/\(identity.incarnation.rawValue)")
      // Who dies when it has just come leaves things half done.
      if !isHealed, random.chance(10) { later(.strike(number, life: node.life), 0...20_000_000) }
    case .memberDown(let id, let incarnation): down(number, id, incarnation)
    case .memberDead(let id, _): trace("n\(number) finds \(id.rawValue) dead")
    case .memberSuspected(let id, _): trace("n\(number) suspects \(id.rawValue)")
    case .accepting(let accepts): trace("n\(number) \(accepts ? "accepts" : "accepts no more")")
    case .stopped(let end): stopped(node, end)
    case .answered, .memberUp, .memberCleared, .memberLeft, .slotsChanged: break
    }
  }

  private func stopped(_ node: SimNode, _ end: ClusterEnd) {
    kill(node, "\(end)")
    switch end {
    case .logEnded, .notAdmitted(.nameTaken):
      later(.restart(node.number), 100_000_000...900_000_000)
    case .left where node.isLeaving, .notAdmitted(.unknownFormer) where node.isLeaving:
      // The second: it was restarted when its leaving was through, and doesn't remember it.
      wipe(node)
      later(.restart(node.number), 0...500_000_000)
    case .left, .notAdmitted:
      node.end = end
      violate("n\(node.number) ended though nobody asked it to: \(end)")
    }
  }

  private func startLog(_ node: SimNode, _ identity: NodeIdentity, _ isFounder: Bool) {
    if isFounder {
      node.disk.log.baseMembers = [LogMember(id: identity.id, role: .voter)]
      configuration = (0, node.disk.log.baseMembers)
    }
    node.raft = SimRaft(
      id: identity.id, disk: node.disk, faults: options.faults, seed: random.word(), now: now)
  }

  /// With that fault, a number of its own for each copy.
  private func renumbered(_ bytes: [UInt8]) -> [UInt8] {
    guard options.faults.contains(.retryNotDeduplicated),
      var proposal = try? ClusterProposal(bytes: bytes)
    else { return bytes }
    nextData += 1
    proposal.sequence = 1_000_000 + nextData
    return proposal.bytes
  }

  private func perform(_ node: SimNode, _ output: SimRaft.Output) {
    guard let raft = node.raft, let identity = node.core?.identity else { return }
    switch output {
    case .send(let id, let message):
      (node.disk.term, node.disk.vote) = (raft.term, raft.vote)
      guard let to = address(node, of: id) else { return }
      let packet = SimPacket.log(
        message, from: identity.id, at: node.number, to: id, cluster: identity.cluster)
      send(packet, node.number, to)
    case .write(let first, let entries, let term):
      if node.disk.isFull {
        return handle(node, .logEnded(reason: "the disk is full"))
      }
      if entries.isEmpty { node.disk.log = raft.log }
      node.diskFreeAt = max(node.diskFreeAt, now) + UInt64(random.in(node.disk.delay))
      let last = first + UInt64(entries.count) - 1
      agenda.add(
        .written(node.number, life: node.life, last: last, term: term), at: node.diskFreeAt)
    case .leader(let leader, let term, let isSelf):
      if isSelf { lead(node, term) }
      node.sessions?.owner.leaderChanged(now: now)
      handle(node, .leaderChanged(leader: leader, term: term, isSelf: isSelf))
    case .apply(let index, let entry): apply(node, raft, index, entry)
    case .restore(let index, let snapshot):
      if !snapshot.isEmpty { restore(node, index, snapshot) }
    case .outcome(let token, let outcome):
      if token & SimSessions.tokenBit != 0 { return proposed(node, token, outcome) }
      handle(node, .proposed(token: token, outcome))
    case .members(let members): handle(node, .logMembers(members))
    }
  }

  private func apply(_ node: SimNode, _ raft: SimRaft, _ index: UInt64, _ entry: SimEntry) {
    if let agreed = committed[index], agreed != entry {
      return violate("n\(node.number) applies another entry \(index) than the others")
    }
    let isFirst = committed.updateValue(entry, forKey: index) == nil
    if isFirst, case .members(let members) = entry.content { configuration = (index, members) }
    guard case .command(let bytes) = entry.content else { return }
    if bytes.first == LogEntryKind.session {
      applySession(node, index, bytes)
    } else {
      let sends = node.core.map { $0.state }
      node.core?.handle(.applied(index: index, entry: bytes), now: now)
      if isFirst, let state = sends { applied(state, index, bytes) }
      clusterApplied(node, index)
    }
    drain(node)
    guard node.raft === raft, index >= raft.log.base + 48, let state = node.core?.state,
      (node.sessions?.owner.store.appliedIndex ?? state.appliedIndex) == index
    else { return }
    raft.log.compact(
      to: index - 16 < raft.log.base ? raft.log.base : index, snapshot: snapshot(node, state))
    node.disk.log = raft.log
    node.disk.log.truncate(after: max(raft.stored, raft.log.base))
  }
}
