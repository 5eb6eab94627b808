internal import AloftMembership

extension SimRaft {
  // MARK: On a leader

  func propose(_ content: SimEntry.Content, token: UInt64, now time: UInt64) {
    now = time
    guard role == .leader, isAnnounced else {
      return outputs.append(.outcome(token, .notLeader(leader: leader)))
    }
    if waiting.count >= 64 { return outputs.append(.outcome(token, .busy)) }
    if case .members = content, log.members.at > committed || promotion != nil {
      return outputs.append(.outcome(token, .busy))
    }
    append(content)
    waiting.append((log.last, token))
    for member in members where member.id != id && member.role != .spare { replicate(member.id) }
  }

  func change(_ change: LogChange, token: UInt64, now time: UInt64) {
    var members = self.members
    switch change {
    case .add(let node, let role):
      members.removeAll { $0.id == node }
      members.append(LogMember(id: node, role: role))
    case .assign(let node, let role):
      if role == .voter, self.role == .leader, isAnnounced, promotion == nil,
        (matches[node] ?? 0) < log.last
      {
        // It has to catch up before it counts.
        let patience = faults.contains(.promotionWaits) ? 200 * Self.election : 2 * Self.election
        promotion = (node, token, target: log.last, until: time + patience)
        return replicate(node)
      }
      members.removeAll { $0.id == node }
      members.append(LogMember(id: node, role: role))
    case .remove(let node): members.removeAll { $0.id == node }
    }
    propose(.members(members), token: token, now: time)
  }

  func transfer(to node: NodeID) {
    if role == .leader, matches[node] == log.last { send(.leadNow(term: term), to: node) }
  }

  func append(_ content: SimEntry.Content) {
    let entry = SimEntry(term: term, content: content)
    log.entries.append(entry)
    outputs.append(.write(first: log.last, [entry], term: term))
    if case .members(let members) = content { outputs.append(.members(members)) }
  }

  func replicate(_ node: NodeID) {
    let next = nexts[node] ?? log.last + 1
    guard next > log.base, let previousTerm = log.term(at: next - 1) else {
      return send(.install(term: term, log), to: node)
    }
    let end = min(max(next, held(from: node)), next + 32)
    let entries = log.entries[Int(next - log.base - 1)..<Int(end - log.base - 1)]
    send(
      .append(
        term: term, previous: next - 1, previousTerm: previousTerm, entries: entries,
        committed: committed), to: node)
    // Several may be under way.
    nexts[node] = next + UInt64(entries.count)
  }

  /// The first entry that a node isn't sent yet. Who loses its vote hears of it when that is agreed
  /// on: were it the only one that has the change, it could neither lead nor vote for those who
  /// haven't.
  private func held(from node: NodeID) -> UInt64 {
    let (at, members) = log.members
    guard at > committed, !faults.contains(.demotionTold),
      !members.contains(LogMember(id: node, role: .voter)),
      log.members(upTo: at - 1).1.contains(LogMember(id: node, role: .voter))
    else { return log.last + 1 }
    return at
  }

  func answered(_ node: NodeID, _ match: UInt64, _ isAccepted: Bool) {
    answeredAt[node] = now
    if isAccepted {
      matches[node] = max(matches[node] ?? 0, match)
      nexts[node] = max(nexts[node] ?? 0, match + 1)
      promote()
      advance()
      // A snapshot is sent again with the next beat, if it's still needed: who has it in memory may
      // wait for its disk.
      let next = nexts[node] ?? 0
      if next > log.base, next < held(from: node) { replicate(node) }
    } else {
      nexts[node] = max(matches[node] ?? 0, min(match, log.last)) + 1
      replicate(node)
    }
  }

  private func promote() {
    guard let (node, token, target, _) = promotion, (matches[node] ?? 0) >= target else { return }
    promotion = nil
    var members = self.members
    guard let position = members.firstIndex(where: { $0.id == node }) else {
      return outputs.append(.outcome(token, .busy))
    }
    members[position].role = .voter
    propose(.members(members), token: token, now: now)
  }

  /// Commits what a majority has on disk, if an entry of this term is among it.
  func advance() {
    guard role == .leader else { return }
    var reached = voters.map { $0 == id ? stored : matches[$0] ?? 0 }
    guard !reached.isEmpty else { return }
    reached.sort(by: >)
    var place = reached.count / 2
    if faults.contains(.commitByHalf) { place = max(0, (reached.count - 1) / 2 - 1) }
    let majority = min(reached[place], log.last)
    guard majority > committed, log.term(at: majority) == term else { return }
    committed = majority
    applyCommitted()
  }

  func applyCommitted() {
    while applied < min(committed, log.last) {
      applied += 1
      outputs.append(.apply(applied, log[applied]))
      if applied == barrier, role == .leader {
        isAnnounced = true
        leader = id
        outputs.append(.leader(id, Term(rawValue: term), isSelf: true))
      }
      while let first = waiting.first, first.index <= applied {
        waiting.removeFirst()
        outputs.append(.outcome(first.token, .committed(index: first.index)))
      }
    }
  }

  // MARK: On the others

  func appended(
    _ node: NodeID, _ previous: UInt64, _ previousTerm: UInt64, _ entries: ArraySlice<SimEntry>,
    _ leaderCommitted: UInt64
  ) {
    guard previous <= log.last else {
      return send(.stored(term: term, match: log.last, isAccepted: false), to: node)
    }
    if previous >= log.base, log.term(at: previous) != previousTerm {
      return send(
        .stored(term: term, match: max(log.base, previous - 1), isAccepted: false), to: node)
    }
    var index = previous
    var fresh: [SimEntry] = []
    for entry in entries {
      index += 1
      if index <= log.base { continue }
      if fresh.isEmpty, log.term(at: index) == entry.term { continue }
      if fresh.isEmpty { log.truncate(after: index - 1) }
      log.entries.append(entry)
      fresh.append(entry)
    }
    let match = previous + UInt64(entries.count)
    if !fresh.isEmpty {
      stored = min(stored, log.last - UInt64(fresh.count))
      outputs.append(.write(first: log.last - UInt64(fresh.count) + 1, fresh, term: term))
      outputs.append(.members(members))
    } else if match <= stored {
      send(.stored(term: term, match: match, isAccepted: true), to: node)
    }
    committed = max(committed, min(leaderCommitted, match))
    applyCommitted()
  }

  func install(_ node: NodeID, _ store: SimLogStore) {
    defer { send(.stored(term: term, match: min(stored, committed), isAccepted: true), to: node) }
    guard store.base > committed else { return }
    if log.term(at: store.base) == store.baseTerm, !faults.contains(.installForgets) {
      // All that it stands for is there, and what is behind it may have been acknowledged.
      committed = store.base
      return applyCommitted()
    }
    var store = store
    store.entries = []
    log = store
    (committed, applied, stored) = (store.base, store.base, store.base)
    outputs.append(.write(first: store.base + 1, [], term: term))
    outputs.append(.restore(store.base, store.snapshot))
    outputs.append(.members(members))
  }

  /// Entries up to `last`, asked to be written in `term`, are on disk.
  func written(last: UInt64, term: UInt64, now time: UInt64) {
    now = time
    // What is on disk is what the log is now, up to there; only who asked for it in this term knows
    // that it is the leader's.
    stored = max(stored, min(last, log.last))
    guard term == self.term else { return }
    if role == .leader { return advance() }
    if let leader {
      send(.stored(term: term, match: min(stored, last), isAccepted: true), to: leader)
    }
  }
}
