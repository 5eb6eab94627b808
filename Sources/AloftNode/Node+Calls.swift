internal import Aloft
internal import AloftCluster
internal import AloftEngine
internal import AloftMembership
import Synchronization

/// Why a call was not answered.
public enum NodeCallError: Error, Hashable, Sendable {
  /// There is no link to that node. Certainly not carried out.
  case noLink
  /// The link has no room, or too many calls are under way. Certainly not carried out.
  case busy
  case tooLarge
  /// It may have been carried out, or still be.
  case timedOut
  /// The link ended meanwhile. It may have been carried out.
  case linkDown
  /// The other side refused, with this code; 1 when it answers no calls.
  case refused(code: UInt8)
}

/// What a call is for: each kind has a handler of its own.
package enum CallKind {
  package static let application: UInt8 = 0
  /// Calls of distributed actors.
  package static let actor: UInt8 = 1
}

extension Node {
  typealias CallHandler = @Sendable (IncomingCall, RawSpan) -> Void

  /// Has calls of other nodes told to `handler`, on the node's loop; it must not block. Without one
  /// they are refused.
  public func onCall(_ handler: @escaping @Sendable (IncomingCall, RawSpan) -> Void) {
    box.withLock { $0.handler = handler }
  }

  /// The same for calls of distributed actors. `cancelled` is told of those whose callers no longer
  /// wait, and of others that are none of this kind.
  package func onActorCall(
    _ handler: @escaping @Sendable (IncomingCall, RawSpan) -> Void,
    cancelled: @escaping @Sendable (IncomingCall.Key) -> Void
  ) {
    box.withLock {
      $0.actorHandler = handler
      $0.actorCancelled = cancelled
    }
  }

  func called(_ call: NodeCall, _ bytes: UnsafeRawBufferPointer) {
    let (node, handler) = box.withLock { box in
      (Carried(box.node), call.kind == CallKind.application ? box.handler : box.actorHandler)
    }
    guard let inner = node.value else { return }
    guard let handler, call.kind <= CallKind.actor else {
      _ = unsafe inner.refuse(call, code: 1, UnsafeRawBufferPointer(start: nil, count: 0))
      return
    }
    unsafe handler(IncomingCall(call, node), bytes.bytes)
  }

  /// Answers a call from any thread. Each call is answered once, so what waits is bounded by the
  /// calls that are under way.
  package func answer(_ call: IncomingCall, _ bytes: [UInt8]) {
    eventLoop.engineLoop.executeUnrefused { unsafe call.reply(bytes.span.bytes) }
  }

  func cancelled(_ call: NodeCall) {
    box.withLock { $0.actorCancelled }?(IncomingCall.Key(call))
  }

  /// A call of another node's, to be answered once, on this node's loop.
  public struct IncomingCall: Sendable {
    private let call: NodeCall
    private let node: Carried

    init(_ call: NodeCall, _ node: Carried) {
      self.call = call
      self.node = node
    }

    /// Which call it is, among those of all nodes.
    package struct Key: Hashable, Sendable {
      private let number: UInt64
      private let link: UInt64

      init(_ call: NodeCall) {
        number = call.words.0
        link = call.words.1
      }
    }

    package var key: Key { Key(call) }

    /// Which node calls.
    public var from: Int { Int(call.from.rawValue) }

    public func reply(_ bytes: RawSpan) {
      _ = unsafe bytes.withUnsafeBytes { unsafe node.value?.answer(call, $0) }
    }

    /// Refuses, with a code of your own; 1 is taken.
    public func refuse(code: UInt8) {
      _ = unsafe node.value?.refuse(
        call, code: code, UnsafeRawBufferPointer(start: nil, count: 0))
    }
  }

  /// Calls another node and answers what it replied. Any thread; suspends. When the task is
  /// cancelled the call is given up, and the other side is told.
  /// - Throws: ``NodeCallError``, or `CancellationError`.
  public func call(
    _ node: Int, _ bytes: [UInt8], within limit: Duration = .seconds(5)
  ) async throws -> [UInt8] {
    try await call(node, kind: CallKind.application, bytes, within: limit)
  }

  package func call(
    _ node: Int, kind: UInt8, _ bytes: [UInt8], within limit: Duration
  ) async throws -> [UInt8] {
    let awaited = AwaitedCall()
    let loop = eventLoop.engineLoop
    return try await withTaskCancellationHandler {
      unsafe try await withUnsafeThrowingContinuation { continuation in
        let reply = unsafe AwaitedCall.Reply(continuation)
        loop.executeUnrefused { [self] in
          guard awaited.begins(reply) else { return }
          let started = unsafe start(node, kind: kind, bytes.span.bytes, within: limit) {
            bytes, error in
            awaited.end()
            if let error { return reply.fail(error) }
            reply.succeed(unsafe bytes.withUnsafeBytes { unsafe Array($0) })
          }
          if let started { awaited.started(started) }
        }
      }
    } onCancel: {
      loop.executeUnrefused { [self] in
        awaited.cancel { call in box.withLock { Carried($0.node) }.value?.cancel(call) ?? true }
      }
    }
  }

  /// The same for the hot path: on the node's own loop alone. `answer` is called once, with the
  /// reply where it arrived, or with why there is none.
  public func call(
    _ node: Int, _ bytes: RawSpan, within limit: Duration = .seconds(5),
    _ answer: @escaping (_ reply: RawSpan, _ error: NodeCallError?) -> Void
  ) {
    _ = start(node, kind: CallKind.application, bytes, within: limit, answer)
  }

  /// Nil when `answer` was told already why the call can't be made.
  private func start(
    _ node: Int, kind: UInt8, _ bytes: RawSpan, within limit: Duration,
    _ answer: @escaping (_ reply: RawSpan, _ error: NodeCallError?) -> Void
  ) -> CallID? {
    let inner = box.withLock { Carried($0.node) }.value
    guard let inner, let number = UInt8(exactly: node), number != 0 else {
      Self.fail(.noLink, answer)
      return nil
    }
    let seconds = Double(limit.components.seconds) + Double(limit.components.attoseconds) / 1e18
    let milliseconds = UInt32(clamping: Int64(max(1, min(seconds * 1_000, 4e9))))
    let start = unsafe bytes.withUnsafeBytes { bytes in
      unsafe inner.call(
        NodeID(rawValue: number), kind: kind, bytes, milliseconds: milliseconds
      ) { outcome in
        switch outcome {
        case .reply(let bytes): unsafe answer(bytes.bytes, nil)
        case .failed(let code, _): Self.fail(.refused(code: code), answer)
        case .timedOut: Self.fail(.timedOut, answer)
        case .linkDown: Self.fail(.linkDown, answer)
        }
      }
    }
    switch start {
    case .started(let call): return call
    case .wouldBlock, .tooMany: Self.fail(.busy, answer)
    case .noLink: Self.fail(.noLink, answer)
    case .tooLarge: Self.fail(.tooLarge, answer)
    }
    return nil
  }

  private static func fail(
    _ error: NodeCallError, _ answer: (RawSpan, NodeCallError?) -> Void
  ) {
    unsafe answer(UnsafeRawBufferPointer(start: nil, count: 0).bytes, error)
  }
}
