import AloftAtomics
import CBenchBricks

/// Hops through the ring of several producers and consumers, as in `peers/peer_queue.h`.
enum MicroQueue {
  private static let capacity = 1024
  private static let itemsLeast: UInt = 1 << 18

  static func serve(pairs: Int, cores: [Int]) {
    var items = itemsLeast
    MicroRound.serve(ready: nil) { _ in
      while true {
        let taken = pass(pairs: pairs, cores: cores, items: items)
        if taken >= Double(MicroRound.nanoseconds) { return taken / Double(items) }
        items *= 2
      }
    }
  }

  /// Nanoseconds that it takes to bring all items through a new ring.
  private static func pass(pairs: Int, cores: [Int], items: UInt) -> Double {
    let ring = SharedRing(capacity: capacity)
    let each = items / UInt(pairs)
    let producers = (0..<pairs).map { index -> @Sendable () -> Double in
      { produce(ring.ring, from: UInt(index) * each + 1, count: each) }
    }
    let consumers = (0..<pairs).map { _ -> @Sendable () -> Double in
      { consume(ring.ring, count: each) }
    }
    let places = (0..<2 * pairs).map { $0 < pairs ? cores[0] : cores[1] }
    let (taken, sums) = MicroTeam.run(cores: places, producers + consumers)
    // Sums of at most 2^53, which a Double holds exactly.
    let even = sums.prefix(pairs).reduce(0, +) == sums.suffix(pairs).reduce(0, +)
    precondition(even, "what came out is not what went in")
    return taken
  }

  private final class SharedRing: Sendable {
    let ring: MPMCRing
    init(capacity: Int) { ring = MPMCRing(capacity: capacity) }
  }

  @inline(never)
  private static func produce(_ ring: borrowing MPMCRing, from first: UInt, count: UInt) -> Double {
    var idle: UInt32 = 0
    var sum: UInt = 0
    var sent: UInt = 0
    while sent < count {
      guard ring.push(first &+ sent) else {
        twin_wait(&idle)
        continue
      }
      idle = 0
      sum &+= first &+ sent
      sent &+= 1
    }
    return Double(sum)
  }

  @inline(never)
  private static func consume(_ ring: borrowing MPMCRing, count: UInt) -> Double {
    var idle: UInt32 = 0
    var sum: UInt = 0
    var got: UInt = 0
    while got < count {
      guard let item = ring.pop() else {
        twin_wait(&idle)
        continue
      }
      idle = 0
      sum &+= item
      got &+= 1
    }
    return Double(sum)
  }
}
