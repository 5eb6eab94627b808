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
    calls.setHandler(handler, on: eventLoop)
  }

  /// The same for calls of distributed actors. `cancelled` is told of those whose callers no longer
  /// wait, and of others that are none of this kind.
  package func onActorCall(
    _ handler: @escaping @Sendable (IncomingCall, RawSpan) -> Void,
    cancelled: @escaping @Sendable (IncomingCall.Key) -> Void
  ) {
    calls.setActorHandler(handler, cancelled: cancelled)
  }

  /// Answers a call from any thread. Each call is answered once, so what waits is bounded by the
  /// calls that are under way.
  package func answer(_ call: IncomingCall, _ bytes: [UInt8]) {
    eventLoop.engineLoop.executeUnrefused { unsafe call.reply(bytes.span.bytes) }
  }

  /// A call of another node's, to be answered once, on this node's loop.
  public struct IncomingCall: Sendable {
    private let call: AloftCluster.IncomingCall
    private let number: UInt8
    private let calls: NodeCalls

    @inline(__always)
    init(_ call: AloftCluster.IncomingCall, from: UInt8, _ calls: NodeCalls) {
      self.call = call
      self.number = from
      self.calls = calls
    }

    /// Which call it is, among those of all nodes.
    package struct Key: Hashable, Sendable {
      private let number: UInt64
      private let link: UInt64

      init(_ number: UInt64, _ link: UInt64) {
        self.number = number
        self.link = link
      }
    }

    package var key: Key { Key(call.words.0, call.words.1) }

    /// Which node calls.
    public var from: Int { Int(number) }

    public func reply(_ bytes: RawSpan) { calls.reply(call, bytes) }

    /// Refuses, with a code of your own; 1 is taken.
    public func refuse(code: UInt8) { calls.refuse(call, code: code) }
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
          let started = unsafe calls.begin(node, kind: kind, bytes.span.bytes, within: limit) {
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
    calls.call(node, bytes, within: limit, answer)
  }
}
