internal import AloftMembership

/// An entry of a simulated log.
struct SimEntry: Hashable {
  enum Content: Hashable {
    /// A new leader's first: what is before it is committed with it.
    case barrier
    case command([UInt8])
    case members([LogMember])
  }

  var term: UInt64
  var content: Content
}

/// A log with what was cut off its front.
struct SimLogStore {
  var base: UInt64 = 0
  var baseTerm: UInt64 = 0
  var baseMembers: [LogMember] = []
  var snapshot: [UInt8] = []
  var entries: [SimEntry] = []

  var last: UInt64 { base + UInt64(entries.count) }

  func term(at index: UInt64) -> UInt64? {
    if index == base { return baseTerm }
    guard index > base, index <= last else { return nil }
    return entries[Int(index - base - 1)].term
  }

  subscript(index: UInt64) -> SimEntry { entries[Int(index - base - 1)] }

  var lastTerm: UInt64 { entries.last?.term ?? baseTerm }

  /// The latest configuration, committed or not, and where it stands.
  var members: (at: UInt64, [LogMember]) { members(upTo: last) }

  func members(upTo index: UInt64) -> (at: UInt64, [LogMember]) {
    var at = min(index, last)
    while at > base {
      if case .members(let members) = self[at].content { return (at, members) }
      at -= 1
    }
    return (base, baseMembers)
  }

  mutating func truncate(after index: UInt64) {
    if index < last { entries.removeLast(Int(last - max(index, base))) }
  }

  /// Forgets what is up to `index` for a snapshot of the state there.
  mutating func compact(to index: UInt64, snapshot: [UInt8]) {
    guard index > base, let term = term(at: index) else { return }
    baseMembers = members(upTo: index).1
    entries.removeFirst(Int(index - base))
    (base, baseTerm, self.snapshot) = (index, term, snapshot)
  }
}

/// What survives a crash of a simulated node.
struct SimDisk {
  var identity: NodeIdentity?
  var contacts: [Contact] = []
  var term: UInt64 = 0
  var vote: NodeID?
  var log = SimLogStore()
  var isFull = false
  /// For how long a write takes, in nanoseconds.
  var delay = 20_000...400_000
}

enum SimLogMessage {
  case ask(term: UInt64, last: UInt64, lastTerm: UInt64, isTrial: Bool, isForced: Bool)
  case vote(term: UInt64, isGranted: Bool, isTrial: Bool)
  case append(
    term: UInt64, previous: UInt64, previousTerm: UInt64, entries: ArraySlice<SimEntry>,
    committed: UInt64)
  /// `match`: stored up to there; or, refused, where to try.
  case stored(term: UInt64, match: UInt64, isAccepted: Bool)
  case install(term: UInt64, SimLogStore)
  case leadNow(term: UInt64)
}
