import Testing

@testable import AloftMembership

/// What one node makes of what it is told.
struct CoreStories {
  private static let one = NodeID(rawValue: 1)
  private static let two = NodeID(rawValue: 2)
  private static let ms: UInt64 = 1_000_000

  private static func drain(_ core: inout ClusterCore) -> [ClusterAction] {
    var actions: [ClusterAction] = []
    while let action = core.nextAction() { actions.append(action) }
    return actions
  }

  /// The founder of a cluster, alone and accepting.
  private static func founder() -> ClusterCore {
    var core = ClusterCore(
      description: MemberDescription(name: "n1", address: "1"), seed: 1, start: .found)
    core.handle(.started, now: 0)
    core.handle(.logMembers([LogMember(id: one, role: .voter)]), now: 1)
    core.handle(.leaderChanged(leader: one, term: Term(rawValue: 1), isSelf: true), now: 2)
    for case .propose(let entry, let token) in drain(&core) {
      core.handle(.applied(index: 2, entry: entry), now: 3)
      core.handle(.proposed(token: token, .committed(index: 2)), now: 3)
    }
    _ = drain(&core)
    return core
  }

  private static func envelope(
    _ core: ClusterCore, _ message: ClusterMessage, from id: NodeID, life: UInt64
  ) -> ClusterEvent {
    let sender = NodeIdentity(
      cluster: core.identity.cluster, id: id, incarnation: Incarnation(rawValue: life))
    return .received(
      from: .node(id), ClusterEnvelope(sender: sender, epoch: core.state.epoch, message: message))
  }

  private static func asks(_ actions: [ClusterAction]) -> Bool {
    actions.contains { action in
      switch action {
      case .send(_, let envelope), .sendTo(_, let envelope):
        if case .joinRequest = envelope.message { true } else { false }
      default: false
      }
    }
  }

  /// Another leads now, and this one follows it.
  private static func follower() -> ClusterCore {
    var core = founder()
    let admission = ClusterProposal(
      proposer: core.identity.incarnation, sequence: 99,
      command: .admit(
        MemberDescription(name: "n2", address: "2"), birth: 7, former: .none))
    core.handle(.applied(index: 3, entry: admission.bytes), now: 4)
    core.handle(
      .logMembers([one, two].map { LogMember(id: $0, role: .voter) }), now: 4)
    core.handle(.leaderChanged(leader: two, term: Term(rawValue: 2), isSelf: false), now: 5)
    _ = drain(&core)
    return core
  }

  @Test("Who is told that its life is over asks for another; of another's end it thinks nothing")
  func over() {
    var core = Self.follower()
    let life = core.identity.incarnation
    core.handle(
      Self.envelope(core, .over(Incarnation(rawValue: 77)), from: Self.two, life: 3), now: Self.ms)
    core.handle(.tick, now: 2 * Self.ms)
    #expect(!Self.asks(Self.drain(&core)))
    core.handle(Self.envelope(core, .over(life), from: Self.two, life: 3), now: 3 * Self.ms)
    core.handle(.tick, now: 4 * Self.ms)
    #expect(!core.isAccepting)
    #expect(Self.asks(Self.drain(&core)))
  }

  @Test("Who was away while its leaving went through has left", arguments: [true, false])
  func leftWhileAway(hasAsked: Bool) {
    var core = Self.follower()
    let life = core.identity.incarnation
    if hasAsked { core.handle(.requested(.leave, token: 5), now: Self.ms) }
    core.handle(Self.envelope(core, .over(life), from: Self.two, life: 3), now: 3 * Self.ms)
    _ = Self.drain(&core)
    let answer = ClusterMessage.notAdmitted(.unknownFormer, birth: core.birth)
    core.handle(Self.envelope(core, answer, from: Self.two, life: 3), now: 4 * Self.ms)
    let end: ClusterEnd = hasAsked ? .left : .notAdmitted(.unknownFormer)
    #expect(Self.drain(&core).contains(.stopped(end)))
  }

  @Test("A member that hears of no leader for long asks, too")
  func deaf() {
    var core = Self.follower()
    let patience = 4 * core.options.lease
    var asked: UInt64?
    for time in stride(from: 10 * Self.ms, to: 3 * patience, by: Int(10 * Self.ms)) {
      core.handle(.tick, now: time)
      if asked == nil, Self.asks(Self.drain(&core)) { asked = time }
    }
    #expect((asked ?? 0) > patience && (asked ?? .max) < 2 * patience)
  }

  @Test("Who acts under a life that is over is told so", arguments: [1, 3] as [UInt64])
  func tells(life: UInt64) {
    var core = Self.follower()
    let answer = ClusterMessage.beatAnswer(term: Term(rawValue: 2), round: 1, stamp: 1)
    core.handle(Self.envelope(core, answer, from: Self.two, life: life), now: Self.ms)
    let told = Self.drain(&core).contains { action in
      guard case .send(_, let envelope) = action else { return false }
      return envelope.message == .over(Incarnation(rawValue: life))
    }
    // 3 is the life that was let in.
    #expect(told == (life == 1))
  }

  @Test("A message that is the first thing after a long stop finds the lease over")
  func stopped() {
    let core = Self.founder()
    let slot = Slot(rawValue: 5)
    #expect(core.isAccepting)
    func fence(_ now: UInt64) -> FenceAnswer {
      core.fence(core.identity, epoch: core.state.epoch, slot: slot, now: now)
    }
    #expect(fence(10 * Self.ms) == .passed)
    #expect(fence(10 * core.options.lease) == .notAccepting)
  }

  @Test("A leader whose own life is over keeps to its pace")
  func pace() {
    var core = Self.founder()
    let convict = ClusterProposal(
      proposer: core.identity.incarnation, sequence: 98,
      command: .convict(core.identity.incarnation))
    core.handle(.applied(index: 3, entry: convict.bytes), now: 10)
    _ = Self.drain(&core)
    let before = core.lease.round
    // All within a microsecond: each may lead to a round only if it is time for one.
    for time in 11..<1_000 { core.handle(.tick, now: UInt64(time)) }
    #expect(core.lease.round <= before + 1)
  }
}
