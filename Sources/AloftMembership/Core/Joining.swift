/// Where one who wants to be let in asks next.
struct Joining {
  let seeds: [String]
  private var cursor = 0
  private var leaderAddress: String?
  /// The leader that is known here was asked last. It may lead no more, so somebody else is next.
  var hasAskedLeader = false
  var askedAt: UInt64?
  /// Since when its name was taken whenever it asked.
  var takenSince: UInt64?
  /// It has asked to leave in this life of its process.
  var isLeaving = false
  /// On a leader: whose birth is to be answered where.
  var waiting: [UInt64: MessageSource] = [:]

  init(seeds: [String]) { self.seeds = seeds }

  var hasHint: Bool { leaderAddress != nil }

  /// The leader's address as somebody told it, once; else one after the other.
  mutating func nextAddress(_ known: [String]) -> String? {
    if let address = leaderAddress {
      leaderAddress = nil
      return address
    }
    let all = seeds + known
    guard !all.isEmpty else { return nil }
    cursor += 1
    return all[(cursor - 1) % all.count]
  }

  /// Somebody said who leads: that one is asked at once; or nobody knows, and all are asked in
  /// turn.
  mutating func redirect(to address: String) {
    guard !address.isEmpty else { return }
    leaderAddress = address
    askedAt = nil
  }
}
