import AloftC
import AloftCluster
import CAloft

/// A function of the application's that is owed one call with a code: with `ALOFT_ESHUTDOWN` when
/// whoever should have told it is gone.
@safe
final class OwedCode: @unchecked Sendable {
  // @unchecked: the thread that asks, then the loop, or whichever thread lets go of it last.
  private let task: aloft_task?
  private let context: UnsafeMutableRawPointer?
  private var isOwed = true

  init(_ task: aloft_task?, _ context: UnsafeMutableRawPointer?) {
    unsafe self.task = unsafe task
    unsafe self.context = unsafe context
  }

  deinit { tell(.shutDown) }

  /// The first word counts.
  func tell(_ failure: Failure?) {
    guard isOwed else { return }
    isOwed = false
    let code = failure?.report() ?? Code.success
    unsafe task?(code, context)
  }

  /// It was not taken: nobody is owed a call.
  func forget() { isOwed = false }
}

/// The answer to a call, owed in the same way.
@safe
final class OwedAnswer: @unchecked Sendable {
  // @unchecked: as above.
  private let answered: aloft_answered?
  private let context: UnsafeMutableRawPointer?
  private var isOwed = true

  init(_ answered: aloft_answered?, _ context: UnsafeMutableRawPointer?) {
    unsafe self.answered = unsafe answered
    unsafe self.context = unsafe context
  }

  deinit { tell(.shutDown) }

  func forget() { isOwed = false }

  func tell(_ failure: Failure) {
    guard isOwed else { return }
    isOwed = false
    unsafe answered?(failure.report(), nil, 0, context)
  }

  private func tell(_ status: Int32, _ bytes: UnsafeRawBufferPointer) {
    guard isOwed else { return }
    isOwed = false
    unsafe answered?(status, bytes.baseAddress, bytes.count, context)
  }

  func tell(_ outcome: CallOutcome) {
    switch outcome {
    case .reply(let bytes): unsafe tell(Code.success, bytes)
    // 0 would say that it was done.
    case .failed(let code, let bytes): unsafe tell(max(1, Int32(code)), bytes)
    case .timedOut: tell(Failure(Code.timedOut, "no answer came in time"))
    case .linkDown: tell(Failure(Code.linkDown, "the link ended before the answer came"))
    }
  }
}
