import Glibc
import Synchronization

/// A thread that sends to loops it holds no reference to. While it does, it says so in a record of
/// its own, and a loop that is about to go waits for those who are with it.
///
/// Dekker's pattern: the sender stores its mark, then loads the loop's address; the loop clears its
/// address, then loads the marks. All four are sequentially consistent, so one of the two sees the
/// other. The mark is on a line of the thread's own, so nobody else's sends are slowed by it.
@safe
final class ForeignThread: @unchecked Sendable {
  // @unchecked: `next` is written once, before the record is published; the rest is atomic.
  /// One more than the number of the loop that the thread is about to use; 0 for none.
  private let visiting = Atomic<Int>(0)
  private let isTaken = Atomic<Bool>(true)
  private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)
  private var next: Unmanaged<ForeignThread>?

  private init() {}

  /// Records are never freed, but used again by later threads.
  private static let all = Atomic<UInt>(0)

  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    let status = unsafe pthread_key_create(&key) { record in
      guard let record = unsafe record else { return }
      unsafe Unmanaged<ForeignThread>.fromOpaque(record)._withUnsafeGuaranteedRef {
        $0.isTaken.store(false, ordering: .releasing)
      }
    }
    precondition(status == 0, "no thread-specific key left")
    return key
  }()

  /// The calling thread's record.
  private static var current: Unmanaged<ForeignThread> {
    if let record = unsafe pthread_getspecific(key) {
      return unsafe Unmanaged.fromOpaque(record)
    }
    return unsafe enroll()
  }

  @inline(never)
  private static func enroll() -> Unmanaged<ForeignThread> {
    let record = unsafe reuse() ?? add()
    unsafe pthread_setspecific(key, record.toOpaque())
    return unsafe record
  }

  private static func reuse() -> Unmanaged<ForeignThread>? {
    var at = all.load(ordering: .acquiring)
    while let pointer = unsafe UnsafeRawPointer(bitPattern: at) {
      let record = unsafe Unmanaged<ForeignThread>.fromOpaque(pointer)
      let (won, next) = unsafe record._withUnsafeGuaranteedRef { record in
        let (won, _) = record.isTaken.compareExchange(
          expected: false, desired: true, ordering: .acquiringAndReleasing)
        return unsafe (won, record.next)
      }
      if won { return unsafe record }
      at = unsafe UInt(bitPattern: next?.toOpaque())
    }
    return nil
  }

  private static func add() -> Unmanaged<ForeignThread> {
    let record = ForeignThread()
    let kept = unsafe Unmanaged.passRetained(record)
    let address = unsafe UInt(bitPattern: kept.toOpaque())
    var first = all.load(ordering: .acquiring)
    while true {
      unsafe record.next = unsafe UnsafeRawPointer(bitPattern: first).map {
        unsafe Unmanaged.fromOpaque($0)
      }
      let (done, seen) = all.compareExchange(
        expected: first, desired: address, ordering: .acquiringAndReleasing)
      if done { return unsafe kept }
      first = seen
    }
  }

  /// Calls `body` with the loop of that number, which stays until it returns; nil without one.
  static func withLoop<Value>(_ number: Int, _ body: (EventLoop) -> Value) -> Value? {
    let record = unsafe current
    return unsafe record._withUnsafeGuaranteedRef { record in
      record.visiting.store(number + 1, ordering: .sequentiallyConsistent)
      defer { record.visiting.store(0, ordering: .releasing) }
      let address = unsafe LoopTable.entries[number].receiver
        .load(ordering: .sequentiallyConsistent)
      guard let pointer = unsafe UnsafeRawPointer(bitPattern: address) else { return nil }
      return unsafe Unmanaged<EventLoop>.fromOpaque(pointer)._withUnsafeGuaranteedRef(body)
    }
  }

  /// Returns when no thread is with the loop, whose address nobody finds any more.
  static func waitUntilGone(from number: Int) {
    var at = all.load(ordering: .sequentiallyConsistent)
    while let pointer = unsafe UnsafeRawPointer(bitPattern: at) {
      let next = unsafe Unmanaged<ForeignThread>.fromOpaque(pointer)._withUnsafeGuaranteedRef {
        while $0.visiting.load(ordering: .sequentiallyConsistent) == number + 1 { sched_yield() }
        return unsafe $0.next
      }
      at = unsafe UInt(bitPattern: next?.toOpaque())
    }
  }
}
