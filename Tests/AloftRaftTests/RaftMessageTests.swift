import AloftCluster
import AloftMembership
import CAloftRaft
import Testing

/// What comes from another node is held against its length before anything is made of it.
@Suite struct RaftMessageTests {
  private func check(_ bytes: [UInt8]) -> Int32 {
    bytes.withUnsafeBufferPointer { aloft__raft_check_message($0.baseAddress, $0.count) }
  }

  private var good: [UInt8] {
    let entry = Wire.le(3) + [1, 2, 3, 0, 0, 0, 0, 0]
    return Wire.entries(
      term: 5, previous: 7, previousTerm: 4, commit: 7, [(4, 1, entry), (5, 2, Wire.le(0))])
  }

  @Test("A message that is whole is taken, and no shorter or longer one")
  func lengths() {
    #expect(check(good) == 0)
    for length in 0..<good.count { #expect(check(Array(good.prefix(length))) != 0) }
    #expect(check(good + [0]) != 0)
  }

  @Test("What contradicts itself is refused")
  func contradictions() {
    let entry = Wire.le(3) + [1, 2, 3, 0, 0, 0, 0, 0]
    let bad: [(String, [UInt8])] = [
      ("version", [2] + good.dropFirst()),
      ("type", [1, 9] + good.dropFirst(2)),
      (
        "no entry's length",
        Wire.entries(term: 1, previous: 0, previousTerm: 0, commit: 0, [(1, 1, [])])
      ),
      (
        "a term after the message's",
        Wire.entries(term: 1, previous: 0, previousTerm: 0, commit: 0, [(2, 1, entry)])
      ),
      (
        "terms that fall",
        Wire.entries(term: 5, previous: 1, previousTerm: 4, commit: 0, [(3, 1, entry)])
      ),
      (
        "an unknown type",
        Wire.entries(term: 1, previous: 0, previousTerm: 0, commit: 0, [(1, 4, entry)])
      ),
      (
        "a frame too long",
        Wire.entries(
          term: 1, previous: 0, previousTerm: 0, commit: 0, [(1, 1, Wire.le(9) + Wire.le(0))])
      ),
      (
        "a change of nothing",
        Wire.entries(term: 1, previous: 0, previousTerm: 0, commit: 0, [(1, 3, Wire.le(1))])
      ),
      ("term 0", Wire.entries(term: 0, previous: 0, previousTerm: 0, commit: 0, [])),
      (
        "a term out of reach",
        Wire.entries(term: 1 << 63, previous: 0, previousTerm: 0, commit: 0, [])
      ),
      (
        "an index without a term",
        Wire.entries(term: 1, previous: 1, previousTerm: 0, commit: 0, [])
      ),
    ]
    for (what, bytes) in bad { #expect(check(bytes) != 0, "\(what)") }
    var many = Wire.entries(term: 1, previous: 0, previousTerm: 0, commit: 0, [])
    many.replaceSubrange(40..<48, with: Wire.le(1 << 60))
    #expect(check(many) != 0, "more entries than bytes")
  }

  @Test("Random bytes and random changes are refused or taken, and nothing else happens")
  func fuzz() {
    var random = Seeded(7)
    for _ in 0..<200_000 {
      var bytes = good
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        bytes = (0..<Int.random(in: 0..<120, using: &random)).map { _ in
          UInt8.random(in: 0...255, using: &random)
        }
        if bytes.count > 8 {
          bytes.replaceSubrange(
            0..<8, with: [1, UInt8.random(in: 0...8, using: &random), 0, 0, 0, 0, 0, 0])
        }
      case 1:
        bytes[Int.random(in: 0..<bytes.count, using: &random)] ^=
          1 << UInt8.random(in: 0..<8, using: &random)
      case 2: bytes.removeLast(Int.random(in: 0...bytes.count, using: &random))
      default:
        let at = Int.random(in: 0...(bytes.count - 8), using: &random)
        bytes.replaceSubrange(
          at..<(at + 8), with: Wire.le(UInt64.random(in: 0 ... .max, using: &random)))
      }
      let status = check(bytes)
      if status != 0 && status != -74 && status != -12 { Issue.record("\(status) for \(bytes)") }
    }
  }

  @Test("A member that is sent garbage counts it and goes on")
  func garbage() throws {
    let world = try RaftWorld()
    try world.form(3)
    var random = Seeded(3)
    try world.on {
      for _ in 0..<2_000 {
        var bytes = (0..<80).map { _ in UInt8.random(in: 0...255, using: &random) }
        bytes[0] = UInt8.random(in: 0...1, using: &random)
        bytes.withUnsafeBytes {
          world.members[1]?.log?.receive(from: NodeID(rawValue: 2), message: $0)
        }
      }
    }
    #expect(try world.outcome { $0.propose([1], token: $1) }?.isCommitted == true)
    #expect(try world.on { world.members[1]!.log!.statistics.messagesRefused } == 2_000)
    try world.finish()
  }
}
