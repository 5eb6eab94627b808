import AloftEngine
import AloftMembership
import AloftSession

extension LogEntryKind {
  /// The secret of the cluster's sessions: 16 bytes. The first one counts.
  static let secret: UInt8 = 3
}

/// From the owner to the log, and back.
extension ClusterSessions {
  /// Tokens of proposals that are the sessions': of other nodes' entries, of this node's, of a
  /// secret. The core's own count from 1.
  enum Token {
    static let isOurs: UInt64 = 1 << 63
    private static let isForwarded: UInt64 = 1 << 62
    static let secret: UInt64 = isOurs | 1 << 61

    static func own(_ sequence: UInt64) -> UInt64 { isOurs | sequence }
    static func forwarded(_ number: UInt64) -> UInt64 { isOurs | isForwarded | number }
    static func sequence(_ token: UInt64) -> UInt64 { token & (1 << 61 - 1) }
    static func isForwarded(_ token: UInt64) -> Bool { token & isForwarded != 0 }
  }

  /// An answer to an entry that isn't its verdict.
  enum EntryRefusal {
    static let notLeader: UInt8 = 2
    static let busy: UInt8 = 3
    static let unknown: UInt8 = 4
  }

  private static let entryTimeoutMs: UInt32 = 2_000

  /// Whatever has been gathered, as far as entries may be on their way.
  func sendEntries() {
    guard leader.id != nil || leader.isSelf, !isBlocked else { return }
    let now = ClusterNode.now()
    while !isBlocked, isWorthAnEntry, let entry = owner.takeEntry(now: now) {
      statistics.entries += 1
      onTheirWay += 1
      if leader.isSelf {
        propose(entry)
      } else if let id = leader.id {
        send(entry, to: id)
      }
    }
  }

  /// An entry costs all nodes something, however little is in it: so two are on their way at most
  /// unless there is much to be written. What comes meanwhile goes together.
  private var isWorthAnEntry: Bool {
    onTheirWay < Self.eagerEntries || owner.waitingBytes >= Self.worthwhileBytes
  }

  private static let eagerEntries = 2
  private static let worthwhileBytes = 64 << 10

  /// One entry fewer is on its way, of those that were sent under the present leader.
  private func returned(under leadership: UInt64) {
    if leadership == self.leadership, onTheirWay > 0 { onTheirWay -= 1 }
  }

  private func propose(_ entry: SessionEntry) {
    guard let log = node.log else {
      returned(under: leadership)
      return failed(entry.sequence)
    }
    log.propose(entry.bytes, token: Token.own(entry.sequence))
  }

  private func failed(_ sequence: UInt64) {
    statistics.entriesFailed += 1
    owner.entryFailed(sequence, now: ClusterNode.now())
  }

  /// To the leader, which answers with the verdict.
  private func send(_ entry: SessionEntry, to id: NodeID) {
    let leadership = self.leadership
    let sequence = entry.sequence
    let start = unsafe entry.bytes.withUnsafeBytes { bytes in
      unsafe node.links.call(
        to: id, stream: NodeStream.entries, kind: NodeKind.entry, bytes,
        timeout: Self.entryTimeoutMs
      ) { [self] outcome in
        guard !hasStopped else { return }
        returned(under: leadership)
        if case .reply(let bytes) = outcome,
          let verdict = try? SessionVerdict(bytes: unsafe Array(bytes))
        {
          owner.entryDone(sequence, verdict, now: ClusterNode.now())
        } else if leadership == self.leadership {
          failed(sequence)
        }
        due()
      }
    }
    switch start {
    case .started: return
    case .wouldBlock: isBlocked = true
    case .noLink, .tooLarge, .tooMany: break
    }
    returned(under: leadership)
    failed(sequence)
  }

  /// The link has room again, or is a new one.
  func writable(_ id: NodeID) {
    guard id == leader.id, isBlocked else { return }
    isBlocked = false
    due()
  }

  // MARK: As leader

  /// An entry of another node's, to be proposed.
  func entryCame(_ call: IncomingCall, _ entry: UnsafeRawBufferPointer) {
    guard leader.isSelf, let log = node.log, unsafe entry.first == LogEntryKind.session else {
      return refuse(call, EntryRefusal.notLeader)
    }
    forwardedMade += 1
    forwarded[forwardedMade] = call
    statistics.entriesForwarded += 1
    unsafe log.propose(entry, token: Token.forwarded(forwardedMade))
  }

  private func refuse(_ call: IncomingCall, _ code: UInt8) {
    _ = unsafe node.links.fail(call, code: code, UnsafeRawBufferPointer(start: nil, count: 0))
  }

  // MARK: From the log

  /// An entry of the sessions' own kinds.
  func apply(index: UInt64, _ entry: UnsafeRawBufferPointer) {
    if unsafe entry.first == LogEntryKind.session {
      lastVerdict = unsafe owner.apply(index: index, entry: entry, now: ClusterNode.now())
      due()
      return
    }
    owner.skip(to: index)
    if unsafe entry.first == LogEntryKind.secret, entry.count == 1 + SessionKeys.secretBytes,
      secret == nil
    {
      set(secret: unsafe Array(entry.dropFirst()))
    }
  }

  func proposed(_ token: UInt64, _ outcome: LogOutcome) {
    if token == Token.secret {
      isSecretProposed = secret != nil
      return
    }
    let number = Token.sequence(token)
    if Token.isForwarded(token) {
      guard let call = forwarded.removeValue(forKey: number) else { return }
      answer(call, outcome)
    } else {
      returned(under: leadership)
      // Of one that was committed, applying it has said all there is to say.
      if case .committed = outcome {} else { failed(number) }
    }
    due()
  }

  private func answer(_ call: IncomingCall, _ outcome: LogOutcome) {
    switch outcome {
    case .committed(let index):
      guard let verdict = lastVerdict, verdict.index == index else {
        return refuse(call, EntryRefusal.unknown)
      }
      _ = unsafe verdict.bytes.withUnsafeBytes { unsafe node.links.reply(to: call, $0) }
    case .notLeader: refuse(call, EntryRefusal.notLeader)
    case .busy: refuse(call, EntryRefusal.busy)
    case .unknown, .failed: refuse(call, EntryRefusal.unknown)
    }
  }

  // MARK: The secret

  /// A cluster's first leader chooses it.
  func proposeSecret() {
    guard secret == nil, !isSecretProposed, let log = node.log else { return }
    isSecretProposed = true
    var random = SystemRandomNumberGenerator()
    var entry = [LogEntryKind.secret]
    for _ in 0..<SessionKeys.secretBytes { entry.append(UInt8.random(in: 0...255, using: &random)) }
    log.propose(entry, token: Token.secret)
  }

  func set(secret bytes: [UInt8]) {
    secret = bytes
    keys = SessionKeys(secret: bytes)
    becameReady()
  }

  // MARK: Slots that change hands

  /// Tells the others which change of slots this node knows of: from then on it serves none that it
  /// lost by it, and who got some may begin.
  func announce() {
    for peer in node.links.linkedPeers where peer.id.rawValue != 0 { announce(to: peer) }
  }

  func announce(to peer: LinkPeer) {
    guard node.core.identity.incarnation.rawValue != 0 else { return }
    unsafe withUnsafeBytes(of: owner.epoch.rawValue.littleEndian) { bytes in
      _ = unsafe node.links.send(
        to: peer, stream: NodeStream.epochs, kind: NodeKind.epoch, bytes)
    }
  }

  func announced(_ peer: LinkPeer, _ message: UnsafeRawBufferPointer) {
    guard message.count == 8, peer.id.rawValue != 0 else { return }
    let epoch = unsafe UInt64(littleEndian: message.loadUnaligned(as: UInt64.self))
    owner.announced(
      by: peer.id, peer.incarnation, epoch: Epoch(rawValue: epoch), now: ClusterNode.now())
    slotsMoved()
  }
}
