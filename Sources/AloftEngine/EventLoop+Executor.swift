import Glibc

/// Swift concurrency on a loop: actors with this executor and tasks that prefer it run on the
/// loop's thread, within its turns, without a hop.
extension EventLoop: SerialExecutor, TaskExecutor {
  package func enqueue(_ job: consuming ExecutorJob) { enqueueJob(UnownedJob(job)) }

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
