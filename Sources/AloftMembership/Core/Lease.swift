/// How long a node may go on accepting: as long as it can be sure that, not longer ago than one
/// lease, a majority followed the leader that it hears.
///
/// The leader numbers its beats. Each answer carries a stamp, the time on the clock of who answers.
/// A round that a majority of the voters has answered is backed; then whoever's stamp had come
/// before that round began is sent it back. The majority had not turned away when that stamp was
/// made, so the lease runs from it, on the clock that made it. However long a beat lay in a buffer,
/// of a node that was stopped, say, it grants nothing beyond that. (After Gray and Cheriton, 1989.)
struct Lease {
  /// Rounds that are remembered; one that is backed later than so many grants nothing.
  private static let length: UInt64 = 32

  private struct Follower {
    var incarnation: Incarnation
    var answered: UInt64 = 0
    var stamp: UInt64 = 0
    /// What the stamp was when each of the last rounds began, by round modulo their number.
    var stamps = Array(repeating: UInt64(0), count: Int(length))
  }

  /// Until when this node may accept.
  private(set) var until: UInt64 = 0
  /// When the next beat is due, on a leader.
  var beatAt: UInt64 = 0
  private(set) var round: UInt64 = 0
  private var backed: UInt64 = 0
  private var term = Term(rawValue: 0)
  private var followers: [NodeID: Follower] = [:]
  /// When each of the last rounds began, by round modulo their number.
  private var begun = Array(repeating: UInt64(0), count: Int(length))

  private static func place(_ round: UInt64) -> Int { Int(round % length) }

  // MARK: On a leader

  mutating func lead(now: UInt64) {
    (round, backed) = (0, 0)
    followers = [:]
    beatAt = now
  }

  /// The next round begins.
  mutating func begin(now: UInt64, next: UInt64) -> UInt64 {
    round += 1
    begun[Self.place(round)] = now
    for id in followers.keys {
      if let stamp = followers[id]?.stamp { followers[id]?.stamps[Self.place(round)] = stamp }
    }
    beatAt = next
    return round
  }

  mutating func answer(of sender: NodeIdentity, _ round: UInt64, stamp: UInt64) {
    guard round <= self.round else { return }
    var follower = followers[sender.id] ?? Follower(incarnation: sender.incarnation)
    // Another life has another clock.
    if follower.incarnation != sender.incarnation {
      follower = Follower(incarnation: sender.incarnation)
    }
    follower.answered = max(follower.answered, round)
    follower.stamp = max(follower.stamp, stamp)
    followers[sender.id] = follower
  }

  /// True when more rounds are backed than before.
  mutating func count(voters: [NodeID], selfID: NodeID, lease: UInt64) -> Bool {
    var reached = voters.map { $0 == selfID ? round : followers[$0]?.answered ?? 0 }
    guard !reached.isEmpty else { return false }
    reached.sort(by: >)
    // The round that more than half have reached.
    let majority = reached[reached.count / 2]
    guard majority > backed else { return false }
    backed = majority
    if round - backed < Self.length { until = max(until, begun[Self.place(backed)] + lease) }
    return true
  }

  /// What is sent back to this life of a node.
  func echo(to id: NodeID, _ incarnation: Incarnation) -> UInt64 {
    guard let follower = followers[id], follower.incarnation == incarnation, backed > 0,
      round - backed < Self.length
    else { return 0 }
    return follower.stamps[Self.place(backed)]
  }

  /// Whether a node, in whatever life, has answered one of the last rounds.
  func answers(_ id: NodeID, within rounds: UInt64) -> Bool {
    guard let follower = followers[id], follower.answered > 0 else { return false }
    return follower.answered + rounds > round
  }

  /// It was convicted: what it answered before says nothing of it now.
  mutating func forget(_ id: NodeID) { followers[id] = nil }

  // MARK: On the others

  /// False when it is a former leader's.
  mutating func beat(_ term: Term, echo: UInt64, lease: UInt64) -> Bool {
    guard term >= self.term else { return false }
    self.term = term
    if echo > 0 { until = max(until, echo + lease) }
    return true
  }

  /// What was granted to a life that is over holds for no other.
  mutating func end() { until = 0 }
}
