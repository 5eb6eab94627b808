internal import Aloft
internal import AloftEngine
import Synchronization

/// Waits for something to be done, or for the reason why it can't be. Any thread.
final class Waiter: Sendable {
  private struct State {
    var outcome: Outcome?
    var continuation: CheckedContinuation<String?, Never>?
  }

  private struct Outcome {
    var failure: String?
  }

  private let state = Mutex<State>(State())

  /// Nil when it is done. The first word counts.
  func end(_ failure: String?) {
    let waiting = state.withLock { state -> CheckedContinuation<String?, Never>? in
      guard state.outcome == nil else { return nil }
      state.outcome = Outcome(failure: failure)
      let waiting = state.continuation
      state.continuation = nil
      return waiting
    }
    waiting?.resume(returning: failure)
  }

  /// Nil when it was done; `late` when nothing was said in time.
  func wait(_ late: String, within limit: Duration, on loop: Aloft.EventLoop) async -> String? {
    let engine = loop.engineLoop
    let milliseconds = UInt64(limit.limitMilliseconds)
    engine.executeUnrefused { [self] in
      _ = engine.startTimer(afterMilliseconds: milliseconds, period: 0, beyondLimit: true) {
        self.end(late)
      }
    }
    return await withCheckedContinuation { continuation in
      let known = state.withLock { state -> Outcome? in
        if let outcome = state.outcome { return outcome }
        state.continuation = continuation
        return nil
      }
      if let known { continuation.resume(returning: known.failure) }
    }
  }
}
