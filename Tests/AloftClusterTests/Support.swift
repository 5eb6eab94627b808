import AloftCluster
import AloftEngine
import AloftMembership
import AloftUV
import Glibc
import Testing

/// State shared between a test and loop threads.
final class Guarded<Value>: @unchecked Sendable {
  // @unchecked: the value is touched under the lock only.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var value: Value

  init(_ value: Value) {
    self.value = value
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func with<Result>(_ body: (inout Value) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&value)
  }

  var now: Value { with { $0 } }
}

/// Looks every millisecond until `condition` holds, for ten seconds at most.
func eventually(_ condition: () -> Bool) -> Bool {
  for _ in 0..<10_000 {
    if condition() { return true }
    usleep(1_000)
  }
  return condition()
}

/// A node of nothing but links, on a loop of its own.
final class Node: LinkClient, @unchecked Sendable {
  // @unchecked: the table is used on its loop alone, what is told is guarded.
  struct Message: Equatable {
    var from: String
    var stream: UInt16
    var kind: UInt8
    var bytes: [UInt8]
  }

  /// A message for a mailbox.
  struct Posted: Equatable {
    var mailbox: UInt64
    var tag: UInt64
    var priority: UInt8
    var bytes: [UInt8]
  }

  struct Told {
    var up: [String] = []
    var down: [LinkEnd] = []
    var messages: [Message] = []
    var posts: [Posted] = []
    var cancelled = 0
    var writable: [UInt16] = []
    var heard = 0
    var identified: [NodeID] = []
    var epochs: [Epoch] = []
    var undelivered = 0
    var refused: [LinkRefusal] = []
    var calls: [IncomingCall] = []
  }

  let group: LoopGroup
  let told = Guarded(Told())
  private(set) var table: LinkTable! = nil
  private(set) var address = SocketAddress.ip(host: "127.0.0.1", port: 0)
  /// What to do with a call; answers it with what it holds unless set.
  var onCall: ((Node, LinkPeer, IncomingCall, [UInt8]) -> Void)?
  /// Called on the loop with each message, in place of recording it.
  var onMessage: ((Node, LinkPeer, UInt16, UnsafeRawBufferPointer) -> Void)?

  var loop: EventLoop { group.loops[0] }

  static let key = Array("a key of the test's cluster".utf8)

  init(
    _ name: String, id: UInt8 = 0, incarnation: UInt64 = 0, key: [UInt8] = Node.key,
    listens: Bool = true, host: String = "127.0.0.1",
    _ change: (inout LinkOptions) -> Void = { _ in }
  ) throws {
    var groupOptions = LoopGroupOptions()
    groupOptions.connectionsMax = 64
    groupOptions.loop.timersMax = 1_024
    group = try LoopGroup(groupOptions)
    var options = LinkOptions(name: name, cluster: "test", keys: [key])
    options.id = NodeID(rawValue: id)
    options.incarnation = Incarnation(rawValue: incarnation)
    options.backoffMin = 2
    options.backoffMax = 20
    change(&options)
    let made = options
    table = try on { node in
      try LinkTable(loop: node.loop, options: made, client: node)
    }
    address = .ip(host: host, port: 0)
    if listens { address = try on { try $0.table.listen(on: $0.address, listener: 0) } }
  }

  /// Ends the node as a process would that was asked to.
  func stop() {
    try? on { $0.table.stop() }
    group.stopAndJoin()
  }

  /// Ends it as a process would that was killed: without a word.
  func kill() { group.stopAndJoin() }

  /// Runs `body` on the loop and waits for its answer.
  @discardableResult
  func on<Value>(_ body: @escaping (Node) throws -> Value) throws -> Value {
    let result = Guarded<Result<Value, any Error>?>(nil)
    nonisolated(unsafe) let body = body
    try loop.execute { [self] in
      let value = Result { try body(self) }
      result.with { $0 = value }
    }
    #expect(eventually { result.with { $0 != nil } })
    return try #require(result.now).get()
  }

  func connect(to other: Node) throws {
    let address = other.address
    try on { $0.table.connect(to: address) }
  }

  func send(
    to other: String, stream: UInt16 = 1, kind: UInt8 = 0, _ bytes: [UInt8]
  ) throws -> LinkSendResult {
    try on { node in
      guard let peer = node.table.peer(named: other) else { return .noLink }
      return bytes.withUnsafeBytes { node.table.send(to: peer, stream: stream, kind: kind, $0) }
    }
  }

  func statistics() throws -> LinkStatistics { try on { $0.table.statistics } }

  func isLinked(to name: String) -> Bool {
    (try? on { $0.table.peer(named: name)?.isUp ?? false }) ?? false
  }

  // MARK: LinkClient

  func linkUp(_ peer: LinkPeer) { told.with { $0.up.append(peer.name) } }
  func linkDown(_ peer: LinkPeer, reason: LinkEnd) { told.with { $0.down.append(reason) } }

  func received(
    _ peer: LinkPeer, stream: UInt16, kind: UInt8, message: UnsafeRawBufferPointer
  ) {
    if let onMessage {
      onMessage(self, peer, stream, message)
      return
    }
    let message = Message(from: peer.name, stream: stream, kind: kind, bytes: Array(message))
    told.with { $0.messages.append(message) }
  }

  func posted(_ peer: LinkPeer, stream: UInt16, _ posts: inout PostReader) {
    var all: [Posted] = []
    while let post = posts.next() { all.append(Posted(post)) }
    told.with { $0.posts += all }
  }

  func called(_ peer: LinkPeer, _ call: IncomingCall, message: UnsafeRawBufferPointer) {
    told.with { $0.calls.append(call) }
    if let onCall {
      onCall(self, peer, call, Array(message))
    } else {
      #expect(table.reply(to: call, kind: call.kind, message) == .accepted)
    }
  }

  func cancelled(_ peer: LinkPeer, _ call: IncomingCall) { told.with { $0.cancelled += 1 } }
  func writable(_ peer: LinkPeer, stream: UInt16) { told.with { $0.writable.append(stream) } }
  func heard(_ peer: LinkPeer, at: UInt64) { told.with { $0.heard += 1 } }
  func identified(_ peer: LinkPeer) {
    let (id, epoch) = (peer.id, peer.epoch)
    told.with {
      $0.identified.append(id)
      $0.epochs.append(epoch)
    }
  }
  func undelivered(_ peer: LinkPeer, stream: UInt16, messages: Int) {
    told.with { $0.undelivered += messages }
  }
  func refused(_ address: SocketAddress?, _ reason: LinkRefusal) {
    told.with { $0.refused.append(reason) }
  }
}

extension Node.Posted {
  init(_ post: Post) {
    self.init(
      mailbox: post.mailbox, tag: post.tag, priority: post.priority, bytes: Array(post.bytes))
  }
}

/// Two nodes with a link between them.
func makePair(
  _ change: (inout LinkOptions) -> Void = { _ in }
) throws -> (a: Node, b: Node) {
  let a = try Node("a", id: 1, incarnation: 1, change)
  let b = try Node("b", id: 2, incarnation: 2, change)
  try a.connect(to: b)
  #expect(eventually { a.told.now.up == ["b"] && b.told.now.up == ["a"] })
  return (a, b)
}

/// Numbers that a seed gives (SplitMix64, Steele and others, 2014).
struct Seeded: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
