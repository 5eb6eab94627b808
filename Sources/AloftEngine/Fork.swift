import Glibc
import Synchronization

/// A process that was forked from one with event loops has their memory and not their threads. What
/// it sends would wait for ever, and whoever it waits for has stayed behind. So the child is told:
/// no loop is found by its number, none takes jobs, and no thread is one's.
package enum Fork {
  private static let child = Atomic<Bool>(false)

  /// Whether this process is such a child, which may call `exec` and little else.
  package static var isChild: Bool { child.load(ordering: .relaxed) }

  /// With the process's first loop: asks to be called in children. Everything that the handler
  /// touches has been made by then, for a child can't wait for another thread's first use of it.
  static let isWatched: Void = {
    child.store(false, ordering: .relaxed)
    LoopTable.touch()
    pthread_atfork(nil, nil) { Fork.begin() }
  }()

  /// In the child, on its only thread, before `fork` returns there.
  private static func begin() {
    child.store(true, ordering: .relaxed)
    LoopTable.abandonAll()
    EventLoop.forgetCurrent()
  }
}

extension LoopTable {
  static func touch() { _ = unsafe entries }

  /// The process has lost its loops' threads.
  static func abandonAll() {
    for index in 0..<ConnectionID.loopsMax {
      let entry = unsafe entries + index
      unsafe entry.pointee.thread.store(0, ordering: .relaxed)
      unsafe entry.pointee.receiver.store(0, ordering: .relaxed)
      unsafe entry.pointee.loop?._withUnsafeGuaranteedRef {
        $0.stopRequested.store(true, ordering: .relaxed)
      }
    }
  }
}
