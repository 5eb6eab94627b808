import Aloft
import AloftNode
import Foundation
import Synchronization
import Testing

/// Nodes in one process, each with a runtime, a data directory and links of its own: what a program
/// sees of a cluster.
@Suite(.serialized)
struct ClusterStories {
  @Test("A node alone is a cluster of one, and so again after a restart")
  func alone() async throws {
    let data = try DataDirectories()
    var identity: (Int, UInt64)?
    for life in 0..<2 {
      let one = try await TestNode("a", seeds: [], data: data["a"])
      let status = try #require(await one.node.status())
      #expect(status.isMember && status.leader == status.node)
      #expect(status.members.map(\.name) == ["a"] && status.members[0].slots == 16_384)
      if let identity {
        #expect(status.node == identity.0 && status.incarnation > identity.1, "life \(life)")
      }
      identity = (status.node, status.incarnation)
      await one.end()
    }
  }

  @Test("Three nodes list each other, share the slots and follow one leader")
  func three() async throws {
    try await withCluster(["a", "b", "c"]) { nodes, _ in
      for node in nodes {
        try await eventually("slots are shared") {
          guard let status = await node.node.status() else { return false }
          return status.members.allSatisfy { (5_461...5_462).contains($0.slots) }
        }
      }
      try await eventually("all follow one leader") {
        var leaders: Set<Int?> = []
        for node in nodes { leaders.insert(await node.node.status()?.leader) }
        return leaders.count == 1 && leaders.first != .some(nil)
      }
    }
  }

  @Test(
    "A name that is registered on one node is sent to from all, in order, and goes with its node")
  func names() async throws {
    try await withCluster(["a", "b", "c"]) { nodes, _ in
      let heard = Heard()
      let mailbox = try await nodes[0].runtime.mailbox(handler: heard)
      try nodes[0].runtime.registry.register("orders", mailbox)
      for (place, node) in nodes.enumerated() {
        try await eventually("\(place) knows the name") {
          node.runtime.registry.lookUp("orders") != nil
        }
        for number in 0..<1_000 {
          let message = Message(copying: [UInt8(place), UInt8(number & 255), UInt8(number >> 8)])
          #expect(node.runtime.registry.send(message, to: "orders") == .accepted)
        }
      }
      try await eventually("all has arrived") { heard.count == 3_000 }
      #expect(heard.disorders == 0)
      mailbox.close()
      for node in nodes {
        try await eventually("the name has gone") {
          node.runtime.registry.lookUp("orders") == nil
        }
      }
    }
  }

  @Test(
    "Many messages to another node, from its loop, from another and from a thread: all, in order",
    arguments: [0, 1])
  func messages(receivingLoop: Int) async throws {
    // A link that is silent for long is cut, and what is under way is lost: this one must not be.
    try await withCluster(["a", "b"], eventLoops: 2, timing: .relaxed) { nodes, _ in
      let heard = Heard()
      let (from, to) = (nodes[0].runtime, nodes[1].runtime)
      let mailbox = try await to.mailbox(on: to.eventLoops[receivingLoop], handler: heard)
      try to.registry.register("sink", mailbox)
      try await eventually("a knows the name") { from.registry.lookUp("sink") != nil }
      guard case .mailbox(let target)? = from.registry.lookUp("sink") else { return }
      let count = getenv("ALOFT_SHORT") == nil ? 30_000 : 3_000
      for (sender, loop) in from.eventLoops.enumerated() {
        try Burst(target, sender: UInt8(sender), count: count).begin(on: loop)
      }
      let thread = Thread {
        let burst = Burst(target, sender: 2, count: count)
        while !burst.go() { usleep(100) }
      }
      thread.start()
      try await eventually("all have arrived") { heard.count >= 3 * count }
      #expect(heard.count == 3 * count)
      #expect(heard.disorders == 0)
    }
  }

  @Test("A large message to another node arrives whole, and none passes another")
  func large() async throws {
    try await withCluster(["a", "b"], eventLoops: 2, timing: .relaxed) { nodes, _ in
      let lengths = Lengths()
      let mailbox = try await nodes[1].runtime.mailbox(handler: lengths)
      try nodes[1].runtime.registry.register("sink", mailbox)
      try await eventually("a knows the name") {
        nodes[0].runtime.registry.lookUp("sink") != nil
      }
      let sent = [1, 300_000, 2, 70_000, 16_384, 3, 1 << 20, 0, 64]
      for loop in nodes[0].runtime.eventLoops {
        let runtime = nodes[0].runtime
        try await loop.run {
          for count in sent {
            let message = Message(copying: [UInt8](repeating: 7, count: count))
            #expect(runtime.registry.send(message, to: "sink") == .accepted)
          }
        }
        try await eventually("all have arrived") { lengths.all.count >= sent.count }
        #expect(lengths.all == sent)
        lengths.forget()
      }
    }
  }

  @Test("Calls are answered, refused, and time out")
  func calls() async throws {
    try await withCluster(["a", "b"]) { nodes, _ in
      let other = await nodes[1].number
      await #expect(throws: NodeCallError.refused(code: 1)) {
        _ = try await nodes[0].node.call(other, [1])
      }
      nodes[1].node.onCall { call, bytes in
        let first: UInt8 = bytes.withUnsafeBytes { $0.first ?? 0 }
        if first == 0 { return }
        if first == 9 { return call.refuse(code: 7) }
        call.reply(bytes)
      }
      let large = [UInt8](repeating: 5, count: 300_000)
      let echoed = try await nodes[0].node.call(other, large)
      #expect(echoed == large)
      await #expect(throws: NodeCallError.refused(code: 7)) {
        _ = try await nodes[0].node.call(other, [9])
      }
      await #expect(throws: NodeCallError.timedOut) {
        _ = try await nodes[0].node.call(other, [0], within: .milliseconds(30))
      }
      await #expect(throws: NodeCallError.noLink) { _ = try await nodes[0].node.call(77, [1]) }
    }
  }

  @Test("A call whose task is cancelled is given up at once, before it began or after")
  func cancelledCall() async throws {
    try await withCluster(["a", "b"]) { nodes, _ in
      let other = await nodes[1].number
      let asked = Events()
      nodes[1].node.onCall { _, _ in asked.add(.joined) }
      let node = nodes[0].node
      for waits in [true, false] {
        let before = asked.all.count
        let call = Task { try await node.call(other, [1], within: .seconds(60)) }
        if waits { try await eventually("it is called") { asked.all.count > before } }
        call.cancel()
        await #expect(throws: CancellationError.self) { try await call.value }
      }
    }
  }

  @Test("A runtime has one node at a time, and another one when that has stopped")
  func again() async throws {
    let data = try DataDirectories()
    let one = try await TestNode("a", seeds: [], data: data["a"])
    let options = NodeOptions(name: "b", keys: [TestNode.key], data: data["b"])
    await #expect {
      _ = try await one.runtime.join(options)
    } throws: {
      "\($0)".contains("the runtime has a node")
    }
    await one.node.shutdown()
    let next = try await one.runtime.join(options)
    let heard = Heard()
    let mailbox = try await one.runtime.mailbox(handler: heard)
    try one.runtime.registry.register("later", mailbox)
    let peer = try await TestNode("c", seeds: [await next.address], data: data["c"])
    try await eventually("names of the second node are told") {
      peer.runtime.registry.lookUp("later") != nil
    }
    await peer.end()
    await next.shutdown()
    await one.runtime.shutdown(within: .seconds(1))
  }

  @Test("A node that stops is found out, its names and slots go, and it comes back as another life")
  func restart() async throws {
    try await withCluster(["a", "b", "c"]) { nodes, data in
      let heard = Heard()
      let mailbox = try await nodes[2].runtime.mailbox(handler: heard)
      try nodes[2].runtime.registry.register("on c", mailbox)
      try await eventually("a knows the name") {
        nodes[0].runtime.registry.lookUp("on c") != nil
      }
      let before = try #require(await nodes[2].node.status())
      let address = await nodes[0].node.address
      await nodes[2].end()
      for node in nodes[..<2] {
        try await eventually("c is down, and its slots are others'") {
          guard let status = await node.node.status() else { return false }
          let c = status.members.first { $0.name == "c" }
          return c?.state == .down && c?.slots == 0
        }
        #expect(node.runtime.registry.lookUp("on c") == nil)
      }
      let again = try await TestNode("c", seeds: [address], data: data["c"])
      let after = try #require(await again.node.status())
      #expect(after.node == before.node && after.incarnation > before.incarnation)
      try await eventually("slots come back") {
        await nodes[0].node.status()?.members.allSatisfy { $0.slots > 5_000 } == true
      }
      await again.end()
    }
  }

  @Test("One that leaves gives its slots away first, and is forgotten")
  func leave() async throws {
    try await withCluster(["a", "b", "c"]) { nodes, _ in
      try await nodes[1].node.leave()
      for node in [nodes[0], nodes[2]] {
        try await eventually("b has left") {
          guard let status = await node.node.status() else { return false }
          return status.members.first { $0.name == "b" }?.state ?? .left == .left
        }
      }
    }
  }

  @Test("Who has another key is not let in")
  func wrongKey() async throws {
    try await withCluster(["a"]) { nodes, data in
      let address = await nodes[0].node.address
      let runtime = try Runtime(.init(eventLoops: 1, connectionsMax: 64))
      var options = NodeOptions(
        name: "z", keys: [Array("another key of sixteen bytes".utf8)], data: data["z"])
      options.seeds = [address]
      await #expect(throws: NodeFailure.self) {
        _ = try await runtime.join(options, within: .seconds(1))
      }
      await runtime.shutdown(within: .zero)
      #expect(
        nodes[0].events.all.contains {
          if case .refused(_, let reason) = $0 { reason.contains("key") } else { false }
        })
      #expect(await nodes[0].node.status()?.members.count == 1)
    }
  }
}

/// Numbered messages, as many at a time as are taken.
private final class Burst: @unchecked Sendable {
  // @unchecked: used on one thread.
  private let target: Mailbox
  private let sender: UInt8
  private let count: Int
  private var sent = 0

  init(_ target: Mailbox, sender: UInt8, count: Int) {
    self.target = target
    self.sender = sender
    self.count = count
  }

  func begin(on loop: EventLoop) throws {
    try loop.execute { if !self.go() { try? self.begin(on: loop) } }
  }

  /// Whether all have been sent.
  func go() -> Bool {
    for _ in 0..<2_000 where sent < count {
      let bytes = [sender, UInt8(sent & 255), UInt8(sent >> 8)]
      // By both ways of sending.
      let result =
        sent % 3 == 0 ? target.send(Message(copying: bytes)) : target.send(bytes.span.bytes)
      guard result == .accepted else { return false }
      sent += 1
    }
    return sent == count
  }
}

/// Keeps the lengths of what comes.
private final class Lengths: MailboxHandler {
  private let heard = Mutex<[Int]>([])
  var all: [Int] { heard.withLock { $0 } }
  func forget() { heard.withLock { $0 = [] } }

  func received(_ mailbox: Mailbox, _ message: consuming Message) {
    let count = message.count
    let isWhole = message.withUnsafeBytes { $0.allSatisfy { $0 == 7 } }
    heard.withLock { $0.append(isWhole ? count : -1) }
  }
}

/// Counts what comes: three bytes, a sender and its number.
private final class Heard: MailboxHandler {
  private let received = Atomic<Int>(0)
  private let wrong = Atomic<Int>(0)
  private let next = Mutex<[UInt8: Int]>([:])
  var count: Int { received.load(ordering: .acquiring) }
  var disorders: Int { wrong.load(ordering: .acquiring) }

  func received(_ mailbox: Mailbox, _ message: consuming Message) {
    let (sender, number) = message.withUnsafeBytes { ($0[0], Int($0[1]) | Int($0[2]) << 8) }
    next.withLock { next in
      if next[sender, default: 0] != number { wrong.add(1, ordering: .relaxed) }
      next[sender] = number + 1
    }
    received.add(1, ordering: .releasing)
  }
}
