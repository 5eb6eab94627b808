package import AloftSupervision

/// What a supervisor starts and stops. All calls come on the supervisor's loop; the answers are
/// `Supervisor.childStarted` and `childEnded`, there too, at once or later.
package protocol SupervisedChild: AnyObject, Sendable {
  var name: String? { get }
  /// Where it is: for the supervisor's loop.
  var place: (supervisor: Supervisor, id: ChildID)? { get }
  /// Told once, when it is taken in.
  func adopted(by supervisor: Supervisor, as id: ChildID)
  /// Answered by `childStarted`, or `childEnded`.
  func start()
  /// In order. Answered by `childEnded`, unless it has ended meanwhile. `keep`: it will be started
  /// again, with what waits for it.
  func stop(keep: Bool)
  /// By force; the same answer.
  func kill(keep: Bool)
  /// It is down and stays down, unless it is told to start.
  func release()
  /// It is down and forgotten.
  func remove()
}

/// Why a worker has failed, where the engine says so.
package enum WorkerFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// A message took so many milliseconds, of so many allowed.
  case messageTookTooLong(milliseconds: UInt64, limit: UInt64)
  /// It has not reported progress for so many milliseconds.
  case noProgress(milliseconds: UInt64)
  /// One that it was linked to has ended.
  case linkEnded
  /// It was told to, by `fail`.
  case told
  /// A process ended with this exit code.
  case exited(code: Int32)
  /// A process was ended by this signal.
  case signaled(Int32)
  /// A process has ended, and the application has waited for it before we could.
  case endedUnseen
  /// A supervisor below has ended.
  case supervisorEnded(String)

  package var description: String {
    switch self {
    case .messageTookTooLong(let took, let limit):
      "a message took \(took) ms, and \(limit) ms are allowed"
    case .noProgress(let milliseconds): "no progress was reported for \(milliseconds) ms"
    case .linkEnded: "one that it was linked to has ended"
    case .told: "it was told to fail"
    case .exited(let code): "the process exited with \(code)"
    case .signaled(let number): "the process was ended by signal \(number)"
    case .endedUnseen: "the process has ended; somebody else has waited for it"
    case .supervisorEnded(let why): why
    }
  }
}

/// What a supervisor tells its observer, on its loop.
package enum SupervisorEvent {
  case restarting(name: String?, ChildID, (any Error)?, afterMilliseconds: UInt64)
  case started(name: String?, ChildID)
  case ended(SupervisorEnd, (any Error)?)
}
