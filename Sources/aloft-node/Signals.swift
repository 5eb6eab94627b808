import ArgumentParser
import Glibc
import Synchronization

/// SIGTERM, SIGINT and SIGHUP, and `stop`, as a stream of requests.
final class Signals: Sendable {
  enum Request { case stop, reload }

  let requests: AsyncStream<Request>
  private let continuation: AsyncStream<Request>.Continuation
  /// Its end will be no failure: it was asked to leave.
  let isLeaving = Atomic<Bool>(false)

  /// Once in a process. Handlers, and not signals that are blocked and waited for: Swift's main
  /// thread waits in a call that lets them through.
  init() throws {
    var pipes: [Int32] = [0, 0]
    guard unsafe pipe(&pipes) == 0 else { throw ValidationError("no pipe is left") }
    (requests, continuation) = AsyncStream.makeStream()
    unsafe pipeEnd = pipes[1]
    for number in [SIGTERM, SIGINT, SIGHUP] {
      var action = sigaction()
      unsafe action.__sigaction_handler.sa_handler = { number in
        let before = errno
        var byte = UInt8(truncatingIfNeeded: number)
        _ = unsafe write(pipeEnd, &byte, 1)
        errno = before
      }
      action.sa_flags = SA_RESTART
      unsafe sigaction(number, &action, nil)
    }
    // Who starts us may have had them blocked.
    var all = sigset_t()
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_UNBLOCK, &all, nil)
    Self.startReading(pipes[0]) { [continuation] number in
      continuation.yield(number == SIGHUP ? .reload : .stop)
    }
  }

  func stop() { continuation.yield(.stop) }

  private final class Reading: Sendable {
    let end: Int32
    let told: @Sendable (Int32) -> Void

    init(_ end: Int32, _ told: @escaping @Sendable (Int32) -> Void) {
      self.end = end
      self.told = told
    }
  }

  /// On a thread that nobody joins, for reading blocks.
  private static func startReading(_ end: Int32, _ told: @escaping @Sendable (Int32) -> Void) {
    var thread = pthread_t()
    let context = unsafe Unmanaged.passRetained(Reading(end, told)).toOpaque()
    let status = unsafe pthread_create(
      &thread, nil,
      { context in
        let reading = unsafe Unmanaged<Reading>.fromOpaque(context.unsafelyUnwrapped)
          .takeRetainedValue()
        var byte: UInt8 = 0
        while true {
          let count = unsafe read(reading.end, &byte, 1)
          if count == 1 { reading.told(Int32(byte)) }
          if count == 0 || count < 0 && errno != EINTR { return nil }
        }
      }, context)
    precondition(status == 0, "no thread: \(status)")
    pthread_detach(thread)
  }
}

/// Where the handler writes: set before it is installed, and never again.
private nonisolated(unsafe) var pipeEnd: Int32 = -1
