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

extension Node {
  typealias CallHandler = @Sendable (IncomingCall, RawSpan) -> Void

  /// Has calls of other nodes told to `handler`, on the node's loop; it must not block. Without one
  /// they are refused.
  public func onCall(_ handler: @escaping @Sendable (IncomingCall, RawSpan) -> Void) {
    calls.setHandler(handler, on: eventLoop)
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

    /// Which node calls.
    public var from: Int { Int(number) }

    public func reply(_ bytes: RawSpan) { calls.reply(call, bytes) }

    /// Refuses, with a code of your own; 1 is taken.
    public func refuse(code: UInt8) { calls.refuse(call, code: code) }
  }

  /// Calls another node and answers what it replied. Any thread; suspends.
  public func call(
    _ node: Int, _ bytes: [UInt8], within limit: Duration = .seconds(5)
  ) async throws -> [UInt8] {
    unsafe try await withUnsafeThrowingContinuation { continuation in
      eventLoop.engineLoop.executeUnrefused { [self] in
        unsafe call(node, bytes.span.bytes, within: limit) { reply, error in
          if let error { return unsafe continuation.resume(throwing: error) }
          unsafe continuation.resume(returning: reply.withUnsafeBytes { unsafe Array($0) })
        }
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
