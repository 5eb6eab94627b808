/// How long a node may go on accepting: as long as it can be sure that a majority followed, not
/// longer ago than one lease, the leader that it hears.
///
/// The leader numbers its beats. A round that a majority of the voters has answered is backed; the
/// next beat says so. Whoever got that round knows that, when it came, the majority had not yet turned
/// away; so the lease runs from when it came. (Gray and Cheriton, 1989.)
struct Lease {
  private static let length: UInt64 = 64

  /// Until when this node may accept.
  private(set) var until: UInt64 = 0
  /// When the next beat is due, on a leader.
  var beatAt: UInt64 = 0
  private(set) var round: UInt64 = 0
  private(set) var backed: UInt64 = 0
  private var term = Term(rawValue: 0)
  /// When each of the last rounds was sent, or came; by round modulo their number.
  private var times = Array(repeating: UInt64(0), count: Int(length))
  private var rounds = Array(repeating: UInt64(0), count: Int(length))
  /// The last round that each node has answered.
  private var answered: [NodeID: UInt64] = [:]

  private mutating func clear() {
    (round, backed) = (0, 0)
    rounds = Array(repeating: 0, count: Int(Self.length))
    answered = [:]
  }

  private mutating func note(_ round: UInt64, at time: UInt64) {
    times[Int(round % Self.length)] = time
    rounds[Int(round % Self.length)] = round
  }

  private mutating func extend(by lease: UInt64) {
    let place = Int(backed % Self.length)
    if rounds[place] == backed { until = max(until, times[place] + lease) }
  }

  // MARK: On a leader

  mutating func lead(now: UInt64) {
    clear()
    beatAt = now
  }

  /// The next round begins.
  mutating func begin(now: UInt64, next: UInt64) -> UInt64 {
    round += 1
    note(round, at: now)
    beatAt = next
    return round
  }

  /// True when it is the first round of this leader that a majority has answered.
  mutating func answer(
    of node: NodeID?, _ round: UInt64, voters: [NodeID], selfID: NodeID, lease: UInt64
  ) -> Bool {
    if let node, round <= self.round { answered[node] = max(answered[node] ?? 0, round) }
    var reached = voters.map { $0 == selfID ? self.round : answered[$0] ?? 0 }
    guard !reached.isEmpty else { return false }
    reached.sort(by: >)
    // The round that more than half have reached.
    let majority = reached[reached.count / 2]
    guard majority > backed else { return false }
    defer { backed = majority }
    extendLeader(majority, lease)
    return backed == 0
  }

  private mutating func extendLeader(_ majority: UInt64, _ lease: UInt64) {
    let place = Int(majority % Self.length)
    if rounds[place] == majority { until = max(until, times[place] + lease) }
  }

  // MARK: On the others

  /// False when it is a former leader's.
  mutating func beat(
    _ term: Term, _ round: UInt64, backed: UInt64, now: UInt64, lease: UInt64
  ) -> Bool {
    guard term >= self.term else { return false }
    if term > self.term {
      clear()
      self.term = term
    }
    if round > self.round {
      self.round = round
      note(round, at: now)
    }
    if backed > self.backed {
      self.backed = backed
      extend(by: lease)
    }
    return true
  }
}
