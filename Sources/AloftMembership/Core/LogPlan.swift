/// What the log's own configuration should come to be, a step at a time.
///
/// An odd number of voters, as many as there are members for, but not more than a limit. Who comes
/// is first a standby. A voter that is down is replaced as soon as there is somebody to replace it,
/// and keeps its vote until then: to let it go before would make a majority of fewer, and what they
/// acknowledge could be lost with one of them.
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

  /// The next step; nil when all is as it should be.
  var next: LogChange? {
    arrival ?? promotion ?? dismissal ?? removal
  }

  private func role(_ id: NodeID) -> LogRole? { log.first { $0.id == id }?.role }

  private func mayVote(_ member: Member) -> Bool {
    member.status == .up && member.description.role != .standby
  }

  private var upVoters: [Member] { members.filter { mayVote($0) && role($0.id) == .voter } }

  /// Those that are down count: they may come back, and the cluster isn't smaller for it.
  private var target: Int {
    let eligible = members.count { member in
      member.description.role != .standby && (member.status == .up || member.status == .down)
    }
    let most = max(1, min(votersMax, eligible))
    return most % 2 == 1 ? most : most - 1
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

  /// Witnesses first, which are there to vote; then who is in a zone with fewest voters.
  private var promotion: LogChange? {
    let voters = upVoters
    guard voters.count < target else { return nil }
    func rank(_ member: Member) -> (Int, Int, NodeID) {
      let zone = member.description.zone
      let neighbours = voters.count { $0.description.zone == zone }
      return (member.description.role == .witness ? 0 : 1, neighbours, member.id)
    }
    let candidates = members.filter {
      mayVote($0) && role($0.id) == .standby && ready.contains($0.id)
    }
    return candidates.min { rank($0) < rank($1) }.map { .assign($0.id, role: .voter) }
  }

  private var dismissal: LogChange? {
    let up = upVoters
    guard up.count >= target else { return nil }
    for member in members where role(member.id) == .voter && member.id != leader {
      switch member.status {
      case .down: return .assign(member.id, role: .spare)
      case .leaving: return .assign(member.id, role: .standby)
      case .up where member.description.role == .standby:
        return .assign(member.id, role: .standby)
      case .up, .left: continue
      }
    }
    guard up.count > target else { return nil }
    return up.last { $0.id != leader }.map { .assign($0.id, role: .standby) }
  }

  /// Those that have left, and those that nobody knows any more.
  private var removal: LogChange? {
    for entry in log where entry.id != leader {
      guard let member = members.first(where: { $0.id == entry.id }) else {
        return .remove(entry.id)
      }
      if member.status == .left, gone.contains(member.id) { return .remove(entry.id) }
    }
    return nil
  }
}
