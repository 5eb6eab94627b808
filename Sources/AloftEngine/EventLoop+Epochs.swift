import AloftAtomics
import Glibc

/// Memory that several threads read and one frees: where loops and other threads say that they
/// hold nothing. See ``Epochs``.
///
/// A loop is pinned from the first turn after a sleep to the next sleep, and announces before each
/// poll that its turn is over. So within a turn, shared memory is read as it is; anywhere else,
/// and in code that any thread may run, within ``withEpoch(_:)``.
extension EventLoop {
  // MARK: The loop's own thread

  /// At the beginning of a turn: a load, and the announcement itself after a sleep.
  @inline(__always)
  func enterEpoch() {
    if !epochs.isPinned(epochSlot) { epochs.pin(epochSlot) }
  }

  /// Between two turns: what the last one found isn't held any more.
  @inline(__always)
  func announceEpoch() {
    if epochs.isPinned(epochSlot) { epochs.announce(epochSlot) }
  }

  /// Before a sleep, and at the end.
  func leaveEpoch() {
    if epochs.isPinned(epochSlot) { epochs.unpin(epochSlot) }
  }

  // MARK: Any thread

  /// Whatever `body` finds stays memory until it returns. Costs a fence on a foreign thread, some
  /// ten nanoseconds, and two stores on a loop; calls may nest. `body` must not wait for anybody:
  /// nothing is freed in the whole process meanwhile.
  package static func withEpoch<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let slot = currentEpochSlot
    Epochs.shared.pin(slot)
    defer { Epochs.shared.unpin(slot) }
    return try body()
  }

  /// The calling thread's place.
  private static var currentEpochSlot: Epochs.Slot {
    if let loop = current { return loop.epochSlot }
    if let word = unsafe pthread_getspecific(epochKey) {
      return Epochs.Slot(word: UInt(bitPattern: word))
    }
    return claimEpochSlot()
  }

  /// A thread's first time. A thread that gets no slot of its own asks again each time.
  @inline(never)
  private static func claimEpochSlot() -> Epochs.Slot {
    let slot = Epochs.shared.claim()
    if slot != .shared {
      unsafe pthread_setspecific(epochKey, UnsafeRawPointer(bitPattern: slot.word))
    }
    return slot
  }

  /// Whose value the system gives back when a thread ends.
  private static let epochKey: pthread_key_t = {
    var key = pthread_key_t()
    let code = unsafe pthread_key_create(&key) { word in
      guard let word = unsafe word else { return }
      Epochs.shared.giveBack(Epochs.Slot(word: UInt(bitPattern: word)))
    }
    precondition(code == 0, "no thread-specific key left")
    return key
  }()
}
