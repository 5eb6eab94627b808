package import Synchronization

/// Counters of one loop. Its own thread writes them, any thread reads them; each is exact, but two
/// read one after the other may belong to different turns.
@safe
package struct LoopStatistics: ~Copyable {
  /// Connections that began: accepted, or asked for.
  package let began = Atomic<UInt64>(0)
  package let accepted = Atomic<UInt64>(0)
  package let connected = Atomic<UInt64>(0)
  package let refused = Atomic<UInt64>(0)
  package let closed = Atomic<UInt64>(0)
  package let bytesReceived = Atomic<UInt64>(0)
  package let bytesWritten = Atomic<UInt64>(0)
  package let receives = Atomic<UInt64>(0)
  package let turns = Atomic<UInt64>(0)
  package let sleeps = Atomic<UInt64>(0)
  package let timersFired = Atomic<UInt64>(0)
  /// `takeReceived`: by reference; by copy, being small; by copy, the limit of arenas reached.
  package let takenOver = Atomic<UInt64>(0)
  package let takenCopied = Atomic<UInt64>(0)
  package let takenAtLimit = Atomic<UInt64>(0)
  /// Messages written: sent from where they lie; put together with others, being small.
  package let messagesPointed = Atomic<UInt64>(0)
  package let messagesStaged = Atomic<UInt64>(0)

  init() {}
}

extension Atomic<UInt64> {
  /// For the one thread that writes: no locked instruction.
  @inline(__always)
  package borrowing func add(_ amount: UInt64) {
    store(load(ordering: .relaxed) &+ amount, ordering: .relaxed)
  }
}

/// `LoopStatistics`, read.
package struct StatisticsSnapshot: Sendable {
  /// Connections that are open or on their way to it.
  package var open: UInt64 = 0
  package var accepted: UInt64 = 0
  package var connected: UInt64 = 0
  package var refused: UInt64 = 0
  package var closed: UInt64 = 0
  package var bytesReceived: UInt64 = 0
  package var bytesWritten: UInt64 = 0
  package var receives: UInt64 = 0
  package var turns: UInt64 = 0
  package var sleeps: UInt64 = 0
  package var timersFired: UInt64 = 0
  package var takenOver: UInt64 = 0
  package var takenCopied: UInt64 = 0
  package var takenAtLimit: UInt64 = 0
  package var messagesPointed: UInt64 = 0
  package var messagesStaged: UInt64 = 0

  package init() {}

  package mutating func add(_ s: borrowing LoopStatistics) {
    let ends = s.closed.load(ordering: .relaxed)
    let beginnings = s.began.load(ordering: .relaxed)
    closed += ends
    // Read from another thread, an end may be seen before its beginning.
    open += max(beginnings, ends) - ends
    accepted += s.accepted.load(ordering: .relaxed)
    connected += s.connected.load(ordering: .relaxed)
    refused += s.refused.load(ordering: .relaxed)
    bytesReceived += s.bytesReceived.load(ordering: .relaxed)
    bytesWritten += s.bytesWritten.load(ordering: .relaxed)
    receives += s.receives.load(ordering: .relaxed)
    turns += s.turns.load(ordering: .relaxed)
    sleeps += s.sleeps.load(ordering: .relaxed)
    timersFired += s.timersFired.load(ordering: .relaxed)
    takenOver += s.takenOver.load(ordering: .relaxed)
    takenCopied += s.takenCopied.load(ordering: .relaxed)
    takenAtLimit += s.takenAtLimit.load(ordering: .relaxed)
    messagesPointed += s.messagesPointed.load(ordering: .relaxed)
    messagesStaged += s.messagesStaged.load(ordering: .relaxed)
  }
}
