/// What a leader has under way, and what it knows of how far the others are.
struct Duties {
  /// There may be something to do.
  var isDue = false
  /// When members or slots last changed.
  var changedAt: UInt64 = 0
  /// Nothing is proposed before that.
  private(set) var pausedUntil: UInt64 = 0
  /// By the log's token.
  private(set) var proposals: [UInt64: ClusterProposal] = [:]
  private(set) var logChange: UInt64?
  var transferredAt: UInt64?
  /// When this leader first saw that a member has left.
  private var leftAt: [NodeID: UInt64] = [:]
  private var epochs: [NodeID: (Incarnation, Epoch)] = [:]
  private var lastToken: UInt64 = 0
  private var lastSequence: UInt64 = 0

  mutating func nextSequence() -> UInt64 {
    lastSequence += 1
    return lastSequence
  }

  mutating func nextToken() -> UInt64 {
    lastToken += 1
    return lastToken
  }

  func isUnderWay(_ command: ClusterCommand) -> Bool {
    proposals.values.contains { $0.command == command }
  }

  func isUnderWay(_ proposal: ClusterProposal) -> Bool {
    proposals.values.contains {
      $0.proposer == proposal.proposer && $0.sequence == proposal.sequence
    }
  }

  var areSlotsUnderWay: Bool {
    proposals.values.contains {
      if case .assignSlots = $0.command { true } else { false }
    }
  }

  mutating func add(_ proposal: ClusterProposal) -> UInt64 {
    let token = nextToken()
    proposals[token] = proposal
    return token
  }

  mutating func addLogChange() -> UInt64 {
    let token = nextToken()
    logChange = token
    return token
  }

  /// What the log has no room for, or can't do now, is not asked for again before `later`.
  mutating func finished(_ token: UInt64, _ outcome: LogOutcome, now later: UInt64) {
    proposals[token] = nil
    if logChange == token { logChange = nil }
    if case .committed = outcome { return }
    pausedUntil = later
  }

  mutating func pause(until time: UInt64) { pausedUntil = time }

  /// Leadership has come or gone. Answers to what is under way still come, and mean nothing then.
  mutating func reset(now: UInt64) {
    proposals = [:]
    logChange = nil
    transferredAt = nil
    leftAt = [:]
    epochs = [:]
    pausedUntil = 0
    changedAt = now
  }

  mutating func noteEpoch(_ epoch: Epoch, of sender: NodeIdentity) {
    epochs[sender.id] = (sender.incarnation, epoch)
  }

  /// It has applied its own admission, so it can take part.
  func isReady(_ member: Member) -> Bool {
    guard let (incarnation, epoch) = epochs[member.id] else { return false }
    return incarnation == member.incarnation && epoch.rawValue >= incarnation.rawValue
  }

  /// A member that left has heard so, or has had time to.
  mutating func mayBeRemoved(_ member: Member, now: UInt64, wait: UInt64) -> Bool {
    if let (_, epoch) = epochs[member.id], epoch.rawValue >= member.changedAt { return true }
    guard let since = leftAt[member.id] else {
      leftAt[member.id] = now
      return false
    }
    return now >= since + wait
  }
}
