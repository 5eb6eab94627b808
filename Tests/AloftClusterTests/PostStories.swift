import AloftEngine
import AloftMembership
import AloftQueue
import Glibc
import Testing

@testable import AloftCluster

/// Messages for mailboxes of a peer's, on real sockets: many to a record, in order whatever their
/// size, bounded while there is no credit, and counted one by one.
@Suite(.serialized)
struct PostStories {
  /// Posts numbered messages until one is refused or all are sent; answers how many were taken.
  private func post(
    _ node: Node, to other: String, from first: Int = 0, count: Int, stream: UInt16 = 3,
    isHeld: Bool = false, bytes: @escaping (Int) -> Int
  ) throws -> Int {
    try node.on { node in
      guard let peer = node.table.peer(named: other) else { return 0 }
      for number in first..<(first + count) {
        let message = Self.message(number, bytes(number))
        let result = message.bytes.withUnsafeBytes { bytes in
          // In a block that is given up at once: whoever sends from there keeps it.
          let holder = isHeld ? EventLoop.newMessage(copying: bytes) : nil
          defer { if let holder { MessageBlock.release(holder) } }
          let place = holder.map {
            UnsafeRawBufferPointer(start: $0.header.pointee.bytes, count: bytes.count)
          }
          return node.table.post(
            to: peer, stream: stream,
            Post(
              mailbox: message.mailbox, tag: message.tag, priority: message.priority,
              place ?? bytes, holder: holder))
        }
        if result != .accepted { return number - first }
      }
      return count
    }
  }

  private static func message(_ number: Int, _ count: Int) -> Node.Posted {
    // Mostly the same mailbox, sometimes a tag.
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &+ number) }
    return Node.Posted(
      mailbox: UInt64(number / 5 % 3 + 1), tag: number % 7 == 0 ? UInt64(number) : 0,
      priority: UInt8(number % 4), bytes: bytes)
  }

  private func check(_ posts: [Node.Posted], _ bytes: (Int) -> Int) {
    for (number, post) in posts.enumerated() {
      let isRight = post == Self.message(number, bytes(number))
      if !isRight {
        Issue.record("message \(number) is another: \(post.mailbox) \(post.bytes.count) bytes")
        return
      }
    }
  }

  @Test(
    "They arrive as they were and in order, among other messages of the stream",
    arguments: [1 << 10, 64 << 10], [false, true])
  func order(frameMax: Int, isHeld: Bool) throws {
    let (a, b) = try makePair { $0.frameMax = frameMax }
    defer {
      a.stop()
      b.stop()
    }
    // Around the sizes where they travel alone, are a block of their own, or go in fragments.
    let sizes = [0, 1, 64, 64, 64, 1_000, 1_024, 16_280, 16_300, 16_304, 16_384, 65_535, 70_000]
    func size(_ number: Int) -> Int { sizes[number % sizes.count] }
    var sent = 0
    while sent < 650 {
      sent += try post(
        a, to: "b", from: sent, count: min(50, 650 - sent), isHeld: isHeld, bytes: size)
      // Control records come in between.
      try a.on { [sent] in $0.table.setEpoch(Epoch(rawValue: UInt64(sent))) }
    }
    #expect(eventually { b.told.now.posts.count >= 650 })
    check(b.told.now.posts, size)
    #expect(b.told.now.posts.count == 650)
    #expect(try a.statistics().messagesSent == 650)
    #expect(try b.statistics().messagesReceived == 650)
    #expect(a.told.now.down.isEmpty && b.told.now.down.isEmpty)
  }

  @Test("Without credit they wait, up to a bound; then they are refused, and told of room")
  func bounded() throws {
    let (a, b) = try makePair { $0.postsWaitingMax = 256 << 10 }
    defer {
      a.stop()
      b.stop()
    }
    try b.on { $0.table.holdCredit(of: $0.table.peer(named: "a")!, stream: 3) }
    var sent = 0
    var refused = 0
    // One turn after the other, so that what was sent arrives meanwhile.
    while refused < 3 {
      let taken = try post(a, to: "b", from: sent, count: 1_000) { _ in 64 }
      sent += taken
      if taken < 1_000 { refused += 1 }
    }
    // The stream's credit and what may wait, to a block.
    #expect(sent * 68 > (1 << 20) + (200 << 10) && sent * 68 < (1 << 20) + (257 << 10))
    #expect(try a.statistics().wouldBlocks == 3)
    #expect(a.told.now.writable.isEmpty)
    try b.on { $0.table.giveCredit(to: $0.table.peer(named: "a")!, stream: 3, bytes: nil) }
    #expect(eventually { a.told.now.writable == [3] })
    var more = 0
    while more < 1_000 {
      more += try post(a, to: "b", from: sent + more, count: 1_000 - more) { _ in 64 }
    }
    #expect(eventually { b.told.now.posts.count >= sent + 1_000 })
    check(b.told.now.posts, { _ in 64 })
    #expect(b.told.now.posts.count == sent + 1_000)
  }

  @Test("What a link takes with it is counted: dropped here, or lost at the peer's next link")
  func lost() throws {
    let (a, b) = try makePair()
    defer {
      a.stop()
      b.stop()
    }
    try b.on { $0.table.holdCredit(of: $0.table.peer(named: "a")!, stream: 3) }
    var sent = 0
    while true {
      let taken = try post(a, to: "b", from: sent, count: 1_000) { _ in 64 }
      sent += taken
      if taken < 1_000 { break }
    }
    let onItsWay = try a.on {
      $0.table.peer(named: "b")!.state.pointee.out.find(3).pointee.sent
    }
    #expect(
      eventually {
        (try? b.on {
          $0.table.peer(named: "a")!.state.pointee.inward.find(3).pointee.received
        }) == onItsWay
      })
    let arrived = b.told.now.posts.count
    try a.on { $0.table.close($0.table.peer(named: "b")!, redial: true) }
    #expect(eventually { a.told.now.up.count == 2 && b.told.now.up.count == 2 })
    #expect(try a.statistics().dropped == UInt64(sent - arrived))
    #expect(try post(a, to: "b", from: sent, count: 1) { _ in 64 } == 1)
    #expect(eventually { b.told.now.posts.count == arrived + 1 })
    #expect(try b.statistics().lost == UInt64(sent - arrived))
    #expect(b.told.now.posts.last == Self.message(sent, 64))
  }

  @Test(
    "A record of posts that is broken, empty, doubled or misplaced ends the link", arguments: 0..<5)
  func offences(kind: Int) throws {
    let node = try Node("node", id: 1)
    defer { node.stop() }
    let raw = try makeRaw(node)
    let one = PostTests.encode([Node.Posted(mailbox: 1, tag: 2, priority: 3, bytes: [4])])
    raw.record(.posts, one + one, stream: 3, word: 1)
    let fault: WireFault
    switch kind {
    case 0:
      raw.record(.posts, one + [1], stream: 3, word: 3)
      fault = .length
    case 1:
      raw.record(.posts, [], stream: 3, word: 3)
      fault = .length
    case 2:
      raw.record(.posts, one, stream: 3, word: 2)
      fault = .sequenceGap
    case 3:
      raw.record(.posts, one, stream: 3, word: 4)
      fault = .sequenceGap
    default:
      raw.record(.posts, one, stream: LinkStream.acknowledged, word: 1)
      fault = .misplaced
    }
    #expect(eventually { node.told.now.down == [.fault(fault)] }, "\(node.told.now.down)")
    let whole = kind == 0 ? 3 : 2
    #expect(node.told.now.posts.count == whole)
    #expect(try node.statistics().messagesReceived == UInt64(whole))
    #expect(raw.isClosed())
  }
}
