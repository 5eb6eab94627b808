import AloftCluster
import AloftEngine
import AloftMembership
import CAloftRaft
import Glibc
import Testing

/// What libraft 0.15 gets wrong, one by one, and what guards against it. docs/RAFT.md has the list.
@Suite(.serialized) struct RaftFaultTests {
  @Test(
    "(c, f) The first failed write ends a member with a reason; the others go on; it can return",
    arguments: [
      ALOFT__RAFT_FAIL_APPEND, ALOFT__RAFT_REJECT_APPEND, ALOFT__RAFT_FAIL_SNAPSHOT,
    ])
  func failedWrite(fault: Int) throws {
    let world = try RaftWorld()
    try world.form(3) { $0.snapshotEntries = 50 }
    var acknowledged: [[UInt8]] = []
    let victim = try #require(try world.on { world.leader })
    try world.on { aloft__raft_inject(victim.log!.shim!, Int32(fault), 3) }
    for number in 0..<300 where try world.on({ victim.ended }) == nil {
      let entry = Array("before \(number)".utf8)
      if try world.outcome(of: victim, { $0.propose(entry, token: $1) })?.isCommitted == true {
        acknowledged.append(entry)
      }
    }
    try #require(world.until { victim.ended != nil && victim.log == nil })
    let reason = try #require(try world.on { victim.ended })
    #expect(
      reason.contains(world.directory(victim.node)) && reason.contains("start the node again"))
    // The others elect one of theirs, and the member comes back with all that was acknowledged.
    try #require(world.until { world.leader != nil && world.leader !== victim })
    #expect(try world.outcome { $0.propose([1], token: $1) }?.isCommitted == true)
    try world.start(victim.node)
    try expectAgreement(world, acknowledged + [[1]])
    try world.finish()
  }

  @Test(
    "(c) A term or a vote that can't be written ends a member before anybody hears of it",
    arguments: [ALOFT__RAFT_FAIL_TERM, ALOFT__RAFT_FAIL_VOTE])
  func failedTerm(fault: Int) throws {
    let world = try RaftWorld()
    try world.form(3)
    let leader = try #require(try world.on { world.leader })
    let victim: UInt8 = leader.node == 1 ? 2 : 1
    try world.on { aloft__raft_inject(world.members[victim]!.log!.shim!, Int32(fault), 0) }
    try world.stop(leader.node)
    try #require(world.until { world.members[victim]!.ended != nil })
    #expect(try world.on { world.members[victim]!.ended }?.contains("the write of a") == true)
    try world.start(leader.node)
    try #require(world.until { world.leader != nil })
    try #require(world.until { world.members[victim]!.log == nil })
    try world.start(victim)
    try expectAgreement(world, [])
    try world.finish()
  }

  @Test("(b) A second leader of a term ends the member that hears of it")
  func secondLeader() throws {
    let world = try RaftWorld()
    try world.form(3)
    let leader = try #require(try world.on { world.leader })
    let follower = try #require(try world.on { world.members.values.first { $0 !== leader } })
    let stranger = 6 - leader.node - follower.node
    let term = try world.on { leader.term }
    let message = Wire.entries(term: term, previous: 0, previousTerm: 0, commit: 0, [])
    try world.on {
      message.withUnsafeBytes {
        follower.log?.receive(from: NodeID(rawValue: stranger), message: $0)
        leader.log?.receive(from: NodeID(rawValue: stranger), message: $0)
      }
    }
    try #require(world.until { follower.ended != nil && leader.ended != nil })
    for member in [leader, follower] {
      #expect(
        try world.on { member.ended }?.contains("both say that they lead term \(term)") == true)
    }
    try world.finish()
  }

  /// Ongaro's figure 3.7: a new leader sees an entry of a former term on a majority. It may still
  /// be lost, so it is not committed before an entry of the leader's own term is.
  @Test(
    "(a) Entries of a former term are not applied before the own term's entry is on disk",
    arguments: [true, false])
  func formerTerm(isGuarded: Bool) throws {
    let world = try RaftWorld()
    try world.form(3)
    let old = try #require(try world.on { world.leader })
    let others = [1, 2, 3].filter { $0 != old.node } as [UInt8]
    // One entry reaches the second member, and no answer ever comes back to the leader.
    try world.on {
      world.cut(old.node, others[1])
      world.cuts.insert([others[0], old.node])
      old.log?.propose(Array("former".utf8), token: 1_000)
    }
    try #require(world.until { old.outcomes[1_000] != nil })
    #expect(try world.on { old.outcomes[1_000] } == .unknown)
    try world.stop(old.node)
    // Whoever has the entry leads now; its disk is slow to take its own term's entry.
    let next = try #require(try world.on { world.members[others[0]] })
    try world.on {
      if !isGuarded {
        aloft__raft_remove_guards(next.log!.shim!, UInt32(ALOFT__RAFT_UNGUARDED_COMMIT))
      }
      aloft__raft_hold_appends(next.log!.shim!, true)
    }
    let applied = { next.applied.values.contains(Array("former".utf8)) }
    try #require(world.until { next.leader == next.node })
    if isGuarded {
      try #require(world.until { next.log!.statistics.resultsHeld > 3 })
      #expect(try !world.on(applied))
    } else {
      #expect(try world.until(applied), "the fault can't be shown any more")
    }
    #expect(try !world.on { next.isSelf })
    try world.on { aloft__raft_hold_appends(next.log!.shim!, false) }
    try #require(world.until { applied() && next.isSelf })
    try world.finish()
  }

  @Test("(b) A candidate claims what it has on disk, no more", arguments: [true, false])
  func claims(isGuarded: Bool) throws {
    let world = try RaftWorld()
    try world.form(3)
    let leader = try #require(try world.on { world.leader })
    let candidate = try #require(try world.on { world.members.values.first { $0 !== leader } })
    #expect(try world.outcome { log, token in log.barrier(token: token) }?.isCommitted == true)
    try #require(world.until { candidate.lastIndex <= leader.lastIndex })
    var claimed: Set<UInt64> = []
    try world.on {
      let shim = candidate.log!.shim!
      if !isGuarded { aloft__raft_remove_guards(shim, UInt32(ALOFT__RAFT_UNGUARDED_VOTE)) }
      aloft__raft_hold_appends(shim, true)
      world.filter = { from, _, message in
        if from == candidate.node, let vote = Wire.vote(message) { claimed.insert(vote) }
        return true
      }
    }
    let index = try world.outcome { $0.propose([5], token: $1) }
    guard case .committed(let last) = index else {
      Issue.record("not committed")
      return
    }
    // It has the entry in memory only. Then it hears nobody, and stands for election.
    try #require(world.until { leader.lastIndex >= last })
    try world.on { world.isolate(candidate.node) }
    try world.on { world.cuts = world.cuts.filter { $0[0] != candidate.node } }
    try #require(world.until { !claimed.isEmpty })
    if isGuarded {
      #expect(claimed.allSatisfy { $0 < last })
    } else {
      #expect(claimed.contains(last), "the fault can't be shown any more")
    }
    try world.on {
      aloft__raft_hold_appends(candidate.log!.shim!, false)
      world.heal()
    }
    try expectAgreement(world, [[5]])
    try world.finish()
  }

  /// The leader dies before the change is on its disk. Who got it would have no vote any more, and
  /// a longer log than those who have.
  @Test("(q) Who loses its vote hears of it when that is agreed on", arguments: [true, false])
  func demotion(isGuarded: Bool) throws {
    let world = try RaftWorld()
    try world.form(2)
    let leader = try #require(try world.on { world.leader })
    let other = try #require(try world.on { world.members.values.first { $0 !== leader } })
    var candidacies = 0
    try world.on {
      world.filter = { from, _, message in
        let isCandidate = from == leader.node && leader.ended == nil && Wire.vote(message) != nil
        if isCandidate { candidacies += 1 }
        world.noteChange()
        return true
      }
      let shim = leader.log!.shim!
      if !isGuarded { aloft__raft_remove_guards(shim, UInt32(ALOFT__RAFT_UNGUARDED_DEMOTION)) }
      aloft__raft_inject(shim, Int32(ALOFT__RAFT_FAIL_APPEND), 0)
    }
    // What is on its disk now is all that it will have.
    let kept = "\(world.root)/kept"
    copyTree(world.directory(leader.node), to: kept)
    try world.on {
      leader.log!.change(.assign(NodeID(rawValue: other.node), role: .standby), token: 7_000)
    }
    try #require(world.until { leader.ended != nil && leader.log == nil })
    removeTree(world.directory(leader.node))
    try #require(rename(kept, world.directory(leader.node)) == 0)
    try world.start(leader.node)
    try #require(world.until { world.leader != nil || candidacies >= 10 })
    if isGuarded {
      #expect(try world.outcome { $0.propose([1], token: $1) }?.isCommitted == true)
      try expectAgreement(world, [[1]])
    } else {
      #expect(try world.on { world.leader } == nil, "the fault can't be shown any more")
    }
    try world.finish()
  }

  @Test("(d) A change of members that is taken back is taken back whole, also after a snapshot")
  func rollback() throws {
    let world = try RaftWorld()
    try world.form(3) {
      $0.snapshotEntries = 20
      $0.trailingEntries = 1
    }
    for number in 0..<60 as Range<UInt8> {
      #expect(try world.outcome { $0.propose([number], token: $1) }?.isCommitted == true)
    }
    let old = try #require(try world.on { world.leader })
    try #require(world.until { world.members.values.allSatisfy { $0.snapshots > 0 } })
    // The leader appends a change that nobody else gets.
    try world.on {
      world.isolate(old.node)
      old.log?.change(.add(NodeID(rawValue: 9), role: .spare), token: 5_000)
    }
    try #require(world.until { old.outcomes[5_000] != nil && !old.isSelf })
    try #require(world.until { world.leader != nil && world.leader !== old })
    #expect(try world.outcome { $0.propose([100], token: $1) }?.isCommitted == true)
    try world.on { world.heal() }
    try expectAgreement(world, [[100]])
    try world.on {
      #expect(old.configuration.map(\.id.rawValue) == [1, 2, 3])
      #expect(old.ended == nil)
    }
    #expect(try world.on { old.log?.statistics.rollbacks } == 1)
    // A change that counts voters by the right configuration.
    try world.start(4)
    #expect(
      try world.outcome { $0.change(.add(NodeID(rawValue: 4), role: .voter), token: $1) }?
        .isCommitted
        == true)
    try world.finish()
  }

  @Test("(d) The same when the change was read from disk after a restart")
  func rollbackAfterRestart() throws {
    let world = try RaftWorld()
    try world.form(3)
    #expect(try world.outcome { $0.propose([1], token: $1) }?.isCommitted == true)
    let old = try #require(try world.on { world.leader })
    try world.on {
      world.isolate(old.node)
      old.log?.change(.add(NodeID(rawValue: 9), role: .spare), token: 5_000)
    }
    try #require(world.until { old.outcomes[5_000] != nil })
    try world.stop(old.node)
    try #require(world.until { world.leader != nil })
    #expect(try world.outcome { $0.propose([100], token: $1) }?.isCommitted == true)
    try world.start(old.node)
    try world.on { world.heal() }
    try expectAgreement(world, [[1], [100]])
    #expect(try world.on { old.configuration.map(\.id.rawValue) } == [1, 2, 3])
    #expect(try world.on { old.log?.statistics.rollbacks } == 1)
    try world.finish()
  }

  @Test("A cut of the log that didn't reach the disk is found out by the write after it")
  func failedTruncation() throws {
    let world = try RaftWorld()
    try world.form(3)
    let old = try #require(try world.on { world.leader })
    try world.on {
      world.isolate(old.node)
      for token in 1_000..<1_020 as Range<UInt64> { old.log?.propose([9], token: token) }
      aloft__raft_inject(old.log!.shim!, Int32(ALOFT__RAFT_FAIL_TRUNCATE), 0)
    }
    try #require(world.until { old.outcomes[1_019] != nil })
    try #require(world.until { world.leader != nil })
    #expect(try world.outcome { $0.propose([100], token: $1) }?.isCommitted == true)
    try world.on { world.heal() }
    try #require(world.until { old.ended != nil })
    #expect(try world.on { old.ended }?.contains("cutting the log") == true)
    try world.finish()
  }

  @Test("Writes that a cut of the log finds under way say nothing of it")
  func truncationBehindWrites() throws {
    let world = try RaftWorld()
    try world.form(3)
    #expect(try world.outcome { $0.propose([1], token: $1) }?.isCommitted == true)
    let leader = try #require(try world.on { world.leader })
    let others = [1, 2, 3].filter { $0 != leader.node } as [UInt8]
    let (cut, other) = (try #require(world.members[others[0]]), others[1])
    try #require(world.until { cut.lastIndex == leader.lastIndex })
    // The third one keeps the first entry of the second one's.
    let second = leader.term + 2
    func send(_ term: UInt64, from node: UInt8, at place: UInt64, bytes: Int) {
      let entry = Wire.le(UInt64(bytes)) + Array(repeating: UInt8(term & 0xff), count: bytes)
      let message = Wire.entries(
        term: term, previous: cut.lastIndex + place,
        previousTerm: place == 0 ? leader.term : min(term, second), commit: 0,
        [(term, 1, entry)])
      message.withUnsafeBytes { cut.log?.receive(from: NodeID(rawValue: node), message: $0) }
    }
    nonisolated(unsafe) var answers = 0
    try world.on {
      world.filter = { [unowned world] from, to, _ in
        if from == cut.node { answers += 1 }
        world.noteChange()
        return from != cut.node && to != cut.node
      }
      for place in 0..<6 as Range<UInt64> {
        send(leader.term + 1, from: leader.node, at: place, bytes: 1 << 19)
      }
    }
    // Files of the log are closed with what is to be cut off in them.
    try #require(world.until { answers >= 6 })
    try world.on {
      // A leader's, and in the same moment that of the next ones, who have nothing of it.
      for place in 6..<9 as Range<UInt64> {
        send(leader.term + 1, from: leader.node, at: place, bytes: 1 << 19)
      }
      for place in 0..<3 as Range<UInt64> {
        send(leader.term + 2, from: other, at: place, bytes: 1 << 19)
      }
      send(leader.term + 3, from: leader.node, at: 1, bytes: 8)
    }
    try #require(world.until { cut.term > second || cut.ended != nil })
    // Waits for the writes.
    try world.stop(cut.node)
    #expect(try world.on { cut.ended } == nil)
    try world.start(cut.node)
    try #require(world.until { cut.term > second || cut.ended != nil })
    #expect(try world.on { cut.ended } == nil)
    try world.finish()
  }

  @Test("(e) Below the reserve entries are refused, and nothing breaks")
  func reserve() throws {
    let world = try RaftWorld()
    let one = try world.start(1, bootstraps: true) { $0.reserveBytes = 1 << 60 }
    try #require(world.until { one.isSelf })
    #expect(try world.outcome { $0.propose([1], token: $1) } == .busy)
    #expect(try world.on { one.log?.statistics.refusedForDisk } == 1)
    #expect(try world.outcome { log, token in log.barrier(token: token) }?.isCommitted == true)
    try world.stop(1)
    try world.start(1)
    try #require(world.until { one.isSelf })
    #expect(try world.outcome { $0.propose([1], token: $1) }?.isCommitted == true)
    try world.finish()
  }

  @Test("(e) On a disk that is full the member refuses or ends with a reason, and loses nothing")
  func fullDisk() throws {
    let world = try RaftWorld()
    let directory = world.directory(1)
    mkdir(directory, 0o700)
    guard mount("tmpfs", directory, "tmpfs", 0, "size=6m,mode=0700") == 0 else {
      // Only root may mount; the reserve's own test has run.
      return try world.finish()
    }
    defer { umount2(directory, Int32(MNT_DETACH)) }
    let small: (inout RaftLogOptions) -> Void = {
      $0.segmentBytes = 256 << 10
      $0.reserveBytes = 1 << 20
      $0.snapshotEntries = 1 << 20
      $0.snapshotLogBytes = 1 << 40
    }
    let one = try world.start(1, bootstraps: true, small)
    try #require(world.until { one.isSelf })
    var acknowledged = 0
    var last: LogOutcome?
    let entry = [UInt8](repeating: 1, count: 60_000)
    for _ in 0..<200 {
      last = try world.outcome(of: one) { $0.propose(entry, token: $1) }
      guard last?.isCommitted == true else { break }
      acknowledged += 1
    }
    #expect(last == .busy)
    #expect(acknowledged > 20)
    #expect(try world.on { one.ended } == nil)
    try world.stop(1)
    try world.start(1, small)
    try #require(world.until { one.isSelf || one.ended != nil })
    #expect(try world.on { one.applied.count } == acknowledged)
    try world.finish()
  }
}

/// Messages as the shim writes them, made by hand.
enum Wire {
  static func entries(
    term: UInt64, previous: UInt64, previousTerm: UInt64, commit: UInt64,
    _ entries: [(term: UInt64, type: UInt64, bytes: [UInt8])]
  ) -> [UInt8] {
    var bytes: [UInt8] = [1, 1, 0, 0, 0, 0, 0, 0]
    for word in [term, previous, previousTerm, commit, UInt64(entries.count)] { bytes += le(word) }
    for entry in entries {
      bytes += le(entry.term)
      bytes += le(UInt64(entry.bytes.count) | entry.type << 32)
    }
    for entry in entries { bytes += entry.bytes }
    return bytes
  }

  /// The last index that a candidate claims.
  static func vote(_ message: [UInt8]) -> UInt64? {
    guard message.count >= 32, message[1] == 3 else { return nil }
    return message.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 24, as: UInt64.self) }
  }

  static func le(_ word: UInt64) -> [UInt8] {
    withUnsafeBytes(of: word.littleEndian) { Array($0) }
  }
}
