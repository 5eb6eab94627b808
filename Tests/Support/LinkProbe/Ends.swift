import AloftCluster
import AloftEngine
import AloftMembership
import CallCounters
import Glibc
import Synchronization

/// One end of the link. What its fields say is the loop's, but for the atomics.
class End: LinkClient, @unchecked Sendable {
  // @unchecked: see above.
  let loop: EventLoop
  var table: LinkTable! = nil
  let isUp = Atomic<Bool>(false)
  let received = Atomic<Int>(0)
  var count = 0

  init(_ loop: EventLoop, _ name: String, _ id: UInt8) {
    self.loop = loop
    run {
      let key = Array("a key of the probe's".utf8)
      var options = LinkOptions(name: name, cluster: "probe", keys: [key])
      options.id = NodeID(rawValue: id)
      options.creditBytes = 4 << 20
      self.table = try LinkTable(loop: loop, options: options, client: self)
    }
  }

  /// Runs `body` on the loop and waits for its end.
  func run(_ body: @escaping () throws -> Void) {
    let done = Done()
    nonisolated(unsafe) let body = body
    loop.executeUnrefused {
      do { try body() } catch { fatalError("\(error)") }
      done.flag.store(true, ordering: .releasing)
    }
    while !done.flag.load(ordering: .acquiring) { usleep(100) }
  }

  final class Done: Sendable { let flag = Atomic<Bool>(false) }

  func stop() throws { run { self.table.stop() } }

  func linkUp(_ peer: LinkPeer) { isUp.store(true, ordering: .releasing) }
  func linkDown(_ peer: LinkPeer, reason: LinkEnd) {}
  func received(
    _ peer: LinkPeer, stream: UInt16, kind: UInt8, message: UnsafeRawBufferPointer
  ) {
    count &+= 1
    if count & 0xFF == 0 || message.count > 4_096 { received.store(count, ordering: .relaxed) }
  }
  func called(_ peer: LinkPeer, _ call: IncomingCall, message: UnsafeRawBufferPointer) {
    guard table.reply(to: call, message) == .accepted else { fatalError("no room for an answer") }
  }
  func writable(_ peer: LinkPeer, stream: UInt16) {}
}

final class Receiver: End, @unchecked Sendable {
  func listen() throws -> SocketAddress {
    var address = SocketAddress.ip(host: "127.0.0.1", port: 0)
    run { address = try self.table.listen(on: address, listener: 0) }
    return address
  }
}

final class Sender: End, @unchecked Sendable {
  struct Result {
    var rate: Double
    var messages: Int
    var allocations: UInt64
    var retains: UInt64
  }

  private var payload: [UInt8] = []
  private let isSending = Atomic<Bool>(false)
  private var before = call_counts()
  private var after = call_counts()

  func connect(to address: SocketAddress) throws {
    run { self.table.connect(to: address) }
    while !isUp.load(ordering: .acquiring) { usleep(1_000) }
  }

  private func fill() {
    // A variable's object would be retained for each message.
    let table = table!
    payload.withUnsafeBytes { bytes in
      while case .accepted = table.send(to: NodeID(rawValue: 2), stream: 1, kind: 0, bytes) {}
    }
  }

  override func writable(_ peer: LinkPeer, stream: UInt16) {
    if isSending.load(ordering: .relaxed) { fill() }
  }

  func flood(bytes: Int, seconds: Int, _ receiver: Receiver) throws -> Result {
    payload = [UInt8](repeating: 7, count: bytes)
    isSending.store(true, ordering: .releasing)
    run { self.fill() }
    usleep(300_000)
    run { self.before = call_counters_read() }
    let first = receiver.received.load(ordering: .relaxed)
    let began = now()
    usleep(UInt32(seconds) * 1_000_000)
    let last = receiver.received.load(ordering: .relaxed)
    let ended = now()
    run { self.after = call_counters_read() }
    isSending.store(false, ordering: .releasing)
    usleep(300_000)
    return Result(
      rate: Double(last - first) * 1e9 / Double(ended - began), messages: last - first,
      allocations: after.allocations - before.allocations, retains: after.retains - before.retains)
  }

  private var answered = 0
  private let answers = Atomic<Int>(0)

  private func callOnce() {
    payload.withUnsafeBytes { bytes in
      let start = table.call(
        to: NodeID(rawValue: 2), stream: 2, kind: 0, bytes, timeout: 10_000
      ) { [unowned self] outcome in
        guard case .reply = outcome else { fatalError("a call was not answered") }
        answered += 1
        answers.store(answered, ordering: .relaxed)
        if isSending.load(ordering: .relaxed) { callOnce() }
      }
      guard case .started = start else { fatalError("\(start)") }
    }
  }

  func callAll(outstanding: Int, seconds: Int) throws -> Double {
    payload = [UInt8](repeating: 7, count: 64)
    isSending.store(true, ordering: .releasing)
    run { for _ in 0..<outstanding { self.callOnce() } }
    let first = answers.load(ordering: .relaxed)
    let began = now()
    usleep(UInt32(seconds) * 1_000_000)
    let last = answers.load(ordering: .relaxed)
    let ended = now()
    isSending.store(false, ordering: .releasing)
    usleep(200_000)
    return Double(last - first) * 1e9 / Double(ended - began)
  }
}
