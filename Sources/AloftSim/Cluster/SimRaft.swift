internal import AloftMembership

/// What can be put wrong in a simulated world, to see that it is noticed.
package enum SeededFault: String, CaseIterable, Sendable {
  /// Nodes take messages from lives that are over, for slots that they don't own.
  case fenceUnchecked
  /// A leader takes half of the voters for a majority.
  case commitByHalf
  /// A proposal that is sent again gets a new number.
  case retryNotDeduplicated

  // What once was wrong. The cluster doesn't come to rest.
  /// Nobody tells a node that its life is over.
  case overUntold
  /// A snapshot that comes late takes away what was acknowledged behind it.
  case installForgets
  /// A member that dies while it gets its vote is waited for, and nobody else comes in.
  case promotionWaits
  /// Who loses its vote is sent that change before it is agreed on.
  case demotionTold
}

/// A replicated log in a simulated world: Raft (Ongaro and Ousterhout, 2014) with trial votes,
/// leaders that stand down without a majority, snapshots, and changes of one member at a time.
///
/// The term and the vote are on disk when they are told; entries take the disk's time, and count
/// when they are there.
final class SimRaft {
  enum Role { case follower, trial, candidate, leader }

  enum Output {
    case send(NodeID, SimLogMessage)
    case write(first: UInt64, [SimEntry], term: UInt64)
    case leader(NodeID?, Term, isSelf: Bool)
    case apply(UInt64, SimEntry)
    case restore(UInt64, [UInt8])
    case outcome(UInt64, LogOutcome)
    case members([LogMember])
  }

  let id: NodeID
  let faults: Set<SeededFault>
  var log: SimLogStore
  var term: UInt64
  var vote: NodeID?
  var role = Role.follower
  var leader: NodeID?
  var committed: UInt64
  var applied: UInt64
  /// On disk up to there.
  var stored: UInt64
  var outputs: [Output] = []
  var now: UInt64 = 0
  var random: SimRandom

  var heardAt: UInt64 = 0
  var electionAt: UInt64 = 0
  var beatAt: UInt64 = 0
  var votes: Set<NodeID> = []
  var matches: [NodeID: UInt64] = [:]
  var nexts: [NodeID: UInt64] = [:]
  var answeredAt: [NodeID: UInt64] = [:]
  var barrier: UInt64 = 0
  var isAnnounced = false
  var waiting: [(index: UInt64, token: UInt64)] = []
  /// Who gets a vote once it has what the leader had when that began; no other change begins
  /// before.
  var promotion: (node: NodeID, token: UInt64, target: UInt64, until: UInt64)?

  static let election: UInt64 = 150_000_000
  static let beat: UInt64 = 30_000_000

  init(id: NodeID, disk: SimDisk, faults: Set<SeededFault>, seed: UInt64, now: UInt64) {
    self.id = id
    self.faults = faults
    log = disk.log
    (term, vote) = (disk.term, disk.vote)
    (committed, applied, stored) = (disk.log.base, disk.log.base, disk.log.last)
    random = SimRandom(seed: seed)
    self.now = now
    defer { resetElection() }
    if log.base > 0 { outputs.append(.restore(log.base, log.snapshot)) }
    if !members.isEmpty { outputs.append(.members(members)) }
  }

  var members: [LogMember] { log.members.1 }
  var voters: [NodeID] { members.filter { $0.role == .voter }.map(\.id) }
  var isVoter: Bool { voters.contains(id) }

  func isMajority(_ nodes: Set<NodeID>) -> Bool {
    let voters = voters
    return 2 * voters.count { nodes.contains($0) } > voters.count
  }

  func resetElection() {
    electionAt = now + Self.election + UInt64(random.below(Int(Self.election)))
  }

  func send(_ message: SimLogMessage, to node: NodeID) { outputs.append(.send(node, message)) }

  // MARK: Time

  func tick(now time: UInt64) {
    now = time
    if role == .leader {
      let heard = Set(
        voters.filter { $0 == id || now < (answeredAt[$0] ?? 0) + 2 * Self.election })
      if !isMajority(heard) { return stepDown(to: term) }
      if let (_, token, _, until) = promotion, now >= until {
        promotion = nil
        outputs.append(.outcome(token, .busy))
      }
      if now >= beatAt {
        beatAt = now + Self.beat
        for member in members where member.id != id && member.role != .spare {
          replicate(member.id)
        }
      }
    } else if now >= electionAt, isVoter {
      campaign(isTrial: true)
    }
  }

  func campaign(isTrial: Bool, isForced: Bool = false) {
    role = isTrial ? .trial : .candidate
    setLeader(nil)
    if !isTrial { (term, vote) = (term + 1, id) }
    votes = [id]
    resetElection()
    for voter in voters where voter != id {
      send(
        .ask(
          term: isTrial ? term + 1 : term, last: log.last, lastTerm: log.lastTerm,
          isTrial: isTrial, isForced: isForced), to: voter)
    }
    countVotes()
  }

  private func countVotes() {
    guard isMajority(votes) else { return }
    if role == .trial { return campaign(isTrial: false) }
    guard role == .candidate else { return }
    role = .leader
    (matches, nexts, answeredAt) = ([:], [:], [:])
    for voter in voters { answeredAt[voter] = now }
    isAnnounced = false
    append(.barrier)
    barrier = log.last
    beatAt = now
    tick(now: now)
  }

  func stepDown(to term: UInt64) {
    if term > self.term { (self.term, vote) = (term, nil) }
    let wasLeader = role == .leader
    role = .follower
    resetElection()
    if wasLeader {
      for entry in waiting { outputs.append(.outcome(entry.token, .unknown)) }
      waiting = []
      if let promotion { outputs.append(.outcome(promotion.token, .unknown)) }
      promotion = nil
    }
    setLeader(nil)
  }

  func setLeader(_ node: NodeID?) {
    guard leader != node || isAnnounced else { return }
    leader = node
    isAnnounced = false
    outputs.append(.leader(node, Term(rawValue: term), isSelf: false))
  }

  // MARK: Votes

  func received(_ message: SimLogMessage, from node: NodeID, now time: UInt64) {
    now = time
    switch message {
    case .ask(let term, let last, let lastTerm, let isTrial, let isForced):
      asked(node, term, last, lastTerm, isTrial, isForced)
    case .vote(let term, let isGranted, let isTrial):
      if term > self.term && !(isTrial && isGranted) { return stepDown(to: term) }
      let isMine = isTrial ? role == .trial && term == self.term + 1 : role == .candidate
      guard isMine, isGranted, isTrial || term == self.term else { return }
      votes.insert(node)
      countVotes()
    case .append(let term, let previous, let previousTerm, let entries, let committed):
      guard follow(node, term) else {
        return send(.stored(term: self.term, match: 0, isAccepted: false), to: node)
      }
      appended(node, previous, previousTerm, entries, committed)
    case .stored(let term, let match, let isAccepted):
      if term > self.term { return stepDown(to: term) }
      if role == .leader, term == self.term { answered(node, match, isAccepted) }
    case .install(let term, let store):
      if follow(node, term) { install(node, store) }
    case .leadNow(let term):
      if term == self.term, isVoter, role == .follower { campaign(isTrial: false, isForced: true) }
    }
  }

  private func asked(
    _ node: NodeID, _ term: UInt64, _ last: UInt64, _ lastTerm: UInt64, _ isTrial: Bool,
    _ isForced: Bool
  ) {
    // Who hears a leader helps nobody to overthrow it.
    let isContent = role == .leader || leader != nil && now < heardAt + Self.election
    let isLoyal = !isForced && isContent
    if term > self.term, !isTrial, !isLoyal { stepDown(to: term) }
    let isUpToDate = (lastTerm, last) >= (log.lastTerm, log.last)
    var isGranted = isUpToDate && !isLoyal
    if isTrial {
      isGranted = isGranted && term > self.term
    } else {
      isGranted = isGranted && term == self.term && (vote == nil || vote == node)
      if isGranted {
        vote = node
        resetElection()
      }
    }
    send(
      .vote(term: isGranted ? term : self.term, isGranted: isGranted, isTrial: isTrial), to: node)
  }

  /// False when it is no leader's of now.
  private func follow(_ node: NodeID, _ term: UInt64) -> Bool {
    guard term >= self.term else { return false }
    if term > self.term || role != .follower { stepDown(to: term) }
    heardAt = now
    resetElection()
    setLeader(node)
    return true
  }
}
