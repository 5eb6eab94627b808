internal import AloftCluster
internal import AloftEngine
internal import AloftMembership
import Synchronization

/// A node's channels: handlers of what comes, and what waits for room. On the node's loop, but for
/// the handlers.
final class NodeChannels: ChannelTaker, @unchecked Sendable {
  // @unchecked: used on the node's loop alone, but for `handlers`, which are locked.

  /// Where to. Of each way what waits is sent in order.
  struct Way: Hashable {
    var node: NodeID
    var channel: UInt8
    var isAcknowledged: Bool
  }

  /// A message or bytes that somebody waits with.
  @safe
  final class Send: @unchecked Sendable {
    // @unchecked: the node's loop's, once it was handed over.
    let bytes: [UInt8]
    /// One message, not a piece of a stream.
    let isWhole: Bool
    var taken = 0
    var timer: TimerID?
    private var continuation: UnsafeContinuation<NodeSendError?, Never>?

    init(
      _ bytes: [UInt8], isWhole: Bool,
      continuation: UnsafeContinuation<NodeSendError?, Never>
    ) {
      self.bytes = bytes
      self.isWhole = isWhole
      unsafe self.continuation = unsafe continuation
    }

    // The loop has ended, and runs nothing any more.
    deinit { end(.stopped) }

    func end(_ error: NodeSendError?) { unsafe continuation.take()?.resume(returning: error) }
  }

  private let handlers = Mutex<[UInt8: Node.MessageHandler]>([:])
  private let undelivered = Mutex<(@Sendable (Int, Int, Int) -> Void)?>(nil)
  private weak var node: ClusterNode?
  private var waiting: [Way: [Send]] = [:]

  func setHandler(_ channel: UInt8, _ handler: @escaping Node.MessageHandler) {
    handlers.withLock { $0[channel] = handler }
  }

  func setUndelivered(_ handler: @escaping @Sendable (Int, Int, Int) -> Void) {
    undelivered.withLock { $0 = handler }
  }

  /// The node is there, or has stopped.
  func set(_ node: ClusterNode?) {
    self.node?.channelTaker = nil
    self.node = node
    node?.channelTaker = self
    guard node == nil else { return }
    for way in Array(waiting.keys) { endAll(way) { _ in .stopped } }
  }

  // MARK: To others

  func put(_ send: Send, on way: Way, within limit: Duration) {
    guard let node else { return send.end(.stopped) }
    if waiting[way] == nil, let result = attempt(send, way, node) { return send.end(result.error) }
    waiting[way, default: []].append(send)
    send.timer = node.loop.startTimer(afterMilliseconds: UInt64(limit.limitMilliseconds)) {
      [weak self] in self?.timedOut(send, way)
    }
    if send.timer == nil { timedOut(send, way) }
  }

  private enum Result {
    case done
    case failed(NodeSendError)
    var error: NodeSendError? { if case .failed(let error) = self { error } else { nil } }
  }

  /// Nil while it has to wait.
  private func attempt(_ send: Send, _ way: Way, _ node: ClusterNode) -> Result? {
    unsafe send.bytes.withUnsafeBytes { bytes in
      if !send.isWhole {
        let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[send.taken...])
        guard let taken = unsafe node.write(to: way.node, channel: way.channel, rest) else {
          return .failed(send.taken == 0 ? .noLink : .linkDown(taken: send.taken))
        }
        send.taken += taken
        return send.taken == bytes.count ? .done : nil
      }
      let result = unsafe node.send(
        to: way.node, channel: way.channel, isAcknowledged: way.isAcknowledged, bytes)
      switch result {
      case .accepted: return .done
      case .wouldBlock: return nil
      case .noLink: return .failed(.noLink)
      case .tooLarge: return .failed(.tooLarge(bytes.count))
      }
    }
  }

  private func timedOut(_ send: Send, _ way: Way) {
    send.timer = nil
    waiting[way]?.removeAll { $0 === send }
    if waiting[way]?.isEmpty == true { waiting[way] = nil }
    send.end(.timedOut(taken: send.taken))
  }

  private func finish(_ send: Send, _ error: NodeSendError?) {
    if let timer = send.timer { node?.loop.cancelTimer(timer) }
    send.timer = nil
    send.end(error)
  }

  private func endAll(_ way: Way, _ error: (Send) -> NodeSendError) {
    for send in waiting.removeValue(forKey: way) ?? [] { finish(send, error(send)) }
  }

  // MARK: What links tell

  func received(from id: NodeID, channel: UInt8, _ bytes: UnsafeRawBufferPointer) {
    guard let handler = handlers.withLock({ $0[channel] }) else { return }
    handler(Int(id.rawValue), unsafe RawSpan(_unsafeBytes: bytes))
  }

  func writable(to id: NodeID, channel: UInt8, isAcknowledged: Bool) {
    let way = Way(node: id, channel: channel, isAcknowledged: isAcknowledged)
    guard let node, let sends = waiting[way] else { return }
    var done = 0
    for send in sends {
      guard let result = attempt(send, way, node) else { break }
      done += 1
      finish(send, result.error)
    }
    waiting[way]?.removeFirst(done)
    if waiting[way]?.isEmpty == true { waiting[way] = nil }
  }

  func undelivered(to id: NodeID, channel: UInt8, messages: Int) {
    undelivered.withLock { $0 }?(Int(id.rawValue), Int(channel), messages)
  }

  func linkDown(to id: NodeID) {
    for way in Array(waiting.keys) where way.node == id && !way.isAcknowledged {
      endAll(way) { .linkDown(taken: $0.taken) }
    }
  }
}
