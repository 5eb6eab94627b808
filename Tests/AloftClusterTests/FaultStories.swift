import AloftMembership
import Testing

@testable import AloftCluster

/// Faults put into a link by a peer of the test's own: a record lost, doubled, out of order, too
/// long or out of place is seen, and nothing of it is told as if it were right.
@Suite(.serialized)
struct FaultStories {
  private func rig() throws -> (Node, RawPeer) {
    let node = try Node("node", id: 1)
    return (node, try makeRaw(node))
  }

  @Test("A lost record is missed at the next: the link ends, and what follows is not told of")
  func lost() throws {
    let (node, raw) = try rig()
    defer { node.stop() }
    raw.record(.message, [1], word: 1)
    raw.record(.message, [3], word: 3)
    raw.record(.message, [4], word: 4)
    #expect(eventually { node.told.now.down == [.fault(.sequenceGap)] })
    #expect(node.told.now.messages.map(\.bytes) == [[1]])
    #expect(raw.isClosed())
    #expect(try node.statistics().faults == 1)
  }

  @Test("A doubled record is told of once", arguments: [UInt16(1), LinkStream.acknowledged | 1])
  func doubled(stream: UInt16) throws {
    let (node, raw) = try rig()
    defer { node.stop() }
    for word: UInt64 in [1, 1, 2, 2, 1, 3] {
      raw.record(.message, [UInt8(word)], stream: stream, word: word)
    }
    #expect(eventually { node.told.now.messages.map(\.bytes) == [[1], [2], [3]] })
    #expect(eventually { (try? node.statistics().duplicates) == 3 })
    #expect(node.told.now.down.isEmpty)
  }

  @Test("A link on which no sign of life comes ends; its limit is counted in one's own heartbeats")
  func silent() throws {
    let node = try Node("node", id: 1) {
      $0.heartbeatInterval = 20
      $0.silentHeartbeatsMax = 20
    }
    defer { node.stop() }
    let raw = try makeRaw(node)
    // What isn't a heartbeat is none, however much of it there is.
    for word in 1...100 as ClosedRange<UInt64> { raw.record(.message, [1], word: word) }
    #expect(eventually { node.told.now.down == [.silent] })
    #expect(raw.isClosed())
  }

  @Test("What waits as the last leaves room, and that is told of, whatever the peer says then")
  func roomBehindTheLast() throws {
    let (node, raw) = try rig()
    defer { node.stop() }
    // Behind one that goes in fragments others wait, more of them than there is credit for: of
    // those that wait headers don't count.
    let sent = try node.on { node in
      guard let peer = node.table.peer(named: "raw") else { return 0 }
      var sent = 0
      let bytes = [UInt8](repeating: 1, count: 70_000)
      func send(_ count: Int) -> LinkSendResult {
        bytes.prefix(count).withUnsafeBytes {
          node.table.send(to: peer, stream: 1, kind: 0, $0)
        }
      }
      guard send(70_000) == .accepted else { return 0 }
      while send(1_000) == .accepted { sent += 1 }
      return sent
    }
    let room = (1 << 20) - 70_000 - 2 * (RecordHeader.bytes + 16)
    let first = room / (1_000 + RecordHeader.bytes)
    #expect(sent > first && sent < first + 100)
    var got = (messages: 0, bytes: 0)
    func take(_ count: Int) {
      _ = raw.records { header in
        if header.stream == 1 { got.bytes += RecordHeader.bytes + Int(header.length) }
        if header.type == .message { got.messages += 1 }
        return got.messages == count
      }
    }
    take(first)
    #expect(node.told.now.writable.isEmpty)
    raw.record(.credit, stream: 1, word: UInt64(got.bytes))
    // Now all are on their way, and the peer says no more.
    take(sent)
    #expect(eventually { node.told.now.writable == [1] })
  }

  @Test("Messages that a link took with it are counted at the next; a hole within one is a fault")
  func lostBetween() throws {
    let node = try Node("node", id: 1)
    defer { node.stop() }
    var memory = Handshake.Memory()
    do {
      let raw = try makeRaw(node)
      raw.record(.message, [1], word: 1)
      #expect(eventually { node.told.now.messages.count == 1 })
      memory = Handshake.Memory(
        lastLink: raw.handshake.linkNumber, countedSince: raw.handshake.linkNumber)
    }
    #expect(eventually { node.told.now.down.count == 1 })
    let raw = try RawPeer(to: node.address, RawPeer.hello("raw", nonce: 8))
    #expect(raw.shakeHands(memory: memory) == .accepted)
    raw.record(.message, [5], word: 5)
    #expect(eventually { node.told.now.messages.map(\.bytes) == [[1], [5]] })
    #expect(try node.statistics().lost == 3)
  }

  @Test("Of an acknowledged stream no message may be missing, on whichever link")
  func acknowledgedGap() throws {
    let (node, raw) = try rig()
    defer { node.stop() }
    raw.record(.message, [2], stream: LinkStream.acknowledged, word: 2)
    #expect(eventually { node.told.now.down == [.fault(.sequenceGap)] })
    #expect(node.told.now.messages.isEmpty)
  }

  @Test("Fragments: in order they are one message; out of order they are a fault")
  func fragments() throws {
    let (node, raw) = try rig()
    defer { node.stop() }
    raw.fragment([1, 2], total: 5, offset: 0, word: 1)
    raw.fragment([3, 4, 5], total: 5, offset: 2, word: 1)
    raw.record(.message, [9], word: 2)
    #expect(eventually { node.told.now.messages.map(\.bytes) == [[1, 2, 3, 4, 5], [9]] })
    raw.fragment([1, 2], total: 6, offset: 0, word: 3)
    raw.fragment([5, 6], total: 6, offset: 4, word: 3)
    #expect(eventually { node.told.now.down == [.fault(.fragmentOrder)] })
    #expect(node.told.now.messages.count == 2)
  }

  /// Talk that no honest peer makes, and what it is called.
  enum Offence: CaseIterable {
    case secondHalfFirst, doubledFragment, messageWithin, otherTotal, tooLong, tooMuch, unknown
    case creditFromNowhere, creditTakenBack, heartbeat, acknowledgedUnsent, overCredit, empty
    case shortCall, lengthBeyondLimit

    var fault: WireFault {
      switch self {
      case .secondHalfFirst, .doubledFragment, .messageWithin, .otherTotal: .fragmentOrder
      case .tooLong, .empty, .shortCall, .lengthBeyondLimit: .length
      case .tooMuch: .reassembly
      case .unknown: .unknownType
      case .creditFromNowhere, .creditTakenBack, .overCredit: .credit
      case .heartbeat: .misplaced
      case .acknowledgedUnsent: .sequenceGap
      }
    }

    func commit(_ raw: RawPeer) {
      switch self {
      case .secondHalfFirst: raw.fragment([1], total: 2, offset: 1, word: 1)
      case .doubledFragment:
        raw.fragment([1], total: 3, offset: 0, word: 1)
        raw.fragment([1], total: 3, offset: 0, word: 1)
      case .messageWithin:
        raw.fragment([1], total: 3, offset: 0, word: 1)
        raw.record(.message, [1], word: 1)
      case .otherTotal:
        raw.fragment([1], total: 3, offset: 0, word: 1)
        raw.fragment([1], total: 4, offset: 1, word: 1)
      case .tooLong: raw.fragment([1], total: 65 << 20, offset: 0, word: 1)
      case .tooMuch:
        for stream in UInt16(1)...5 {
          raw.fragment([1], total: 64 << 20, offset: 0, stream: stream, word: 1)
        }
      case .unknown: raw.send([0, 0, 0, 0, 99] + [UInt8](repeating: 0, count: 11))
      case .creditFromNowhere: raw.record(.credit, word: 1)
      case .creditTakenBack: raw.record(.credit, word: .max)
      case .heartbeat: raw.record(.heartbeat, word: 1)
      case .acknowledgedUnsent:
        raw.record(.acknowledgement, stream: LinkStream.acknowledged, word: 9)
      case .overCredit:
        for word in UInt64(1)...20 {
          raw.record(.message, [UInt8](repeating: 0, count: 64 << 10), stream: 77, word: word)
        }
      case .empty: raw.fragment([], total: 4, offset: 0, word: 1)
      case .shortCall: raw.record(.call, [1, 2, 3], word: 1)
      case .lengthBeyondLimit: raw.send([0, 0, 0, 1, 1] + [UInt8](repeating: 0, count: 11))
      }
    }
  }

  @Test("What no honest peer says ends the link with the fault's name", arguments: Offence.allCases)
  func offences(offence: Offence) throws {
    let (node, raw) = try rig()
    defer { node.stop() }
    if offence == .overCredit {
      try node.on { $0.table.holdCredit(of: $0.table.peer(named: "raw")!, stream: 77) }
    }
    offence.commit(raw)
    #expect(eventually { node.told.now.down == [.fault(offence.fault)] }, "\(node.told.now.down)")
    #expect(raw.isClosed())
  }

  @Test("After a fault the honest link to the same node is made again")
  func again() throws {
    let (node, raw) = try rig()
    defer { node.stop() }
    raw.record(.message, [2], word: 2)
    #expect(eventually { node.told.now.messages.count == 1 || node.told.now.down.count == 1 })
    raw.record(.message, [9], word: 9)
    #expect(eventually { node.told.now.down.count == 1 })
    let next = try makeRaw(node, life: 100)
    next.record(.message, [1], word: 1)
    #expect(eventually { node.told.now.messages.last?.bytes == [1] })
  }
}
