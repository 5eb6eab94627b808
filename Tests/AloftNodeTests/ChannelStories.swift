import Aloft
import AloftNode
import Synchronization
import Testing

/// Messages and bytes that programs send from node to node on channels.
@Suite(.serialized)
struct ChannelStories {
  @Test(
    "Messages arrive in order, each once, on the channel that they were sent on",
    arguments: [Node.Delivery.atMostOnce, .acknowledged])
  func messages(delivery: Node.Delivery) async throws {
    // A link that is silent for long is cut, and what is under way is lost: this one must not be.
    try await withCluster(["a", "b"], timing: .relaxed) { nodes, _ in
      let (first, second) = (Received(), Received())
      nodes[1].node.onMessage { first.add($0, $1) }
      nodes[1].node.onMessage(channel: 255) { second.add($0, $1) }
      let (from, to) = (await nodes[0].number, await nodes[1].number)
      // More than the links keep at once, so that some wait for room.
      for number in 0..<400 {
        let bytes = [UInt8(number & 255)] + [UInt8](repeating: 9, count: number % 7 * 10_000)
        try await nodes[0].node.send(
          to, bytes, channel: number % 2 == 0 ? 0 : 255, delivery: delivery)
      }
      try await eventually("all are there") { first.count == 200 && second.count == 200 }
      for (parity, received) in [first, second].enumerated() {
        let all = received.all
        #expect(all.allSatisfy { $0.from == from })
        let sent = (0..<200).map { UInt8(($0 * 2 + parity) & 255) }
        #expect(all.map { $0.bytes[0] } == sent)
        #expect(
          all.enumerated().allSatisfy { $1.bytes.count == ($0 * 2 + parity) % 7 * 10_000 + 1 })
      }
    }
  }

  @Test("Bytes are written as fast as the other node takes them, in order and whole")
  func bytes() async throws {
    try await withCluster(["a", "b"], timing: .relaxed) { nodes, _ in
      let received = Received()
      nodes[1].node.onMessage(channel: 3) { received.add($0, $1) }
      let to = await nodes[1].number
      // Several times what one link's credit is.
      let sent = (0..<9_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 11) }
      let half = sent.count / 2
      try await nodes[0].node.write(to, Array(sent[..<half]), channel: 3)
      try await nodes[0].node.write(to, Array(sent[half...]), channel: 3)
      try await eventually("all are there") { received.bytes == sent.count }
      #expect(received.all.flatMap(\.bytes) == sent)
    }
  }

  @Test("A broadcast reaches every other node once")
  func broadcast() async throws {
    try await withCluster(["a", "b", "c"]) { nodes, _ in
      let received = nodes.map { _ in Received() }
      for (node, received) in zip(nodes, received) { node.node.onMessage { received.add($0, $1) } }
      try await eventually("a has links to both") { await nodes[0].node.broadcast([1]) == 2 }
      try await eventually("both have it") {
        received[1...].allSatisfy { $0.all.last?.bytes == [1] }
      }
      #expect(received[0].count == 0)
    }
  }

  @Test("What is acknowledged is taken while the link is down, and told of when it is back")
  func whileAway() async throws {
    try await withCluster(["a", "b"], timing: .relaxed) { nodes, data in
      let received = Received()
      nodes[1].node.onMessage { received.add($0, $1) }
      let to = await nodes[1].number
      for number in 0..<50 as Range<UInt8> {
        try await nodes[0].node.send(to, [number], delivery: .acknowledged)
        if number % 10 == 5 { await nodes[0].node.breakLink(to: to) }
      }
      try await eventually("all are there") { received.count == 50 }
      #expect(received.all.map(\.bytes) == (0..<50).map { [$0] })
    }
  }

  @Test("Nobody there, no room in time, too long, an end: each is told as what it is")
  func failures() async throws {
    try await withCluster(["a", "b"]) { nodes, _ in
      let node = nodes[0].node
      let to = await nodes[1].number
      for number in [0, -1, 77, 256, 100_000] {
        await #expect(throws: NodeSendError.noLink) { try await node.send(number, [1]) }
        await #expect(throws: NodeSendError.noLink) { try await node.write(number, [1]) }
      }
      let long = [UInt8](repeating: 0, count: 64 << 20 + 1)
      await #expect(throws: NodeSendError.tooLarge(long.count)) { try await node.send(to, long) }
      // The other node's loop is held, so it takes no more than its socket does.
      let gate = Mutex(false)
      nodes[1].node.onMessage { _, _ in while !gate.withLock({ $0 }) {} }
      let chunk = [UInt8](repeating: 1, count: 32 << 20)
      do {
        try await node.write(to, chunk, within: .milliseconds(100))
        Issue.record("32 MiB were taken by a node that reads none")
      } catch NodeSendError.timedOut(let taken) {
        #expect(taken < chunk.count)
      } catch NodeSendError.linkDown(let taken) {
        // It was taken for dead meanwhile.
        #expect(taken < chunk.count)
      }
      gate.withLock { $0 = true }
      await node.shutdown()
      await #expect(throws: NodeSendError.stopped) { try await node.send(to, [1]) }
      #expect(await node.broadcast([1]) == 0)
    }
  }
}

/// What has come on a channel.
private final class Received: Sendable {
  private let list = Mutex<[(from: Int, bytes: [UInt8])]>([])
  func add(_ from: Int, _ bytes: RawSpan) {
    let bytes = bytes.withUnsafeBytes { Array($0) }
    list.withLock { $0.append((from, bytes)) }
  }
  var all: [(from: Int, bytes: [UInt8])] { list.withLock { $0 } }
  var count: Int { list.withLock { $0.count } }
  var bytes: Int { list.withLock { $0.reduce(0) { $0 + $1.bytes.count } } }
}
