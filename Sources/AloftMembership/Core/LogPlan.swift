/// What the log's own configuration should come to be, a step at a time.
///
/// An odd number of voters, as many as there are members for, but not more than a limit. Who comes
/// is first a standby. A voter that is down keeps its vote until somebody can take it: to let it go
/// before would be to wait for fewer to come back. Then it goes first. Of an odd number of voters
/// the majority is as large as of one fewer, so that costs nothing, whereas one more would make it
/// larger, and whoever dies next could be the one too many.
struct LogPlan {
  let members: [Member]
  let log: [LogMember]
  let leader: NodeID
  /// Members that have left and needn't hear of it any more.
  let gone: Set<NodeID>
  /// Members that were seen to follow the log. A vote given to one that hasn't got its admission
  /// yet might be missing when it is needed to get it there.
  let ready: Set<NodeID>
  let votersMax: Int
  /// Who answers the leader at present.
  let heard: Set<NodeID>

  /// The next step; nil when all is as it should be.
  var next: LogChange? {
    arrival ?? exchange ?? surplus ?? removal
  }

  private func role(_ id: NodeID) -> LogRole? { log.first { $0.id == id }?.role }

  private func mayVote(_ member: Member) -> Bool {
    member.status == .up && member.description.role != .standby
  }

  private var voters: [LogMember] { log.filter { $0.role == .voter } }

  private var upVoters: [Member] { members.filter { mayVote($0) && role($0.id) == .voter } }

  /// Those that are down count as long as they have a vote: they may come back, and the cluster
  /// isn't smaller for it.
  private var target: Int {
    let eligible = members.count { member in
      mayVote(member) || member.status == .down && role(member.id) == .voter
    }
    let most = max(1, min(votersMax, eligible))
    return most % 2 == 1 ? most : most - 1
  }

  /// Those who might get a vote, best first: witnesses, which are there to vote; then who is in a
  /// zone with fewest voters.
  private var candidates: [Member] {
    let voters = upVoters
    func rank(_ member: Member) -> (Int, Int, NodeID) {
      let zone = member.description.zone
      let neighbours = voters.count { $0.description.zone == zone }
      return (member.description.role == .witness ? 0 : 1, neighbours, member.id)
    }
    let able = members.filter {
      mayVote($0) && role($0.id) == .standby && ready.contains($0.id) && heard.contains($0.id)
    }
    return able.sorted { rank($0) < rank($1) }
  }

  private var arrival: LogChange? {
    for member in members where member.isAlive {
      switch role(member.id) {
      case nil: return .add(member.id, role: .standby)
      case .spare: return .assign(member.id, role: .standby)
      case .standby, .voter: continue
      }
    }
    return nil
  }

  private var exchange: LogChange? {
    guard upVoters.count < target, let next = candidates.first else { return nil }
    if voters.count % 2 == 1 {
      if worn.contains(where: { !lives($0) }) { return dismissal { !lives($0) } }
      // One more alone would only make the majority larger; but who lives and goes needs an heir.
      guard candidates.count > 1 || !worn.isEmpty else { return nil }
    }
    return .assign(next.id, role: .voter)
  }

  private var surplus: LogChange? {
    guard voters.count > target else { return nil }
    if let dismissal = dismissal(where: { _ in true }) { return dismissal }
    guard upVoters.count > target else { return nil }
    let least = upVoters.last { $0.id != leader && isBorne(without: $0.id) }
    return least.map { .assign($0.id, role: .standby) }
  }

  /// Voters that can't use their vote, or won't for long: first who won't come back, then who is
  /// down, then who lives.
  private var worn: [NodeID] {
    func rank(_ member: Member) -> Int {
      switch member.status {
      case .left: 0
      case .down: 1
      case .up, .leaving: 2
      }
    }
    let worn = members.filter { role($0.id) == .voter && !mayVote($0) }
    return worn.sorted { (rank($0), $0.id) < (rank($1), $1.id) }.map(\.id)
  }

  private func lives(_ id: NodeID) -> Bool { members.contains { $0.id == id && $0.isAlive } }

  private func dismissal(where isIncluded: (NodeID) -> Bool) -> LogChange? {
    let first = worn.first { $0 != leader && isIncluded($0) && isBorne(without: $0) }
    return first.map { .assign($0, role: lives($0) ? .standby : .spare) }
  }

  /// Of the other voters most are heard of. Who is taken for dead by the state may be the one whose
  /// vote the leader leads by, and who is taken for living may be dead.
  private func isBorne(without id: NodeID) -> Bool {
    let others = voters.filter { $0.id != id }
    return 2 * others.count { $0.id == leader || heard.contains($0.id) } > others.count
  }

  /// Those that have left, and those that nobody knows any more.
  private var removal: LogChange? {
    for entry in log
    where entry.id != leader && (entry.role != .voter || isBorne(without: entry.id)) {
      guard let member = members.first(where: { $0.id == entry.id }) else {
        return .remove(entry.id)
      }
      if member.status == .left, gone.contains(member.id) { return .remove(entry.id) }
    }
    return nil
  }
}
