package import AloftEngine
import Glibc

/// A lock, and a door that opens once and lets all who wait pass. For calls that may block, which
/// no loop's thread makes.
@safe
package final class Gate: @unchecked Sendable {
  // @unchecked: what it guards is touched under the mutex.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var isOpen = false

  package init() {
    unsafe mutex = .allocate(capacity: 1)
    unsafe condition = .allocate(capacity: 1)
    unsafe mutex.initialize(to: pthread_mutex_t())
    unsafe condition.initialize(to: pthread_cond_t())
    unsafe pthread_mutex_init(mutex, nil)
    unsafe pthread_cond_init(condition, nil)
  }

  deinit {
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  package func locked<Value>(_ body: () -> Value) -> Value {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return body()
  }

  package func open() {
    locked {
      isOpen = true
      unsafe pthread_cond_broadcast(condition)
    }
  }

  package func wait() {
    locked {
      while !isOpen { unsafe pthread_cond_wait(condition, mutex) }
    }
  }
}

extension EventLoop {
  /// What was asked of a loop, on its way. When it is released the one who waits goes on: because
  /// it has run, or because the loop has ended and never will run it.
  private final class Question: @unchecked Sendable {
    // @unchecked: `failure` is written before the gate opens and read after.
    let gate: Gate
    init(_ gate: Gate) { self.gate = gate }
    deinit { gate.open() }
  }

  private final class Answer: @unchecked Sendable {
    // @unchecked: as above.
    var failure: Failure? = .shutDown
  }

  /// Has `body` run on this loop and waits for it. Not on any loop's thread.
  package func ask(_ body: @escaping @Sendable () throws(Failure) -> Void) throws(Failure) {
    let gate = Gate()
    let answer = Answer()
    send(Question(gate), answer, body)
    gate.wait()
    if let failure = answer.failure { throw failure }
  }

  private func send(
    _ question: consuming Question, _ answer: Answer,
    _ body: @escaping @Sendable () throws(Failure) -> Void
  ) {
    executeUnrefused { [question] in
      do throws(Failure) {
        try body()
        answer.failure = nil
      } catch {
        answer.failure = error
      }
      _ = question
    }
  }
}
