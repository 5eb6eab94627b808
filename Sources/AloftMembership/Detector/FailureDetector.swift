/// What a detector finds.
package enum DetectorVerdict: Hashable, Sendable {
  /// Its link was closed: find out whether anybody listens there still.
  case probe(NodeID)
  /// It is silent.
  case suspect(NodeID)
  /// Ask the others whether they hear it, once more if they were asked before.
  case ask(NodeID)
  /// It was heard of again.
  case clear(NodeID)
  /// It's dead, as far as can be known from here.
  case convict(NodeID)
}

/// Tells the dead from the slow, one detector a node, over all its peers.
///
/// Two ways lead to a verdict. A link that is closed and a listener that refuses mean that the
/// process is gone: that takes as long as a system call. Silence means nothing by itself, so it
/// takes a time without any heartbeat, then the others' opinion. Who was late himself holds no
/// silence of that time against anybody.
package struct FailureDetector: Sendable {
  private enum Phase {
    case fine
    case suspected(since: UInt64)
    case convicted
  }

  private struct Peer {
    var id: NodeID
    var incarnation: Incarnation
    /// When it was last heard of; ahead of the time for one that has just come.
    var heardAt: UInt64
    var isLinked = false
    /// The last link was closed and no other stands yet.
    var isClosed = false
    var phase = Phase.fine
    /// Who has been asked, and what those who answered said.
    var asked = 0
    var askedAt: UInt64 = 0
    var silentOpinions = 0
    var heardOpinions = 0
  }

  private let options: DetectorOptions
  private var peers: [Peer] = []
  private var verdicts: [DetectorVerdict] = []

  package init(_ options: DetectorOptions) { self.options = options }

  package mutating func takeVerdicts() -> [DetectorVerdict] {
    defer { verdicts.removeAll(keepingCapacity: true) }
    return verdicts
  }

  package var hasVerdicts: Bool { !verdicts.isEmpty }

  // MARK: Who is watched

  package mutating func watch(_ id: NodeID, _ incarnation: Incarnation, now: UInt64) {
    if let position = peers.firstIndex(where: { $0.id == id }) {
      guard peers[position].incarnation < incarnation else { return }
      peers.remove(at: position)
    }
    let grace = options.arrivalMax - min(options.arrivalMax, options.suspectAfter)
    peers.append(Peer(id: id, incarnation: incarnation, heardAt: now + grace))
  }

  package mutating func unwatch(_ id: NodeID) { peers.removeAll { $0.id == id } }

  package mutating func unwatchAll() {
    peers = []
    verdicts = []
  }

  package func watches(_ id: NodeID, _ incarnation: Incarnation) -> Bool {
    peers.contains { $0.id == id && $0.incarnation == incarnation }
  }

  package func isSuspected(_ id: NodeID) -> Bool {
    guard let peer = peers.first(where: { $0.id == id }) else { return false }
    if case .fine = peer.phase { return false }
    return true
  }

  package func isConvicted(_ id: NodeID) -> Bool {
    guard let peer = peers.first(where: { $0.id == id }) else { return false }
    if case .convicted = peer.phase { return true }
    return false
  }

  /// Whether this node, asked by another, has heard of it lately.
  package func hears(_ incarnation: Incarnation, now: UInt64) -> Bool {
    guard let peer = peers.first(where: { $0.incarnation == incarnation }) else { return false }
    if case .convicted = peer.phase { return false }
    return now < peer.heardAt + options.suspectAfter && !(peer.isClosed && !peer.isLinked)
  }

  // MARK: What happens

  package mutating func linkUp(_ id: NodeID, _ incarnation: Incarnation, now: UInt64) {
    change(id, incarnation) { peer, _ in
      peer.isLinked = true
      peer.isClosed = false
    }
    heard(id, incarnation, now: now)
  }

  package mutating func linkDown(_ id: NodeID, _ incarnation: Incarnation) {
    change(id, incarnation) { peer, verdicts in
      peer.isLinked = false
      peer.isClosed = true
      if case .convicted = peer.phase { return }
      verdicts.append(.probe(id))
    }
  }

  package mutating func probed(_ id: NodeID, _ incarnation: Incarnation, _ result: ProbeResult) {
    change(id, incarnation) { peer, verdicts in
      guard peer.isClosed, result == .refused else { return }
      if case .convicted = peer.phase { return }
      peer.phase = .convicted
      verdicts.append(.convict(id))
    }
  }

  package mutating func heard(_ id: NodeID, _ incarnation: Incarnation, now: UInt64) {
    change(id, incarnation) { peer, verdicts in
      peer.heardAt = max(peer.heardAt, now)
      if case .fine = peer.phase { return }
      peer.phase = .fine
      verdicts.append(.clear(id))
    }
  }

  /// So many others have been asked about a suspect.
  package mutating func asked(_ count: Int, about id: NodeID) {
    guard let position = peers.firstIndex(where: { $0.id == id }) else { return }
    peers[position].asked = count
    peers[position].silentOpinions = 0
    peers[position].heardOpinions = 0
  }

  package mutating func opinion(about incarnation: Incarnation, isHeard: Bool, now: UInt64) {
    guard let position = peers.firstIndex(where: { $0.incarnation == incarnation }),
      case .suspected = peers[position].phase
    else { return }
    if isHeard {
      peers[position].heardOpinions += 1
    } else {
      peers[position].silentOpinions += 1
    }
    judge(position, now: now)
  }

  /// The loop was late by so much: what was not heard in that time was not listened for.
  package mutating func delayed(by delay: UInt64) {
    guard delay > options.interval else { return }
    for position in peers.indices {
      peers[position].heardAt += delay
      if case .suspected = peers[position].phase {
        peers[position].phase = .fine
        verdicts.append(.clear(peers[position].id))
      }
    }
  }

  package mutating func tick(now: UInt64) {
    for position in peers.indices {
      switch peers[position].phase {
      case .fine:
        guard now >= peers[position].heardAt + options.suspectAfter else { continue }
        peers[position].phase = .suspected(since: now)
        verdicts.append(.suspect(peers[position].id))
        ask(position, now: now)
      case .suspected: judge(position, now: now)
      case .convicted: continue
      }
    }
  }

  // MARK: Judging

  private mutating func ask(_ position: Int, now: UInt64) {
    asked(0, about: peers[position].id)
    peers[position].askedAt = now
    verdicts.append(.ask(peers[position].id))
  }

  private mutating func judge(_ position: Int, now: UInt64) {
    guard case .suspected(let since) = peers[position].phase else { return }
    let peer = peers[position]
    let waited = now - min(now, since)
    if peer.heardOpinions > 0 {
      // Somebody hears it, or did a moment ago. If that lasts, between here and there is a fault
      // that may pass.
      guard waited >= options.hearsayMax else {
        if now >= peers[position].askedAt + options.interval { ask(position, now: now) }
        return
      }
    } else {
      // All have answered, or time is up and half of them have: less, and this node is the one that
      // is cut off.
      let isComplete = peer.silentOpinions >= peer.asked
      let isEnough = 2 * peer.silentOpinions >= peer.asked
      guard isComplete && waited > 0 || isEnough && waited >= options.opinionWait else {
        // Questions or answers may have been lost.
        if now >= peers[position].askedAt + options.opinionWait { ask(position, now: now) }
        return
      }
    }
    peers[position].phase = .convicted
    verdicts.append(.convict(peer.id))
  }

  private mutating func change(
    _ id: NodeID, _ incarnation: Incarnation,
    _ body: (inout Peer, inout [DetectorVerdict]) -> Void
  ) {
    guard
      let position = peers.firstIndex(where: { $0.id == id && $0.incarnation == incarnation })
    else { return }
    body(&peers[position], &verdicts)
  }
}
