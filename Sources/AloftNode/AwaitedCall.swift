internal import AloftCluster

/// A call that a task waits for, and may give up. The node's loop alone uses it.
final class AwaitedCall: @unchecked Sendable {
  // @unchecked: see above.
  private enum State {
    case new
    case begun(Reply, CallID?)
    case over
  }

  private var state = State.new

  /// Who waits: resumed once, and by the end of whatever should have done so, at the latest.
  @safe
  final class Reply: @unchecked Sendable {
    // @unchecked: the node's loop, then whichever thread lets go of it last.
    private var continuation: UnsafeContinuation<[UInt8], any Error>?

    init(_ continuation: UnsafeContinuation<[UInt8], any Error>) {
      unsafe self.continuation = unsafe continuation
    }

    // The loop has ended, and runs nothing any more.
    deinit { fail(NodeCallError.noLink) }

    func succeed(_ bytes: [UInt8]) { unsafe continuation.take()?.resume(returning: bytes) }
    func fail(_ error: any Error) { unsafe continuation.take()?.resume(throwing: error) }
  }

  /// False when it was given up before it began.
  func begins(_ reply: Reply) -> Bool {
    guard case .new = state else {
      reply.fail(CancellationError())
      return false
    }
    state = .begun(reply, nil)
    return true
  }

  func started(_ call: CallID) {
    if case .begun(let reply, nil) = state { state = .begun(reply, call) }
  }

  func end() { state = .over }

  /// Gives it up, unless it is over; `body` tells the other side, and whether that was in time.
  func cancel(_ body: (CallID) -> Bool) {
    switch state {
    case .new: state = .over
    case .begun(let reply, let call?):
      guard body(call) else { return }
      state = .over
      reply.fail(CancellationError())
    case .begun, .over: return
    }
  }
}
