import Glibc

/// Swift concurrency on a loop: actors with this executor and tasks that prefer it run on the
/// loop's thread, within its turns, without a hop.
extension EventLoop: SerialExecutor, TaskExecutor {
  /// For actors.
  package func enqueue(_ job: consuming ExecutorJob) { enqueueJob(UnownedJob(job), Tag.executor) }

  /// For tasks that prefer the loop. Run as if it were an actor's, such a task would be enqueued
  /// anew at each of its calls: the runtime takes its way from an actor to no actor for a hop.
  @_implements(TaskExecutor,enqueue(_:))
  package func enqueuePreferring(_ job: consuming ExecutorJob) {
    enqueueJob(UnownedJob(job), Tag.task)
  }

  package var unownedExecutor: UnownedSerialExecutor {
    unsafe asUnownedSerialExecutor()
  }

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    unsafe UnownedSerialExecutor(ordinary: self)
  }

  package func checkIsolated() { preconditionOnLoop() }

  package func isIsolatingCurrentContext() -> Bool? { isCurrent }
}

/// The system's word for an errno value.
package func describeErrno(_ errno: Int32) -> String {
  unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
    // The XSI form, which fills the buffer.
    guard unsafe strerror_r(errno, buffer.baseAddress!, 128) == 0 else { return "errno \(errno)" }
    return unsafe String(cString: buffer.baseAddress!)
  }
}
