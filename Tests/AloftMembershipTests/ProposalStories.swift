import AloftMembership
import Testing

/// What the log's entries do to a state beside letting in: each counts once, and only if whoever
/// proposed it lives.
struct ProposalStories {
  @Test("A repeated proposal counts once, whatever came between")
  func repetition() {
    var log = ClusterLog(["a", "b"])
    let heavy = ClusterProposal(
      proposer: log.life("a"), sequence: 30, command: .setWeight(log.life("b"), 200))
    #expect(log.apply(heavy.bytes) == .done)
    #expect(log.apply(.setWeight(log.life("b"), 300)) == .done)
    #expect(log.apply(heavy.bytes) == .refused(.repeated))
    #expect(log.state[log.life("b")]?.description.weight == 300)
  }

  @Test("Numbers may come out of order by less than 64", arguments: [1, 2, 63, 64, 65, 1_000])
  func window(distance: UInt64) {
    var log = ClusterLog(["a"])
    let life = log.life("a")
    func proposal(_ sequence: UInt64, _ weight: UInt16) -> [UInt8] {
      ClusterProposal(proposer: life, sequence: sequence, command: .setWeight(life, weight)).bytes
    }
    #expect(log.apply(proposal(5_000, 1)) == .done)
    let late = log.apply(proposal(5_000 - distance, 2))
    #expect(late == (distance < 64 ? .done : .refused(.repeated)))
    #expect(log.apply(proposal(5_000 - distance, 3)) == .refused(.repeated))
  }

  @Test("Who is down, replaced or was never let in proposes nothing")
  func stale() {
    var log = ClusterLog(["a", "b"])
    let former = log.identity("b")
    let drain = ClusterCommand.setDraining(log.life("a"), true)
    #expect(log.apply(drain, by: Incarnation(rawValue: 77)) == .refused(.staleProposer))
    log.apply(.convict(former.incarnation))
    #expect(log.apply(drain, by: former.incarnation) == .refused(.staleProposer))
    log.enter("b", former: former)
    #expect(log.apply(drain, by: former.incarnation) == .refused(.staleProposer))
    #expect(log.apply(drain, by: log.life("b")) == .done)
  }

  @Test("Conviction ends one life, not the next")
  func conviction() {
    var log = ClusterLog(["a", "b"])
    let former = log.identity("b")
    #expect(log.apply(.convict(former.incarnation)) == .done)
    #expect(log.apply(.convict(former.incarnation)) == .unchanged)
    log.enter("b", former: former)
    #expect(log.apply(.convict(former.incarnation)) == .refused(.unknownMember))
    #expect(log.state.isCurrent(former.id, log.life("b")))
    #expect(!log.state.isCurrent(former.id, former.incarnation))
  }

  @Test("Who leaves goes when its slots have moved away; the last one may take them along")
  func leaving() {
    var log = ClusterLog(["a", "b"])
    log.spread()
    let (a, b) = (log.life("a"), log.life("b"))
    #expect(log.apply(.depart(b)) == .refused(.wrongStatus))
    #expect(log.apply(.leave(b)) == .done)
    #expect(log.apply(.leave(b)) == .unchanged)
    #expect(log.apply(.depart(b)) == .refused(.ownsSlots))
    #expect(log.spread() == .done)
    #expect(log.apply(.depart(b)) == .done)
    log.apply(.leave(a))
    #expect(log.apply(.depart(a)) == .done)
    #expect(log.state.living.isEmpty)
  }

  @Test("A change of slots holds for the state that it was made for, and for who may have slots")
  func slots() {
    var log = ClusterLog(["a", "b"])
    let base = log.state.epoch
    log.enter("w", role: .witness)
    let run = SlotRun(first: Slot(rawValue: 0), count: 9, owner: log.identity("b").id)
    #expect(log.apply(.assignSlots(base: base, [run])) == .refused(.staleBase))
    var wrong = run
    wrong.owner = log.identity("w").id
    #expect(log.apply(.assignSlots(base: log.state.epoch, [wrong])) == .refused(.wrongOwner))
    wrong.owner = NodeID(rawValue: 99)
    #expect(log.apply(.assignSlots(base: log.state.epoch, [wrong])) == .refused(.wrongOwner))
    #expect(log.apply(.assignSlots(base: log.state.epoch, [run])) == .done)
    #expect(log.state.slotsEpoch == log.state.epoch)
    #expect(log.state.slots[Slot(rawValue: 8)] == run.owner)
    #expect(log.state.slots[Slot(rawValue: 9)] == NodeID(rawValue: 1))
  }
}
