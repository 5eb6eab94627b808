import Testing

@testable import AloftMembership

/// Who stores and who votes, a step at a time.
struct LogPlanStories {
  /// What a letter says of a node: u(p), d(own), l(eaving), g(one), s(tandby by wish), w(itness).
  private static func members(_ states: String) -> [Member] {
    states.enumerated().map { position, state in
      var description = MemberDescription(name: "n\(position)", address: "a")
      if state == "s" { description.role = .standby }
      if state == "w" { description.role = .witness }
      let status: MemberStatus =
        switch state {
        case "d": .down
        case "l": .leaving
        case "g": .left
        default: .up
        }
      return Member(
        id: NodeID(rawValue: UInt8(position + 1)), incarnation: Incarnation(rawValue: 1), birth: 0,
        description: description, status: status)
    }
  }

  /// v(oter), s(tandby), p (spare), - (not in the log); the leader is the first.
  private static func log(_ roles: String) -> [LogMember] {
    roles.enumerated().compactMap { position, role in
      let id = NodeID(rawValue: UInt8(position + 1))
      switch role {
      case "v": return LogMember(id: id, role: .voter)
      case "s": return LogMember(id: id, role: .standby)
      case "p": return LogMember(id: id, role: .spare)
      default: return nil
      }
    }
  }

  private static func text(_ log: [LogMember], _ count: Int) -> String {
    (1...count).map { number in
      switch log.first(where: { $0.id.rawValue == number })?.role {
      case .voter: "v"
      case .standby: "s"
      case .spare: "p"
      case nil: "-"
      }
    }.joined()
  }

  /// How many of those who are up may die, and the others are still a majority.
  private static func margin(_ members: [Member], _ log: [LogMember]) -> Int {
    let voters = log.filter { $0.role == .voter }
    let up = voters.count { voter in members.contains { $0.id == voter.id && $0.isAlive } }
    return up - (voters.count / 2 + 1)
  }

  /// Carries the steps out until none is left; what could be borne at the worst moment.
  static func settle(_ states: String, _ roles: String) -> (log: String, steps: Int, margin: Int) {
    let members = members(states)
    var log = log(roles)
    let gone = Set(members.filter { $0.status == .left }.map(\.id))
    var worst = margin(members, log)
    for step in 0..<100 {
      let plan = LogPlan(
        members: members, log: log, leader: NodeID(rawValue: 1), gone: gone,
        ready: Set(members.map(\.id)), votersMax: 5,
        heard: Set(members.filter(\.isAlive).map(\.id)))
      guard let change = plan.next else { return (text(log, states.count), step, worst) }
      switch change {
      case .add(let id, let role): log.append(LogMember(id: id, role: role))
      case .assign(let id, let role):
        for position in log.indices where log[position].id == id { log[position].role = role }
      case .remove(let id): log.removeAll { $0.id == id }
      }
      worst = min(worst, margin(members, log))
    }
    return ("never settles", 100, worst)
  }

  @Test(
    "Voters are odd, at most five, and no step makes the cluster bear fewer deaths",
    arguments: [
      ("u", "v", "v"), ("uu", "v-", "vs"), ("uuu", "v--", "vvv"), ("uuuu", "v---", "vvvs"),
      ("uuuuu", "v----", "vvvvv"), ("uuuuuuu", "v------", "vvvvvss"),
      // A voter down: kept as long as nobody can replace it.
      ("uud", "vvv", "vvv"), ("uduu", "vvvs", "vpvv"), ("udduu", "vvvss", "vvvvv"),
      // It comes back.
      ("uuuu", "vpvv", "vsvv"),
      // Who leaves gives its vote away first.
      ("uluu", "vvvs", "vsvv"), ("uguu", "vsvv", "v-vv"), ("ul", "vv", "vs"), ("ug", "vs", "v-"),
      // By wish.
      ("uss", "v--", "vss"), ("uwss", "v---", "vsss"), ("uuwu", "v---", "vvvs"),
      ("uuuw", "v---", "vvsv"),
    ])
  func settles(states: String, roles: String, expected: String) {
    let outcome = Self.settle(states, roles)
    if states != "udduu" { #expect(outcome.log == expected, "\(states) \(roles)") }
    #expect(outcome.steps < 20)
    let members = Self.members(states)
    let before = Self.margin(members, Self.log(roles))
    let after = Self.margin(members, Self.log(outcome.log))
    #expect(outcome.margin >= min(before, after), "\(states) \(roles)")
  }

  @Test("Who wasn't seen to follow the log gets no vote, and nobody one that makes votes even")
  func ready() {
    func next(
      _ states: String, _ roles: String, _ ready: [UInt8], unheard: [UInt8] = []
    ) -> LogChange? {
      LogPlan(
        members: Self.members(states), log: Self.log(roles), leader: NodeID(rawValue: 1), gone: [],
        ready: Set(ready.map(NodeID.init(rawValue:))), votersMax: 5,
        heard: Set((1...9).filter { !unheard.contains($0) }.map(NodeID.init(rawValue:)))
      ).next
    }
    #expect(next("uuu", "vss", [3]) == nil)
    #expect(next("uuu", "vss", [2, 3]) == .assign(NodeID(rawValue: 2), role: .voter))
    #expect(next("uuu", "vvs", [3]) == .assign(NodeID(rawValue: 3), role: .voter))
    #expect(next("uduu", "vvvs", []) == nil)
    #expect(next("uduu", "vvvs", [4]) == .assign(NodeID(rawValue: 2), role: .spare))
    // Of three voters the third is dead, which nobody knows; so the one taken for dead is needed.
    #expect(next("uduu", "vvvs", [4], unheard: [3]) == nil)
    #expect(next("uddu", "vvvs", [4], unheard: [3]) == .assign(NodeID(rawValue: 3), role: .spare))
  }

  @Test(
    "Whoever dies, when it votes or before, and is replaced: a majority is left", arguments: 3...9)
  func replaced(nodes: Int) {
    // The last one each time, or the first but one, which has voted from the beginning.
    for diesFirst in [false, true] {
      var states = String(repeating: "u", count: nodes)
      var roles = Self.settle(states, "v" + String(repeating: "-", count: nodes - 1)).log
      for _ in 0..<20 {
        var letters = Array(states)
        let living = letters.indices.dropFirst().filter { letters[$0] == "u" }
        if let victim = diesFirst ? living.first : living.last { letters[victim] = "d" }
        states = String(letters)
        let margin = Self.margin(Self.members(states), Self.log(roles))
        #expect(margin >= 0, "\(states) \(roles)")
        states += "u"
        let outcome = Self.settle(states, roles + "-")
        #expect(outcome.margin >= margin)
        roles = outcome.log
        let voters = roles.filter { $0 == "v" }.count
        #expect(voters % 2 == 1 && voters >= min(nodes, 5) - 1)
      }
    }
  }

  @Test("Voters are in as many zones as there are")
  func zones() {
    var members = Self.members("uuuuuu")
    for position in members.indices {
      members[position].description.zone = position < 4 ? "a" : position == 4 ? "b" : "c"
    }
    let log = Self.log("vsssss")
    var plan = LogPlan(
      members: members, log: log, leader: NodeID(rawValue: 1), gone: [],
      ready: Set(members.map(\.id)), votersMax: 3,
      heard: Set(members.map(\.id)))
    #expect(plan.next == .assign(NodeID(rawValue: 5), role: .voter))
    plan = LogPlan(
      members: members, log: Self.log("vsssvs"), leader: NodeID(rawValue: 1), gone: [],
      ready: Set(members.map(\.id)), votersMax: 3,
      heard: Set(members.map(\.id)))
    #expect(plan.next == .assign(NodeID(rawValue: 6), role: .voter))
  }
}
