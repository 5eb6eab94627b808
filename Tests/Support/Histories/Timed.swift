import Glibc

/// One operation of a history: what was asked and answered, by which thread, and when.
public struct Timed<Operation> {
  /// Asked and answered, as the model has it.
  public var operation: Operation
  /// Operations of different keys have nothing to do with each other and are judged apart.
  public var key: UInt64
  public var thread: Int
  /// The clock just before the call, in nanoseconds.
  public var invoked: UInt64
  /// The clock just after it. Never before `invoked`.
  public var responded: UInt64

  public init(
    _ operation: Operation, key: UInt64 = 0, thread: Int = 0, invoked: UInt64, responded: UInt64
  ) {
    self.operation = operation
    self.key = key
    self.thread = thread
    self.invoked = invoked
    self.responded = responded
  }
}

extension Timed: Sendable where Operation: Sendable {}

/// The one clock of all lanes: CLOCK_MONOTONIC, which never differs between cores.
enum HistoryClock {
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }
}
