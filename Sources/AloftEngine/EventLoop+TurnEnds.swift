/// Who gathers output of its own during a turn, to write it all at once at the end.
///
/// A class to inherit from, so public, for the reason that `ConnectionHandler` is.
open class TurnEndHandler: @unchecked Sendable {
  // @unchecked: it has no state; subclasses prove their own.
  public init() {}

  /// On the loop, before what was written is handed to the driver.
  open func turnEnds() {}
}

extension EventLoop {
  /// Has `handler` told once when this turn ends, before its writes go out. Whoever has something
  /// to say asks once a turn, so that a message costs no more than a look at a flag.
  package func whenTurnEnds(_ handler: TurnEndHandler) {
    unsafe hot.pointee.turnEnds.append(handler)
  }

  /// A handler that asks again meanwhile is told in the next round.
  @inline(__always)
  func tellTurnEnds() {
    if unsafe !hot.pointee.turnEnds.isEmpty { tellTurnEndsNow() }
  }

  @inline(never)
  private func tellTurnEndsNow() {
    var handlers: [TurnEndHandler] = unsafe hot.pointee.spareTurnEnds
    unsafe swap(&hot.pointee.turnEnds, &handlers)
    unsafe hot.pointee.spareTurnEnds = []
    for handler in handlers { handler.turnEnds() }
    handlers.removeAll(keepingCapacity: true)
    unsafe hot.pointee.spareTurnEnds = handlers
  }

  /// The clock at the turn's beginning, in nanoseconds; before the first turn, when the loop was
  /// made.
  package var turnTime: UInt64 { unsafe hot.pointee.now }

  /// Hands what was written so far to the driver now: for who writes much within one turn, so that
  /// the peer need not wait for all of it.
  package func flushWrites() {
    preconditionOnLoop()
    submit()
  }
}
