internal import AloftEngine
internal import AloftUV

/// How a mailbox or a connection that was monitored has ended.
public enum EndReason: Hashable, Sendable {
  /// It had ended before, or never was.
  case gone
  /// It was closed, or its worker has ended for good.
  case closed
  /// Its handler failed, and nobody was there to restart it.
  case failed
  /// The runtime was shut down.
  case shutdown
  case connection(CloseReason)

  init(_ reason: AloftEngine.EndReason) {
    self =
      switch reason {
      case .gone: .gone
      case .closed: .closed
      case .failed: .failed
      case .shutdown: .shutdown
      case .connection(let reason): .connection(CloseReason(reason))
      }
  }
}

/// Waits for the end of a mailbox or a connection. It goes on, whether or not it is kept, until
/// that end or `cancel`.
public struct Monitor: Sendable {
  let watch: EndWatch

  /// Any thread. Nothing is told from now on; false when it has been told, or is being told.
  @discardableResult
  public func cancel() -> Bool { watch.cancel() }
}

/// Two mailboxes of which neither goes on without the other.
public struct Link: Sendable {
  let undo: @Sendable () -> Void

  /// Any thread: undoes it. Idempotent.
  public func cancel() { undo() }
}

extension Runtime {
  /// Calls `action` once when the mailbox has ended, or at once when it had before. A worker that
  /// is restarted keeps its mailbox, so that is no end. Any thread; O(1).
  ///
  /// `action` is called on the mailbox's loop and must not block; for one that had ended, on that
  /// loop or the calling thread.
  @discardableResult
  public func monitor(
    _ mailbox: Mailbox, _ action: @escaping @Sendable (EndReason) -> Void
  ) -> Monitor {
    let watch = EndWatch { action(EndReason($0)) }
    AloftEngine.EventLoop.monitor(mailbox.id, watch)
    return Monitor(watch: watch)
  }

  /// The same for a connection.
  @discardableResult
  public func monitor(
    _ connection: Connection, _ action: @escaping @Sendable (EndReason) -> Void
  ) -> Monitor {
    let watch = EndWatch { action(EndReason($0)) }
    AloftEngine.EventLoop.monitor(connection.id, watch)
    return Monitor(watch: watch)
  }

  /// Ties two mailboxes together: the end of one ends the other. A failure of a worker's handler
  /// counts, even though its supervisor restarts it: then the other one fails, too. A worker may
  /// trap that, by `WorkerHandler.linkEnded`. Fires once, and is undone by that; if one has ended
  /// already, at once. Any thread; O(1).
  @discardableResult
  public func link(_ a: Mailbox, _ b: Mailbox) -> Link {
    Link(undo: EndLink.make(a.id, b.id))
  }
}
