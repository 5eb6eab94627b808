import Glibc
import Synchronization

/// The process's event loops, by the number that connection IDs carry.
///
/// Entries are never freed, so that a stale ID can be asked about at any time: it finds an empty
/// entry, another loop's thread, or a generation that has gone by.
@safe
package struct LoopTable: ~Copyable {
  @safe
  package struct Entry: ~Copyable {
    let taken = Atomic<Bool>(false)
    /// `pthread_self()` of the loop's thread while it runs, else 0.
    let thread = Atomic<UInt>(0)
    /// Set before `thread` and cleared after it, by the loop's own thread.
    var loop: Unmanaged<EventLoop>?
    /// Generations go on from one loop to the next that has this number.
    var generation: UInt32 = 0
    /// Loops that have had this number.
    var lives: UInt32 = 0
    /// The directory of its mailboxes' gates, made with the first loop of this number.
    let gates = Atomic<UInt>(0)
    /// The loop while it takes messages from threads that hold no reference to it, else 0.
    let receiver = Atomic<UInt>(0)
  }

  // Written once, entries' fields are atomic or the owning thread's alone.
  nonisolated(unsafe) static let entries: UnsafeMutablePointer<Entry> = {
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: ConnectionID.loopsMax)
    for index in 0..<ConnectionID.loopsMax { unsafe (entries + index).initialize(to: Entry()) }
    return unsafe entries
  }()

  /// Any thread. Takes a number for a loop; nil when all 256 are in use.
  static func claim() -> Int? {
    for index in 0..<ConnectionID.loopsMax {
      let (won, _) = unsafe entries[index].taken.compareExchange(
        expected: false, desired: true, ordering: .acquiringAndReleasing)
      if won { return index }
    }
    return nil
  }

  static func release(_ index: Int) {
    unsafe entries[index].taken.store(false, ordering: .releasing)
  }

  /// The loop that owns the ID, if this is its thread.
  @inline(__always)
  static func owner(of id: ConnectionID) -> Unmanaged<EventLoop>? {
    unsafe owner(loop: id.loop)
  }

  @inline(__always)
  static func owner(loop: Int) -> Unmanaged<EventLoop>? {
    let entry = unsafe entries + loop
    guard unsafe entry.pointee.thread.load(ordering: .relaxed) == UInt(pthread_self()) else {
      return nil
    }
    return unsafe entry.pointee.loop
  }
}
