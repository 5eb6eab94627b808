/// One visible step that a thread of a model is about to take.
struct Operation {
  enum Kind: UInt8 {
    case load, store, exchange, compareExchange, fence
    /// Raises an event counter, as a write to an eventfd does.
    case wake
    /// Waits until the counter isn't 0 and takes it, as a loop does that sleeps on an eventfd.
    case sleep
    /// Would try again what just failed, and again until others have moved on.
    case giveUp
  }

  enum Order: UInt8, Comparable {
    case relaxed, acquire, release, acquireRelease, sequential

    var acquires: Bool { self == .acquire || self >= .acquireRelease }
    var releases: Bool { self >= .release }

    static func < (left: Order, right: Order) -> Bool { left.rawValue < right.rawValue }
  }

  var kind: Kind
  var order: Order
  var word: Int
  var value: UInt = 0
  var expected: UInt = 0
}

/// A seeded fault: one operation on some words gets a weaker order than the algorithm asked for.
struct Weakening {
  var kind: Operation.Kind
  var words: Range<Int>
  var from: Operation.Order
  var to: Operation.Order

  func order(for operation: Operation) -> Operation.Order {
    operation.kind == kind && operation.order == from && words.contains(operation.word)
      ? to : operation.order
  }
}

/// What the checker found: the first execution that goes wrong.
enum Fault: Equatable {
  case race(String)
  case deadlock(String)
  case failure(String)
  /// The model itself was too small for the case, or the case has no end.
  case limit(String)
}
