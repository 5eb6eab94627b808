import AloftCluster
import AloftMembership
import Glibc
import Testing

/// The life of a link on real sockets: it comes up once, whoever dials; it goes down when its
/// socket closes, and comes back.
@Suite(.serialized)
struct LinkStories {
  @Test("One dials: both know each other by name, number and incarnation")
  func up() throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    let seen = try b.on { node -> [UInt64] in
      let peer = node.table.peer(NodeID(rawValue: 1))
      return [UInt64(peer?.id.rawValue ?? 0), peer?.incarnation.rawValue ?? 0]
    }
    #expect(seen == [1, 1])
    #expect(a.told.now.down.isEmpty && b.told.now.down.isEmpty)
  }

  @Test("Both dial at the same time: one link is left, and it stays", arguments: 0..<20)
  func crossed(_: Int) throws {
    let a = try Node("a", id: 1)
    let b = try Node("b", id: 2)
    defer {
      a.stop()
      b.stop()
    }
    let (addressA, addressB) = (a.address, b.address)
    try a.loop.execute { [a] in a.table.connect(to: addressB) }
    try b.loop.execute { [b] in b.table.connect(to: addressA) }
    #expect(eventually { a.isLinked(to: "b") && b.isLinked(to: "a") })
    for number in UInt8(0)..<50 {
      #expect(try a.send(to: "b", [number]) == .accepted)
      #expect(try b.send(to: "a", [number]) == .accepted)
    }
    #expect(eventually { a.told.now.messages.count == 50 && b.told.now.messages.count == 50 })
    #expect(a.told.now.up == ["b"] && b.told.now.up == ["a"])
    #expect(a.told.now.down.isEmpty && b.told.now.down.isEmpty)
  }

  @Test(
    "A peer that goes away is told of at once, with its goodbye; one that is killed, by its socket")
  func down() throws {
    let (a, b) = try makePair()
    defer { a.stop() }
    b.stop()
    #expect(eventually { a.told.now.down == [.peer(LinkCode.stopped)] })
    let c = try Node("c", id: 3)
    try a.connect(to: c)
    #expect(eventually { a.told.now.up == ["b", "c"] })
    c.kill()
    #expect(eventually { a.told.now.down.count == 2 })
    guard case .socket = a.told.now.down[1] else {
      Issue.record("\(a.told.now.down)")
      return
    }
  }

  @Test("A closed link is dialled again, and messages at most once go on in order")
  func again() throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    for round in 1...5 {
      #expect(try a.send(to: "b", [UInt8(round)]) == .accepted)
      #expect(eventually { b.told.now.messages.count == round })
      try b.on { node in
        node.table.close(node.table.peer(named: "a")!, code: 7)
      }
      #expect(eventually { a.told.now.up.count == round + 1 && b.told.now.up.count == round + 1 })
    }
    #expect(a.told.now.down == [LinkEnd](repeating: .peer(7), count: 5))
    #expect(b.told.now.messages.map(\.bytes) == (1...5).map { [$0] })
    #expect(try b.statistics().lost == 0)
  }

  @Test("A node that reaches itself, by its own address among the seeds, gives up on that")
  func itself() throws {
    let a = try Node("a", id: 1)
    defer { a.stop() }
    try a.connect(to: a)
    #expect(eventually { (try? a.statistics().refused[.itself]) ?? 0 > 0 })
    #expect(try a.on { $0.table.linkedPeers.count } == 0)
    #expect(a.told.now.refused.isEmpty)
  }

  @Test("Who a node is, and its epoch, is told on links that are up, in line with messages")
  func identity() throws {
    let a = try Node("a")
    let b = try Node("b", id: 2)
    defer {
      a.stop()
      b.stop()
    }
    try a.connect(to: b)
    #expect(eventually { b.told.now.up == ["a"] && a.told.now.up == ["b"] })
    try a.on { node in
      node.table.setIdentity(id: NodeID(rawValue: 9), incarnation: Incarnation(rawValue: 4))
      node.table.setEpoch(Epoch(rawValue: 77))
    }
    #expect(eventually { b.told.now.epochs.last == Epoch(rawValue: 77) })
    #expect(eventually { b.told.now.identified.last == NodeID(rawValue: 9) })
    let result = try b.on { node in
      [UInt8(1)].withUnsafeBytes {
        node.table.send(to: NodeID(rawValue: 9), stream: 1, kind: 0, $0)
      }
    }
    #expect(result == .accepted)
    #expect(eventually { a.told.now.messages.count == 1 })
  }

  @Test("Heartbeats come on a connection of their own, and again after that was lost")
  func heartbeats() throws {
    let (a, b) = try makePair { $0.heartbeatInterval = 2 }
    defer {
      a.stop()
      b.stop()
    }
    #expect(
      eventually {
        (try? a.statistics().heartbeatsReceived) ?? 0 > 5
          && (try? b.statistics().heartbeatsReceived) ?? 0 > 5
      })
    #expect(a.told.now.heard > 5 && b.told.now.heard > 5)
    #expect(a.told.now.down.isEmpty && b.told.now.down.isEmpty)
  }

  @Test("A node that restarts is another life: what was kept for the old one is undelivered")
  func restart() throws {
    let a = try Node("a", id: 1)
    let b = try Node("b", id: 2)
    try a.connect(to: b)
    #expect(eventually { a.told.now.up == ["b"] })
    let address = b.address
    b.kill()
    #expect(eventually { a.told.now.down.count == 1 })
    let kept = LinkStream.acknowledged | 1
    #expect(try a.send(to: "b", stream: kept, [1, 2, 3]) == .accepted)
    #expect(try a.send(to: "b", stream: 1, [1, 2, 3]) == .noLink)
    let next = try Node("b", id: 2, incarnation: 5, listens: false)
    defer {
      a.stop()
      next.stop()
    }
    _ = try next.on { try $0.table.listen(on: address, listener: 0) }
    #expect(eventually { a.told.now.up == ["b", "b"] })
    #expect(eventually { a.told.now.undelivered == 1 })
    #expect(try a.on { $0.table.peer(named: "b")?.incarnation.rawValue } == 5)
    #expect(try a.send(to: "b", stream: kept, [4]) == .accepted)
    #expect(eventually { next.told.now.messages.map(\.bytes) == [[4]] })
  }

  @Test("Broadcast reaches every peer with a link")
  func broadcast() throws {
    let hub = try Node("hub", id: 1)
    let spokes = try (2...4).map { try Node("s\($0)", id: UInt8($0)) }
    defer { ([hub] + spokes).forEach { $0.stop() } }
    for spoke in spokes { try spoke.connect(to: hub) }
    #expect(eventually { hub.told.now.up.count == 3 })
    let taken = try hub.on { node in
      [UInt8(5)].withUnsafeBytes { node.table.broadcast(stream: 3, kind: 2, $0) }
    }
    #expect(taken == 3)
    #expect(
      eventually {
        spokes.allSatisfy {
          $0.told.now.messages == [.init(from: "hub", stream: 3, kind: 2, bytes: [5])]
        }
      })
  }
}
