import Glibc

/// A lock of the system's, for the lists of those who wait: off the hot path, held for a few
/// instructions.
@safe
package final class QueueLock: @unchecked Sendable {
  // @unchecked: the pointer is immutable, and what it points to is the system's to guard.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>

  package init() {
    unsafe mutex = .allocate(capacity: 1)
    unsafe mutex.initialize(to: pthread_mutex_t())
    unsafe pthread_mutex_init(mutex, nil)
  }

  deinit {
    unsafe pthread_mutex_destroy(mutex)
    unsafe mutex.deallocate()
  }

  package func withLock<Value>(_ body: () -> Value) -> Value {
    lock()
    defer { unlock() }
    return body()
  }

  // For who has borrowed what can't be used in a closure.
  func lock() { unsafe _ = pthread_mutex_lock(mutex) }
  func unlock() { unsafe _ = pthread_mutex_unlock(mutex) }
}
