internal import AloftCluster
internal import AloftSession

extension Session {
  /// An event of a session's outbox.
  public struct Event: Sendable, Hashable {
    /// One more than that of the event before.
    public let number: UInt64
    public let bytes: [UInt8]
  }

  /// The outbox's events from that number on, those that aren't acknowledged, and then each as it
  /// is published, at whichever node: in order, each once. While somebody iterates, the session is
  /// attached and doesn't expire.
  ///
  /// What comes and isn't taken is kept here: the outbox's limits bound that as long as only who
  /// takes events acknowledges them.
  /// - Throws: ``SessionFailure``; the sequence, too: `closed` or `unknown` when the session is
  ///   over.
  public func subscribe(
    from number: UInt64 = 0
  ) async throws -> AsyncThrowingStream<Event, any Error> {
    let (stream, feed) = AsyncThrowingStream<Event, any Error>.makeStream()
    let kept = Subscription()
    let (id, principal, sessions, deadline) = (id, principal, sessions, sessions.deadline())
    feed.onTermination = { _ in sessions.tell { kept.end($0) } }
    _ = try await sessions.onLoop { inner, done in
      let made = inner.subscribe(
        id, principal, from: number, deadline: deadline,
        { outcome, view in done(Sessions.Answer(outcome, view.map(Contents.init))) },
        told: { feed.yield(Event(number: $0, bytes: $1)) },
        ended: { code in
          feed.finish(throwing: SessionFailure(SessionOutcome(code)))
        })
      kept.begin(made, inner)
    }.checked()
    return stream
  }

  /// The node's part of it, which is the loop's alone.
  private final class Subscription: @unchecked Sendable {
    // @unchecked: see above.
    private var inner: NodeSubscription?
    private var hasEnded = false

    func begin(_ inner: NodeSubscription, _ sessions: ClusterSessions) {
      if hasEnded { return sessions.unsubscribe(inner) }
      self.inner = inner
    }

    func end(_ sessions: ClusterSessions) {
      hasEnded = true
      if let inner = inner.take() { sessions.unsubscribe(inner) }
    }
  }
}
