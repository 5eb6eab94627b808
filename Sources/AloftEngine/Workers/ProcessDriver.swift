/// What a driver that can start processes offers beside `Driver`. On the loop's thread.
package protocol ProcessDriver: Driver {
  /// Blocks until the process has become its program, or failed to: some 0.5 ms. An `exited` event
  /// with the tag follows a success.
  func startProcess(_ spawn: ProcessSpawn, tag: UInt64) -> DriverResult<StartedProcess>
  /// 0, or a negative errno value: `-ESRCH` when it has ended.
  func signalProcess(_ handle: UInt, _ number: Int32) -> Int32
  /// Once for each process; one that still runs is killed.
  func freeProcess(_ handle: UInt)
}

/// A program and what it is given.
package struct ProcessSpawn: Sendable, Hashable {
  /// One of the worker's descriptors 0 to 3; it has no others.
  package enum Descriptor: Sendable, Hashable {
    case closed
    case null
    /// The worker's end of the socket pair by which it is spoken to.
    case channel
    /// One of ours.
    case inherited(Int32)
  }

  package var path: String
  /// Behind the program's name.
  package var arguments: [String] = []
  /// `NAME=value`, all of them.
  package var environment: [String] = []
  package var directory: String?
  package var descriptors: [Descriptor] = [.null, .inherited(1), .inherited(2), .channel]

  package init(path: String) { self.path = path }
}

package struct StartedProcess {
  package var handle: UInt
  package var pid: Int32
  /// Our end of the channel, to be adopted or discarded.
  package var channel: Int32

  package init(handle: UInt, pid: Int32, channel: Int32) {
    self.handle = handle
    self.pid = pid
    self.channel = channel
  }
}

/// How a process has ended.
package enum ProcessEnd: Hashable, Sendable {
  case exited(code: Int32)
  case signaled(Int32)
  /// Somebody else in this process has waited for it.
  case unknown

  package var failure: WorkerFailure? {
    switch self {
    case .exited(0): nil
    case .exited(let code): .exited(code: code)
    case .signaled(let number): .signaled(number)
    case .unknown: .endedUnseen
    }
  }
}
