internal import AloftEngine

/// What a task waits for, told by the loop; if the loop has ended, by whoever lets go of this.
@safe
final class Owed<Value: Sendable>: @unchecked Sendable {
  // @unchecked: the loop, then whichever thread lets go of it last.
  private var continuation: UnsafeContinuation<Value, Never>?
  private let otherwise: Value

  init(_ continuation: UnsafeContinuation<Value, Never>, otherwise: Value) {
    unsafe self.continuation = unsafe continuation
    self.otherwise = otherwise
  }

  deinit { tell(otherwise) }

  /// The first word counts.
  func tell(_ value: Value) { unsafe continuation.take()?.resume(returning: value) }
}

extension AloftEngine.EventLoop {
  /// Has `body` run on the loop; it, or what it begins, tells.
  func told<Value: Sendable>(
    otherwise: Value, _ body: @escaping @Sendable (Owed<Value>) -> Void
  ) async -> Value {
    unsafe await withUnsafeContinuation { continuation in
      let owed = unsafe Owed(continuation, otherwise: otherwise)
      executeUnrefused { body(owed) }
    }
  }
}
