internal import AloftCluster
internal import AloftEngine
internal import AloftSession

/// What a program does for each session that its node serves.
///
/// ```swift
/// struct Greeter: SessionHandler {
///   func started(_ session: Session, _ contents: Session.Contents, isNew: Bool) {
///     Task { try await session.publish(Array("welcome".utf8)) }
///   }
/// }
/// await node.sessions.serve(Greeter())
/// ```
/// Each session is served by one node of the cluster. When that dies, or gives its slots away, the
/// session is started at another one with the state that was stored, and clients that are attached
/// get the events that they have not acknowledged.
///
/// A node that was cut off learns late that others serve its sessions: until `stopped`, what it
/// writes is refused, so nothing that it believes can do harm.
///
/// **Threads**: the node's loop; must not block. What is to be written is best left to a task, or
/// to the functions of ``Sessions`` that are for the loop.
public protocol SessionHandler: Sendable {
  /// This node serves the session from now on. `isNew`: it was just made. Else it's an older one,
  /// which has been served elsewhere, or here before a restart.
  func started(_ session: Session, _ contents: Session.Contents, isNew: Bool)
  /// Its state or phase has changed, and is this now; several changes may be told of as one.
  func changed(_ session: Session, _ contents: Session.Contents)
  /// An event of that number is in its outbox.
  func published(_ session: Session, number: UInt64)
  /// It's over: closed, or expired.
  func ended(_ session: Session, isExpired: Bool)
  /// Another node serves it, or will; or this node stops.
  func stopped(_ session: Session)
}

extension SessionHandler {
  public func changed(_ session: Session, _ contents: Session.Contents) {}
  public func published(_ session: Session, number: UInt64) {}
  public func ended(_ session: Session, isExpired: Bool) {}
  public func stopped(_ session: Session) {}
}

extension Sessions {
  /// Has `handler` told of each session that this node serves: of those that it serves already at
  /// first, then of what happens to them. One at a time: a former one hears `stopped` of all. Nil:
  /// nobody is told any more. Answers when it's in place.
  public func serve(_ handler: (any SessionHandler)?) async {
    let sessions = self
    _ = await node.onLoop { node in
      let inner = node.sessions
      guard let handler else { return inner.serve(nil) }
      // Whose a session is, for when it's no longer there to be asked.
      let known = Known()
      inner.serve { [weak inner] handling in
        sessions.tell(handler, handling, inner, known)
      }
    }
  }

  /// Whose sessions are.
  private final class Known {
    var principals: [SessionID: Principal] = [:]
  }

  private func tell(
    _ handler: any SessionHandler, _ handling: SessionHandling, _ inner: ClusterSessions?,
    _ known: Known
  ) {
    switch handling {
    case .started(let id, let isNew):
      inner?.look(id) { principal, view in
        known.principals[id] = principal
        handler.started(
          Session(id: id, principal: principal, sessions: self), Session.Contents(view),
          isNew: isNew)
      }
    case .changed(let id):
      inner?.look(id) { principal, view in
        handler.changed(
          Session(id: id, principal: principal, sessions: self), Session.Contents(view))
      }
    case .published(let id, let number):
      guard let session = session(id, known) else { return }
      handler.published(session, number: number)
    case .ended(let id, let isExpired):
      guard let session = session(id, known) else { return }
      known.principals[id] = nil
      handler.ended(session, isExpired: isExpired)
    case .stopped(let id):
      guard let session = session(id, known) else { return }
      known.principals[id] = nil
      handler.stopped(session)
    }
  }

  private func session(_ id: SessionID, _ known: Known) -> Session? {
    known.principals[id].map { Session(id: id, principal: $0, sessions: self) }
  }
}
