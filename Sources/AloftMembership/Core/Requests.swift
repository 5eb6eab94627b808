/// What somebody on this node has asked for and hasn't been answered yet.
struct Requests {
  struct Pending {
    var proposal: ClusterProposal
    var token: UInt64
    var sentAt: UInt64
    var deadline: UInt64
  }

  private(set) var pending: [Pending] = []

  mutating func add(_ request: Pending) { pending.append(request) }

  mutating func take(_ sequence: UInt64) -> Pending? {
    guard let position = pending.firstIndex(where: { $0.proposal.sequence == sequence }) else {
      return nil
    }
    return pending.remove(at: position)
  }

  mutating func takeAll() -> [Pending] {
    defer { pending = [] }
    return pending
  }

  mutating func takeOverdue(now: UInt64) -> [Pending] {
    let overdue = pending.filter { now >= $0.deadline }
    if !overdue.isEmpty { pending.removeAll { now >= $0.deadline } }
    return overdue
  }

  /// Those that were sent before `time` and are sent again now.
  mutating func takeDue(sentBefore time: UInt64, now: UInt64) -> [ClusterProposal] {
    var due: [ClusterProposal] = []
    for position in pending.indices where pending[position].sentAt <= time {
      pending[position].sentAt = now
      due.append(pending[position].proposal)
    }
    return due
  }
}
