import AloftCluster
import AloftEngine
import AloftMembership
import Glibc
import Testing

/// A log of one member and of three, on real disks, with messages that never leave the process.
@Suite(.serialized) struct RaftLogTests {
  @Test("A node alone commits in order, and has all of it again after a restart")
  func alone() throws {
    let world = try RaftWorld()
    let one = try world.start(1, bootstraps: true)
    try #require(world.until { one.isSelf })
    try world.on {
      for token in 1...2_000 {
        one.log?.propose(Array("entry \(token)".utf8), token: UInt64(token))
      }
    }
    try #require(world.until { one.outcomes.count == 2_000 })
    let before = try world.on { one.applied }
    try world.on {
      #expect(one.outcomes.values.allSatisfy { $0.isCommitted })
      #expect(one.outcomeOrder == (1...2_000).map(UInt64.init))
      #expect(one.configuration == [LogMember(id: NodeID(rawValue: 1), role: .voter)])
      #expect(one.served.count == 1)
    }
    try world.stop(1)
    try world.start(1)
    try #require(world.until { one.isSelf })
    try world.on {
      #expect(one.applied == before)
      #expect(one.complaints == [])
    }
    try world.finish()
  }

  @Test("Entries are written without the kernel's AIO, for which a dying process's sockets wait")
  func withoutContexts() throws {
    let world = try RaftWorld()
    let one = try world.start(1, bootstraps: true)
    try #require(world.until { one.isSelf })
    #expect(try world.outcome { $0.propose([1], token: $1) }?.isCommitted == true)
    #expect(try !hasContexts())
    // What is looked for would be seen: io_setup and io_destroy, by their numbers.
    typealias Call = @convention(c) (Int, Int, UnsafeMutablePointer<Int>?) -> Int
    let call = unsafeBitCast(try #require(dlsym(nil, "syscall")), to: Call.self)
    #if arch(x86_64)
      let (setup, destroy) = (206, 207)
    #else
      let (setup, destroy) = (0, 1)
    #endif
    var context = 0
    try #require(call(setup, 1, &context) == 0)
    #expect(try hasContexts())
    _ = call(destroy, context, nil)
    try world.finish()
  }

  /// An AIO context of this process is a mapping of its memory.
  private func hasContexts() throws -> Bool {
    let file = try #require(fopen("/proc/self/maps", "r"))
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 4_096)
    var isFound = false
    while fgets(&line, Int32(line.count), file) != nil {
      if strstr(line, "[aio]") != nil { isFound = true }
    }
    return isFound
  }

  @Test("Nothing that a member lacks waits for a heartbeat: entries, or that they are committed")
  func prompt() throws {
    let world = try RaftWorld()
    let slow = { (options: inout RaftLogOptions) in
      options.timing = RaftTiming(electionMilliseconds: 120_000, heartbeatMilliseconds: 60_000)
    }
    try world.form(3, slow)
    #expect(try world.outcome { $0.propose([1, 2], token: $1) }?.isCommitted == true)
    try #require(
      world.until {
        (1...3).allSatisfy { world.members[$0]?.applied.values.contains([1, 2]) == true }
      })
    // One that comes later than what was sent to it.
    let leader = try #require(try world.on { world.leader })
    nonisolated(unsafe) var hasSent = false
    try world.on {
      world.filter = { [unowned world] _, to, _ in
        hasSent = hasSent || to == 4
        world.noteChange()
        return true
      }
      leader.log?.change(.add(NodeID(rawValue: 4), role: .standby), token: 1_000)
    }
    try #require(world.until { hasSent })
    try world.start(4, slow)
    try world.on { leader.log?.reach(NodeID(rawValue: 4)) }
    try #require(world.until { world.members[4]?.applied.values.contains([1, 2]) == true })
    try world.finish()
  }

  @Test("Entries of any length come back as they were", arguments: [0, 1, 7, 8, 9, 4_096, 1 << 20])
  func lengths(length: Int) throws {
    let world = try RaftWorld()
    let one = try world.start(1, bootstraps: true)
    try #require(world.until { one.isSelf })
    let entry = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    #expect(try world.outcome { $0.propose(entry, token: $1) }?.isCommitted == true)
    #expect(try world.on { one.applied.values.contains(entry) })
    try world.finish()
  }

  @Test("Three members agree; a leader that stops is replaced, and has all when it is back")
  func three() throws {
    let world = try RaftWorld()
    try world.form(3)
    var acknowledged: [[UInt8]] = []
    for round in 0..<3 {
      for number in 0..<50 {
        let entry = Array("round \(round) entry \(number)".utf8)
        if try world.outcome({ $0.propose(entry, token: $1) })?.isCommitted == true {
          acknowledged.append(entry)
        }
      }
      let old = try #require(try world.on { world.leader?.node })
      try world.stop(old)
      try #require(world.until { world.leader != nil })
      try world.start(old)
    }
    #expect(acknowledged.count >= 140)
    try expectAgreement(world, acknowledged)
    try world.finish()
  }

  @Test(
    "Nothing acknowledged is lost on links that lose, double and delay, as members come and go",
    arguments: [1, 2, 3, 4, 5] as [UInt64])
  func lossy(seed: UInt64) throws {
    let world = try RaftWorld(seed: seed)
    try world.form(3) {
      $0.timing = .fast
      $0.snapshotEntries = 64
      $0.trailingEntries = 16
    }
    try world.on {
      world.lossPercent = 5
      world.doublePercent = 5
      world.delayTurns = 3
    }
    var acknowledged: [[UInt8]] = []
    for round in 0..<12 {
      for number in 0..<20 {
        let entry = Array("\(seed) \(round) \(number)".utf8)
        if try world.outcome({ $0.propose(entry, token: $1) })?.isCommitted == true {
          acknowledged.append(entry)
        }
      }
      let victim = try world.on { UInt8.random(in: 1...3, using: &world.random) }
      switch round % 3 {
      case 0:
        try world.stop(victim)
        try world.start(victim) {
          $0.timing = .fast
          $0.snapshotEntries = 64
          $0.trailingEntries = 16
        }
      case 1: try world.on { world.isolate(victim) }
      default: try world.on { world.heal() }
      }
      try #require(world.until { world.leader != nil })
    }
    try world.on {
      world.heal()
      world.lossPercent = 0
    }
    #expect(acknowledged.count > 100)
    try expectAgreement(world, acknowledged)
    try world.finish()
  }

  @Test("A member that joins late gets a snapshot, in parts, and what came after it")
  func snapshot() throws {
    let world = try RaftWorld()
    let one = try world.start(1, bootstraps: true) {
      $0.snapshotEntries = 100
      $0.trailingEntries = 10
    }
    try #require(world.until { one.isSelf })
    let entry = [UInt8](repeating: 7, count: 20_000)
    for number in 0..<250 {
      try #require(
        world.outcome { $0.propose(entry + [UInt8(number)], token: $1) }?.isCommitted == true)
    }
    try #require(world.until { one.snapshots >= 2 })
    try world.on { world.lossPercent = 5 }
    let two = try world.start(2)
    #expect(
      try world.outcome { $0.change(.add(two.id, role: .voter), token: $1) }?.isCommitted == true)
    // What is committed comes with the next heartbeat.
    try #require(world.until { two.configuration.map(\.role) == [.voter, .voter] })
    try #require(world.until { two.lastIndex == one.lastIndex })
    try world.on {
      #expect(two.restores.count >= 1)
      #expect(two.applied == one.applied)
    }
    // It is on its own disk by now: a restart begins with it.
    try world.stop(2)
    try world.on { two.restores = [] }
    try world.start(2)
    try #require(world.until { two.lastIndex == one.lastIndex })
    try world.on {
      #expect(two.restores.count == 1)
      #expect(two.applied == one.applied)
    }
    try world.finish()
  }

  @Test("Members come, change their roles and go")
  func members() throws {
    let world = try RaftWorld()
    try world.form(1)
    let two = try world.start(2)
    let three = try world.start(3)
    let roles: () throws -> [LogRole]? = {
      try world.on { world.leader?.configuration.map(\.role) }
    }
    #expect(
      try world.outcome { $0.change(.add(two.id, role: .standby), token: $1) }?.isCommitted == true)
    #expect(try roles() == [.voter, .standby])
    // Again: it is so already.
    #expect(
      try world.outcome { $0.change(.add(two.id, role: .standby), token: $1) }?.isCommitted == true)
    #expect(
      try world.outcome { $0.change(.add(three.id, role: .spare), token: $1) }?.isCommitted == true)
    #expect(
      try world.outcome { $0.change(.assign(two.id, role: .voter), token: $1) }?.isCommitted == true
    )
    #expect(
      try world.outcome { $0.change(.assign(three.id, role: .voter), token: $1) }?.isCommitted
        == true)
    #expect(try roles() == [.voter, .voter, .voter])
    #expect(
      try world.outcome { $0.change(.assign(NodeID(rawValue: 9), role: .voter), token: $1) }?
        .isFailed
        == true)
    #expect(try world.outcome { $0.change(.remove(three.id), token: $1) }?.isCommitted == true)
    #expect(try world.outcome { $0.change(.remove(three.id), token: $1) }?.isCommitted == true)
    #expect(try roles() == [.voter, .voter])
    try world.finish()
  }

  @Test("A member that goes while it gets its vote holds no other change up")
  func promotion() throws {
    let world = try RaftWorld()
    try world.form(3) { $0.timing = .fast }
    let four = try world.start(4) { $0.timing = .fast }
    #expect(
      try world.outcome { $0.change(.add(four.id, role: .standby), token: $1) }?.isCommitted == true
    )
    try world.on { world.isolate(4) }
    // What it lacks, it would have to get first.
    #expect(try world.outcome { $0.propose([1], token: $1) }?.isCommitted == true)
    #expect(
      try world.outcome(seconds: 5) { $0.change(.assign(four.id, role: .voter), token: $1) }
        == .busy)
    #expect(
      try world.outcome(seconds: 5) {
        $0.change(.add(NodeID(rawValue: 5), role: .standby), token: $1)
      }?.isCommitted == true)
    #expect(
      try world.on { world.leader?.configuration.map(\.role) }
        == [.voter, .voter, .voter, .standby, .standby])
    // Once it is back, it gets it.
    try world.on { world.heal() }
    try #require(world.until { four.lastIndex == world.leader?.lastIndex })
    #expect(
      try world.outcome { $0.change(.assign(four.id, role: .voter), token: $1) }?.isCommitted
        == true)
    try world.finish()
  }

  @Test("Of two changes at a time the second is told busy")
  func oneChange() throws {
    let world = try RaftWorld()
    let one = try world.start(1, bootstraps: true)
    try #require(world.until { one.isSelf })
    try world.on {
      one.log?.change(.add(NodeID(rawValue: 2), role: .spare), token: 100)
      one.log?.change(.add(NodeID(rawValue: 3), role: .spare), token: 101)
    }
    try #require(world.until { one.outcomes.count == 2 })
    try world.on {
      #expect(one.outcomes[100]?.isCommitted == true)
      #expect(one.outcomes[101] == .busy)
    }
    try world.finish()
  }

  @Test("Leadership goes where it is sent, and a barrier holds for who leads only")
  func transfer() throws {
    let world = try RaftWorld()
    try world.form(3)
    #expect(try world.outcome { log, token in log.barrier(token: token) }?.isCommitted == true)
    let old = try #require(try world.on { world.leader })
    let other: UInt8 = old.node == 1 ? 2 : 1
    // A leader asked to go gives it up when the other isn't level with it within an election's
    // time, as may be on a machine that stalls: whoever leads by then is asked again.
    var went = false
    for _ in 0..<15 where !went {
      try world.on { world.leader?.log?.transferLeadership(to: NodeID(rawValue: other)) }
      went = try world.until(seconds: 2) { world.leader?.node == other }
    }
    try #require(went)
    try #require(world.until { old.leader == other })
    let outcome = try world.outcome(of: old) { log, token in log.barrier(token: token) }
    #expect(outcome == .notLeader(leader: NodeID(rawValue: other)))
    try world.finish()
  }

  @Test("Where a leader is known to be dead, nobody waits for its silence")
  func deadLeader() throws {
    let world = try RaftWorld()
    try world.form(3) {
      $0.timing = RaftTiming(electionMilliseconds: 120_000, heartbeatMilliseconds: 30)
    }
    #expect(try world.outcome { $0.propose([1], token: $1) }?.isCommitted == true)
    let old = try #require(try world.on { world.leader }).node
    try world.stop(old)
    // Who isn't the leader is no loss.
    let others = ([1, 2, 3] as [UInt8]).filter { $0 != old }
    try world.on {
      for node in others { world.members[node]?.log?.isGone(NodeID(rawValue: 9)) }
      for node in others { world.members[node]?.log?.isGone(NodeID(rawValue: old)) }
    }
    try #require(world.until { world.leader.map { $0.node != old } ?? false })
    #expect(try world.outcome { $0.propose([2], token: $1) }?.isCommitted == true)
    try world.finish()
  }

  @Test("A leader cut off stops serving; what it had taken is unknown, and may not be lost twice")
  func cutOff() throws {
    let world = try RaftWorld()
    try world.form(3)
    let old = try #require(try world.on { world.leader })
    try world.on {
      world.isolate(old.node)
      for token in 1_000..<1_010 as Range<UInt64> { old.log?.propose([1], token: token) }
    }
    try #require(world.until { !old.isSelf && old.outcomes[1_009] != nil })
    try world.on {
      for token in 1_000..<1_010 as Range<UInt64> { #expect(old.outcomes[token] == .unknown) }
    }
    try #require(world.until { world.leader != nil })
    try world.on { world.heal() }
    #expect(try world.outcome { $0.propose([2], token: $1) }?.isCommitted == true)
    try expectAgreement(world, [[2]])
    try world.finish()
  }
}

extension RaftMember {
  var id: NodeID { NodeID(rawValue: node) }
}

/// All members end with the same entries, those among them.
func expectAgreement(_ world: RaftWorld, _ acknowledged: [[UInt8]]) throws {
  try #require(world.until { world.leader != nil })
  try #require(world.outcome { log, token in log.barrier(token: token) } != nil)
  try #require(
    world.until {
      let last = world.members.values.map(\.lastIndex)
      return world.leader != nil && last.max() == last.min()
    })
  try world.on {
    let states = world.members.values.map(\.applied)
    #expect(states.allSatisfy { $0 == states[0] })
    let present = Set(states[0].values)
    #expect(acknowledged.allSatisfy(present.contains))
    for member in world.members.values { #expect(member.complaints == []) }
  }
}
