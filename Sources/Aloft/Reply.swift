import Synchronization

/// An answer that is owed to a suspended task. If whoever owes it is released without having
/// answered, because its event loop has ended, the answer is that the runtime is closed.
@safe
final class Reply<Value: Sendable>: Sendable {
  private let continuation: UnsafeContinuation<Value, any Error>
  private let answered = Atomic<Bool>(false)

  init(_ continuation: UnsafeContinuation<Value, any Error>) {
    unsafe self.continuation = unsafe continuation
  }

  deinit { resume(with: .failure(AloftError.runtimeClosed)) }

  /// The first answer counts.
  func resume(with result: Result<Value, any Error>) {
    guard !answered.exchange(true, ordering: .acquiringAndReleasing) else { return }
    unsafe continuation.resume(with: result)
  }
}
