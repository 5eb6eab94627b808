import AloftAtomics
import Synchronization

/// One change of what a name stands for, or of a group's members.
public struct NameChange: Hashable, Sendable {
  /// Whom the name no longer stands for, or who has left.
  public var gone: Target?
  /// Whom it stands for from now on, or who has joined. With both, it was handed over.
  public var came: Target?
  /// Counted up by one with each change of the name while it is watched.
  public var number: UInt

  init(gone: Target? = nil, came: Target? = nil, number: UInt = 0) {
    self.gone = gone
    self.came = came
    self.number = number
  }
}

/// Somebody who wants to hear of a name's changes: a queue from any threads to the one that tells.
///
/// The thread that made a change pushes it, so changes may arrive out of their order; but they are
/// numbered without gaps, and what came too early waits here for what is still being pushed.
///
/// **Threads**: `push` any; `deliver` one, to which `wake` has it called; `cancel` any.
@safe
open class Watch: @unchecked Sendable {
  // @unchecked: `pending` and `expected` are the delivering thread's, but for `begin`, which comes
  // before the watch is published; the rest is atomic.
  private struct Node {
    var change: NameChange
    var next: UInt
  }

  private let arrived = Atomic<UInt>(0)
  private let isAwake = Atomic<Bool>(false)
  private let isCancelled = Atomic<Bool>(false)
  private var expected: UInt = 0
  private var early: [NameChange] = []

  public init() {}

  deinit { takeAll { _ in } }

  /// Overridden: sees to it that `deliver` is called, soon and on the watch's own thread.
  open func wake() {}

  /// Overridden: tells of one change. On the watch's own thread.
  open func tell(_ change: NameChange) {}

  /// Before the watch is published: the number of the last change that it is not told of.
  func begin(after number: UInt) { expected = number &+ 1 }

  /// Any thread. From when this returns nothing more is told, but for a call that has begun: there
  /// is none of those when the watch's own thread cancels.
  public func cancel() { isCancelled.store(true, ordering: .releasing) }

  func push(_ change: NameChange) {
    if isCancelled.load(ordering: .relaxed) { return }
    let node = UnsafeMutablePointer<Node>.allocate(capacity: 1)
    unsafe node.initialize(to: Node(change: change, next: arrived.load(ordering: .relaxed)))
    while true {
      // Releases the node's contents to the acquiring exchange of whoever delivers.
      let (done, seen) = unsafe arrived.weakCompareExchange(
        expected: node.pointee.next, desired: UInt(bitPattern: node),
        successOrdering: .sequentiallyConsistent, failureOrdering: .relaxed)
      if done { break }
      unsafe node.pointee.next = seen
    }
    if !isAwake.exchange(true, ordering: .sequentiallyConsistent) { wake() }
  }

  /// The watch's own thread: tells all that is known, in order.
  public func deliver() {
    // Before the look: who pushes after it wakes again.
    _ = isAwake.exchange(false, ordering: .sequentiallyConsistent)
    takeAll { early.append($0) }
    guard !early.isEmpty else { return }
    // Signed distances, for the numbers go round.
    early.sort { Int(bitPattern: $0.number &- expected) < Int(bitPattern: $1.number &- expected) }
    var told = 0
    while told < early.count, early[told].number == expected {
      if isCancelled.load(ordering: .acquiring) { break }
      let change = early[told]
      told += 1
      expected &+= 1
      tell(change)
    }
    if isCancelled.load(ordering: .acquiring) { early = [] } else { early.removeFirst(told) }
  }

  private func takeAll(_ body: (NameChange) -> Void) {
    var taken = arrived.exchange(0, ordering: .sequentiallyConsistent)
    while let node = unsafe UnsafeMutablePointer<Node>(bitPattern: taken) {
      taken = unsafe node.pointee.next
      body(unsafe node.pointee.change)
      unsafe node.deallocate()
    }
  }
}
