package import AloftSession

/// Answers that need not come from the owner, or not at once.
extension ClusterSessions {
  /// The session as this node knows it, unless that is behind `token`, the greatest version that
  /// whoever asks was ever answered; else as its owner knows it. So nobody goes back in time, and
  /// who reads where he wrote, or where the log has come to, spares the way to the owner.
  package func read(
    _ id: SessionID, _ principal: Principal, atLeast token: UInt64, deadline: UInt64,
    _ answer: @escaping (SessionOutcome, SessionView?) -> Void
  ) {
    switch store.read(id, by: principal, token: token) {
    case .found(let ref):
      statistics.readsHere += 1
      view(ref, answer)
    case .refused(let outcome):
      switch outcome.code {
      // What this node has never heard of may have been made a moment ago.
      case .behind, .unknown: query(.read, id, principal, deadline: deadline, answer)
      default: answer(outcome, nil)
      }
    }
  }

  /// Has `attempt` tried now, and whenever slots have changed hands or the secret is known, until
  /// it has what it waits for.
  package func whenReady(_ attempt: @escaping () -> Bool) {
    if hasStopped || attempt() { return }
    readyWaiters.append(attempt)
  }

  func becameReady() {
    if readyWaiters.isEmpty { return }
    let waiters = readyWaiters
    readyWaiters = []
    for attempt in waiters where !attempt() { readyWaiters.append(attempt) }
  }
}
