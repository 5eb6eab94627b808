/// What a task waits for, told on the node's loop; nil if whoever should have told it is gone.
@safe
final class OwedValue<Value: Sendable>: @unchecked Sendable {
  // @unchecked: the node's loop, then whichever thread lets go of it last.
  private var continuation: UnsafeContinuation<Value?, Never>?

  init(_ continuation: UnsafeContinuation<Value?, Never>) {
    unsafe self.continuation = unsafe continuation
  }

  deinit { tell(nil) }

  var isOver: Bool { unsafe continuation == nil }

  /// The first word counts.
  func tell(_ value: Value?) { unsafe continuation.take()?.resume(returning: value) }
}
