import Synchronization

/// Words that found a loop's inbox full and may not be refused. Any thread pushes, the loop's
/// drains; a node each, so only the rare case pays. Treiber's stack (IBM RJ 5118, 1986), drained
/// whole, which leaves it no ABA problem.
@safe
final class OverflowStack: Sendable {
  private struct Node {
    let word: UInt
    var next: UInt
  }

  private let head = Atomic<UInt>(0)

  init() {}

  deinit { drain { _ in } }

  /// A hint for pushers; exact for the drainer in its sleep protocol (sequentially consistent).
  var isEmpty: Bool { head.load(ordering: .sequentiallyConsistent) == 0 }

  func push(_ word: UInt) {
    let node = UnsafeMutablePointer<Node>.allocate(capacity: 1)
    unsafe node.initialize(to: Node(word: word, next: head.load(ordering: .relaxed)))
    while true {
      // Releases the node's contents to the drainer's acquiring exchange.
      let (done, seen) = unsafe head.weakCompareExchange(
        expected: node.pointee.next, desired: UInt(bitPattern: node),
        successOrdering: .sequentiallyConsistent, failureOrdering: .relaxed)
      if done { return }
      unsafe node.pointee.next = seen
    }
  }

  /// Hands over all words in the order of their pushes.
  func drain(_ body: (UInt) -> Void) {
    guard head.load(ordering: .relaxed) != 0 else { return }
    var taken = head.exchange(0, ordering: .acquiring)
    var reversed: UInt = 0
    while let node = unsafe UnsafeMutablePointer<Node>(bitPattern: taken) {
      taken = unsafe node.pointee.next
      unsafe node.pointee.next = reversed
      reversed = UInt(bitPattern: node)
    }
    while let node = unsafe UnsafeMutablePointer<Node>(bitPattern: reversed) {
      reversed = unsafe node.pointee.next
      body(unsafe node.pointee.word)
      unsafe node.deallocate()
    }
  }
}
