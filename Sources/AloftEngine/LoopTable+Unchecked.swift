import Glibc
import Synchronization

/// For callers who are not trusted to know what thread they are on: what is a precondition of
/// `EventLoop` is an answer here. On the table and not on the class, whose static functions would
/// have their metadata looked up for each call.
extension LoopTable {
  /// Where the loop of an ID is.
  package enum Whereabouts {
    /// It is the calling thread's.
    case here(EventLoop)
    /// It runs on another thread.
    case elsewhere
    /// No loop of that number runs.
    case nowhere
  }

  /// Any thread.
  package static func whereabouts(of id: ConnectionID) -> Whereabouts {
    if let owner = unsafe owner(of: id) { return unsafe .here(owner.takeUnretainedValue()) }
    return isElsewhere(id) ? .elsewhere : .nowhere
  }

  @inline(never)
  private static func isElsewhere(_ id: ConnectionID) -> Bool {
    unsafe entries[id.loop].thread.load(ordering: .relaxed) != 0
  }

  /// Any thread. `EventLoop.write`, or nil when the ID's loop runs on another thread. Counts no
  /// reference.
  package static func write(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) -> WriteResult? {
    guard let owner = unsafe owner(of: id) else { return isElsewhere(id) ? nil : .closed }
    return unsafe owner._withUnsafeGuaranteedRef { unsafe $0.write(id, bytes) }
  }

  /// Any thread. `EventLoop.writeFrame`, or nil as above.
  package static func writeFrame(
    _ id: ConnectionID, _ payload: UnsafeRawBufferPointer
  ) -> WriteResult? {
    guard let owner = unsafe owner(of: id) else { return isElsewhere(id) ? nil : .closed }
    return unsafe owner._withUnsafeGuaranteedRef { unsafe $0.writeFrame(id, payload) }
  }

  /// Any thread. The user's word of a connection of the calling thread's loop, else 0.
  package static func context(_ id: ConnectionID) -> UInt {
    guard let owner = unsafe owner(of: id) else { return 0 }
    return unsafe owner._withUnsafeGuaranteedRef { $0.exists(id) ? $0.context(id) : 0 }
  }
}

/// What a caller who may be wrong asks first, on the loop's own thread.
extension EventLoop {
  /// Whether the ID names a connection that has not had its `closed`.
  package func exists(_ id: ConnectionID) -> Bool {
    guard let state = unsafe find(id) else { return false }
    return unsafe state.pointee.phase != .free
  }

  /// Whether it has a socket still, if only to send what is queued.
  package func isAlive(_ id: ConnectionID) -> Bool {
    guard let state = unsafe find(id) else { return false }
    return unsafe state.pointee.phase != .free && state.pointee.phase != .dead
  }

  /// Whether `close` and the like would still do something.
  package func isOpenOrConnecting(_ id: ConnectionID) -> Bool {
    guard let state = unsafe find(id) else { return false }
    return unsafe state.pointee.phase == .open || state.pointee.phase == .connecting
  }

  /// The loop has not begun to end.
  package var isRunning: Bool { unsafe !hot.pointee.stopped }
}
