import AloftMembership
import Testing

/// Who is let in, under which number and which incarnation: entries told to a state, one after the
/// other.
struct AdmissionStories {
  @Test("A cluster is founded once; its founder has number 1 and all slots")
  func founding() {
    var log = ClusterLog(["a"])
    #expect(log.identity("a").id.rawValue == 1)
    #expect(log.life("a") == Incarnation(rawValue: 1))
    #expect(log.state.slots.count(of: NodeID(rawValue: 1)) == Slot.count)
    let again = MemberDescription(name: "a", address: "a:1")
    #expect(log.apply(.found(cluster: 7, again, birth: 1_000)) == .unchanged)
    #expect(log.apply(.found(cluster: 8, again, birth: 1)) == .refused(.alreadyFounded))
    #expect(log.state.cluster == 7)
  }

  @Test("Nobody is let in before the cluster is founded, or without a name")
  func early() {
    var log = ClusterLog()
    let nameless = MemberDescription(name: "", address: "a:1")
    let admit = ClusterCommand.admit(nameless, birth: 1, former: .none)
    #expect(log.apply(admit) == .refused(.notFounded))
    log.enter("a")
    #expect(log.apply(admit) == .refused(.badDescription))
    #expect(log.state.members.count == 1)
  }

  @Test("A name belongs to one living node; asking twice lets in once")
  func names() {
    var log = ClusterLog(["a", "b"])
    let life = log.life("b")
    #expect(log.enter("b", birth: 99) == .refused(.nameTaken))
    #expect(log.enter("b", birth: log.state[life]?.birth) == .unchanged)
    #expect(log.life("b") == life)
  }

  @Test(
    "Who comes back with its data keeps its number, in a later life; without, it gets a new one")
  func comingBack() {
    var log = ClusterLog(["a", "b"])
    let first = log.identity("b")
    log.apply(.convict(first.incarnation))
    #expect(log.enter("b", former: first) == .done)
    let second = log.identity("b")
    #expect(second.id == first.id)
    #expect(second.incarnation > first.incarnation)
    log.apply(.convict(second.incarnation))
    #expect(log.enter("b") == .done)
    #expect(log.identity("b").id.rawValue == 3)
    #expect(log.state[second.id]?.status == .left)
  }

  @Test("Data prove that the life they are of is over, even if nobody noticed; older data don't")
  func proof() {
    var log = ClusterLog(["a", "b"])
    let first = log.identity("b")
    #expect(log.enter("b", former: first) == .done)
    #expect(log.identity("b").id == first.id)
    #expect(log.enter("b", former: first) == .refused(.nameTaken))
    #expect(log.enter("c", former: first) == .refused(.unknownFormer))
    var foreign = log.identity("b")
    foreign.cluster = 8
    #expect(log.enter("b", former: foreign) == .refused(.unknownFormer))
  }

  @Test("A number is given again only when all 255 are taken, and then that of the longest gone")
  func numbers() {
    var log = ClusterLog(["n1"])
    for number in 2...255 { #expect(log.enter("n\(number)") == .done) }
    log.spread()
    #expect(log.enter("more") == .refused(.full))
    log.apply(.convict(log.life("n7")))
    log.apply(.convict(log.life("n9")))
    #expect(log.enter("more") == .refused(.full), "who is down may come back")
    log.apply(.forget(log.life("n9")))
    log.apply(.forget(log.life("n7")))
    #expect(log.enter("more") == .refused(.full), "it still has slots")
  }

  @Test("The number of who has left, and has no slot, is free in the end")
  func reuse() {
    var log = ClusterLog(["n1"])
    for number in 2...255 { log.enter("n\(number)", weight: 0) }
    for name in ["n9", "n7"] {
      log.apply(.convict(log.life(name)))
      log.apply(.forget(log.life(name)))
    }
    #expect(log.enter("more") == .done)
    #expect(log.identity("more").id.rawValue == 9)
    #expect(log.enter("yet more") == .done)
    #expect(log.identity("yet more").id.rawValue == 7)
  }
}
