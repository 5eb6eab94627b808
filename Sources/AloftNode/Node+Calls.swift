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
    box.withLock { $0.handler = handler }
  }

  func called(_ call: NodeCall, _ bytes: UnsafeRawBufferPointer) {
    let (node, handler) = box.withLock { (Carried($0.node), $0.handler) }
    guard let inner = node.value else { return }
    guard let handler else {
      return unsafe inner.refuse(call, code: 1, UnsafeRawBufferPointer(start: nil, count: 0))
    }
    unsafe handler(IncomingCall(call, node), bytes.bytes)
  }

  /// A call of another node's, to be answered once, on this node's loop.
  public struct IncomingCall: Sendable {
    private let call: NodeCall
    private let node: Carried

    init(_ call: NodeCall, _ node: Carried) {
      self.call = call
      self.node = node
    }

    /// Which node calls.
    public var from: Int { Int(call.from.rawValue) }

    public func reply(_ bytes: RawSpan) {
      unsafe bytes.withUnsafeBytes { unsafe node.value?.answer(call, $0) }
    }

    /// Refuses, with a code of your own; 1 is taken.
    public func refuse(code: UInt8) {
      unsafe node.value?.refuse(call, code: code, UnsafeRawBufferPointer(start: nil, count: 0))
    }
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
    let inner = box.withLock { Carried($0.node) }.value
    guard let inner, let number = UInt8(exactly: node), number != 0 else {
      return Self.fail(.noLink, answer)
    }
    let seconds = Double(limit.components.seconds) + Double(limit.components.attoseconds) / 1e18
    let milliseconds = UInt32(clamping: Int64(max(1, min(seconds * 1_000, 4e9))))
    let start = unsafe bytes.withUnsafeBytes { bytes in
      unsafe inner.call(
        NodeID(rawValue: number), kind: 0, bytes, milliseconds: milliseconds
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
    case .started: return
    case .wouldBlock, .tooMany: Self.fail(.busy, answer)
    case .noLink: Self.fail(.noLink, answer)
    case .tooLarge: Self.fail(.tooLarge, answer)
    }
  }

  private static func fail(
    _ error: NodeCallError, _ answer: (RawSpan, NodeCallError?) -> Void
  ) {
    unsafe answer(UnsafeRawBufferPointer(start: nil, count: 0).bytes, error)
  }
}
