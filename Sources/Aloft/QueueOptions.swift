internal import AloftAtomics
internal import AloftEngine
internal import AloftQueue

extension Queue {
  /// Limits of a queue, counted in messages.
  public struct Options: Sendable {
    /// What a push to a full queue does that doesn't wait.
    public enum Overflow: Sendable, Hashable {
      /// It is answered `full`.
      case refuse
      /// The oldest message is thrown out and counted, so a push always finds room.
      case dropOldest
    }

    /// Most messages inside, 1 to 2^32; rounded up to a power of two.
    public var capacity = 1_024
    public var overflow = Overflow.refuse
    /// From this many messages on the queue is above its high-water mark. Nil for no marks.
    public var highWater: Int?
    /// Down to this many it stays there. Nil for half of `highWater`.
    public var lowWater: Int?
    /// Told `true` when the queue rises to its high-water mark and `false` when it has fallen to
    /// the low one, in turns and never twice at a time, by whoever pushed or popped. It must not
    /// block; it may use the queue.
    public var onPressure: (@Sendable (Bool) -> Void)?

    public init(capacity: Int = 1_024) { self.capacity = capacity }

    func checked() throws(AloftError) -> QueueOptions {
      guard 1...QueueOptions.capacityMax ~= capacity else {
        throw AloftError(
          .invalidOption,
          "capacity is \(capacity); 1 to \(QueueOptions.capacityMax) are possible")
      }
      let kind: QueueOptions.Overflow = overflow == .refuse ? .refuse : .dropOldest
      guard let highWater else { return QueueOptions(capacity: capacity, overflow: kind) }
      guard 1...capacity ~= highWater else {
        throw AloftError(
          .invalidOption, "highWater is \(highWater); 1 to \(capacity) are possible")
      }
      let low = lowWater ?? highWater / 2
      guard 0..<highWater ~= low else {
        throw AloftError(.invalidOption, "lowWater is \(low); 0 to \(highWater - 1) are possible")
      }
      return QueueOptions(
        capacity: capacity, overflow: kind, highWater: highWater, lowWater: low)
    }
  }
}

/// Tells a program of the water marks of its queue: in turns, however many threads cross them.
final class QueuePressure: @unchecked Sendable {
  // @unchecked: the lock guards all that changes.
  private let call: @Sendable (Bool) -> Void
  private let lock = QueueLock()
  private var isTelling = false
  private var hasChanged = false
  private var told = false

  init(_ call: @escaping @Sendable (Bool) -> Void) { self.call = call }

  /// The caller has crossed a mark. Whoever is telling already tells of it too.
  func tell(of queue: borrowing MPMCQueue) {
    let isMine = lock.withLock { () -> Bool in
      hasChanged = true
      if isTelling { return false }
      isTelling = true
      return true
    }
    guard isMine else { return }
    while true {
      let level = queue.counters.isAboveHighWater
      let next = lock.withLock { () -> Bool? in
        if level == told && !hasChanged {
          isTelling = false
          return nil
        }
        hasChanged = false
        return level
      }
      guard let next else { return }
      if next != told {
        told = next
        call(next)
      }
    }
  }
}
