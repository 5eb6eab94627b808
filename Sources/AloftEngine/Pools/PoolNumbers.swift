import AloftAtomics
import Synchronization

/// The numbers of the process's pools, which leases carry: so a lease of another pool is found
/// out. A bit each; number 0 is nobody's.
enum PoolNumbers {
  private final class Words: Sendable {
    let bits = Atomic<UInt64>(0)
  }

  private static let words = (0..<LeaseHandle.poolsMax / 64).map { _ in Words() }

  /// Any thread; nil when all are in use.
  static func claim() -> Int? {
    for index in words.indices {
      var used = words[index].bits.load(ordering: .relaxed)
      while true {
        let free = ~used & (index == 0 ? ~1 : .max)
        if free == 0 { break }
        let bit = free.trailingZeroBitCount
        let (done, seen) = words[index].bits.compareExchange(
          expected: used, desired: used | 1 << UInt64(bit), ordering: .acquiringAndReleasing)
        if done { return index * 64 + bit }
        used = seen
      }
    }
    return nil
  }

  static func release(_ number: Int) {
    words[number / 64].bits.bitwiseAnd(
      ~(1 << UInt64(number % 64)), ordering: .acquiringAndReleasing)
  }
}
