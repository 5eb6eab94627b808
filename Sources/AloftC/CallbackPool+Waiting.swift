import AloftEngine
import CAloft
import Synchronization

/// A C function that waits for a lease.
@safe
class LeasedCall: PoolWaiter, @unchecked Sendable {
  // @unchecked: immutable; it is answered once.
  fileprivate let pool: CallbackPool
  private let leased: aloft_leased
  private let context: UnsafeMutableRawPointer?

  init(_ pool: CallbackPool, _ leased: aloft_leased, _ context: UnsafeMutableRawPointer?) {
    self.pool = pool
    unsafe self.leased = unsafe leased
    unsafe self.context = unsafe context
    super.init()
  }

  override func granted(_ lease: UInt64) {
    unsafe leased(Code.success, aloft_lease(id: lease), pool.resource(of: lease), context)
  }

  override func refused(_ refusal: PoolRefused) {
    let code =
      switch refusal {
      case .queueFull: Code.full
      case .timedOut: Code.timedOut
      case .upstreamDown: Code.upstream
      case .closed: Code.closed
      case .cancelled: Code.cancelled
      }
    unsafe leased(code, aloft_lease(id: 0), nil, context)
  }
}

/// One that may be given up, as long as it is in its pool's table.
@safe
final class CancellableCall: LeasedCall, @unchecked Sendable {
  // @unchecked: `id` is set before it waits; the rest is atomic.
  fileprivate(set) var id: UInt64 = 0
  private enum Phase { static let new = 0, waiting = 1, cancelled = 2 }
  private let phase = Atomic<Int>(Phase.new)

  func wait(timeout: UInt64) {
    pool.home.wait(self, timeout: timeout)
    // Given up meanwhile, by one who found nobody waiting.
    if phase.exchange(Phase.waiting, ordering: .acquiringAndReleasing) == Phase.cancelled {
      pool.home.cancel(self)
    }
  }

  func cancel() {
    if phase.exchange(Phase.cancelled, ordering: .acquiringAndReleasing) == Phase.waiting {
      pool.home.cancel(self)
    }
  }

  // It leaves the table first: whoever is answered finds that there is nothing to give up.
  override func granted(_ lease: UInt64) {
    pool.waits.remove(id)
    super.granted(lease)
  }

  override func refused(_ refusal: PoolRefused) {
    pool.waits.remove(id)
    super.refused(refusal)
  }
}

/// The calls of a pool that wait and may be given up, by numbers that are never used again. Any
/// thread; a short lock, for they are off the way of what is idle.
final class WaitTable: @unchecked Sendable {
  // @unchecked: all that is `var` is touched under the lock.
  private let lock = Gate()
  private var calls: [UInt64: CancellableCall] = [:]
  private var last: UInt64 = 0

  func insert(_ call: CancellableCall) -> UInt64 {
    lock.locked {
      last += 1
      call.id = last
      calls[last] = call
      return last
    }
  }

  func remove(_ id: UInt64) { _ = take(id) }

  /// For who gives it up: nobody else will.
  func take(_ id: UInt64) -> CancellableCall? {
    lock.locked { calls.removeValue(forKey: id) }
  }
}
