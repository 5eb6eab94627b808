import AloftMembership
import AloftSim
import Testing

/// Entries, snapshots and messages survive being written and read; what is damaged is found out.
struct ByteTests {
  static let life = Incarnation(rawValue: 0x0102_0304_0506_0708)
  static let identity = NodeIdentity(cluster: 9, id: NodeID(rawValue: 3), incarnation: life)
  static let description = MemberDescription(
    name: "näme", address: "127.0.0.1:1", zone: "z", weight: 7, role: .witness)

  static let commands: [ClusterCommand] = [
    .found(cluster: 1, description, birth: 2), .admit(description, birth: 3, former: identity),
    .convict(life), .leave(life), .depart(life), .forget(life), .setDraining(life, true),
    .setWeight(life, 65_535),
    .assignSlots(
      base: Epoch(rawValue: 5),
      [
        SlotRun(first: Slot(rawValue: 0), count: 16_384, owner: NodeID(rawValue: 1)),
        SlotRun(first: Slot(rawValue: 16_383), count: 1, owner: NodeID(rawValue: 255)),
      ]),
  ]

  static let messages: [ClusterMessage] = [
    .joinRequest(description, birth: 1, former: .none),
    .admitted(
      identity, [Contact(id: NodeID(rawValue: 1), incarnation: life, address: "a:1")], birth: 6),
    .redirected(address: ""), .notAdmitted(.nameTaken, birth: 5),
    .forward(ClusterProposal(proposer: life, sequence: 1, command: commands[8])),
    .beat(term: Term(rawValue: 1), round: 2, echo: 3),
    .beatAnswer(term: Term(rawValue: 1), round: 2, stamp: 4), .opinionRequest(about: life),
    .opinion(about: life, isHeard: true), .over(life),
  ]

  @Test(
    "An entry comes out as it went in; cut, prolonged or of another version it's malformed",
    arguments: commands)
  func entries(command: ClusterCommand) throws {
    let proposal = ClusterProposal(proposer: Self.life, sequence: .max, command: command)
    let bytes = proposal.bytes
    #expect(try ClusterProposal(bytes: bytes) == proposal)
    for count in 0..<bytes.count {
      #expect(throws: MalformedBytes.self) { try ClusterProposal(bytes: Array(bytes[..<count])) }
    }
    #expect(throws: MalformedBytes.self) { try ClusterProposal(bytes: bytes + [0]) }
    var other = bytes
    other[1] += 1
    #expect(throws: MalformedBytes.self) { try ClusterProposal(bytes: other) }
  }

  @Test("A message comes out as it went in; cut or prolonged it's malformed", arguments: messages)
  func envelopes(message: ClusterMessage) throws {
    let envelope = ClusterEnvelope(
      sender: Self.identity, epoch: Epoch(rawValue: 4), message: message)
    let bytes = envelope.bytes
    #expect(try ClusterEnvelope(bytes: bytes) == envelope)
    for count in 0..<bytes.count {
      #expect(throws: MalformedBytes.self) { try ClusterEnvelope(bytes: Array(bytes[..<count])) }
    }
    #expect(throws: MalformedBytes.self) { try ClusterEnvelope(bytes: bytes + [0]) }
  }

  @Test("A snapshot holds all: the state goes on from it as from the entries")
  func snapshots() throws {
    var log = ClusterLog(["a", "b", "c"])
    log.spread()
    log.apply(.setDraining(log.life("b"), true))
    log.apply(.convict(log.life("c")))
    log.apply([1, 2, 3])
    var copy = log
    copy.state = try ClusterState(snapshot: log.state.snapshot)
    #expect(copy.state == log.state)
    for _ in 0..<2 {
      #expect(log.enter("d", birth: 5) == copy.enter("d", birth: 5))
      #expect(log.spread() == copy.spread())
    }
    #expect(copy.state == log.state)
    #expect(copy.state.snapshot == log.state.snapshot)
  }

  /// Bytes of each kind, with up to eight of them changed, are read or refused, and never trap; and
  /// two states that were told the same nonsense are the same.
  @Test("Damaged bytes do no harm")
  func damage() throws {
    var random = SimRandom(seed: 1)
    var states = [ClusterLog(["a", "b"]), ClusterLog(["a", "b"])]
    let snapshot = states[0].state.snapshot
    var (malformed, read) = (0, 0)
    for round in 0..<20_000 {
      let whole: [UInt8]
      switch round % 3 {
      case 0:
        let command = Self.commands[random.below(Self.commands.count)]
        whole =
          ClusterProposal(
            proposer: states[0].life("a"), sequence: UInt64(round), command: command
          ).bytes
      case 1:
        let message = Self.messages[random.below(Self.messages.count)]
        whole =
          ClusterEnvelope(
            sender: Self.identity, epoch: Epoch(rawValue: 1), message: message
          ).bytes
      default: whole = snapshot
      }
      var bytes = whole
      for _ in 0...random.below(8) {
        bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.word())
      }
      let isRead: Bool
      switch round % 3 {
      case 0:
        let results = states.indices.map { states[$0].apply(bytes) }
        #expect(results[0] == results[1])
        isRead = results[0] != .refused(.malformed)
      case 1: isRead = (try? ClusterEnvelope(bytes: bytes)) != nil
      default: isRead = (try? ClusterState(snapshot: bytes)) != nil
      }
      if isRead { read += 1 } else { malformed += 1 }
    }
    #expect(states[0].state == states[1].state)
    #expect(states[0].state.malformed > 0)
    #expect(malformed > 5_000 && read > 500, "\(malformed) malformed, \(read) read")
  }
}
