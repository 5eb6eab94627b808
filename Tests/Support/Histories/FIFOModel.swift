/// What is asked of a queue, and the answer. Each value is pushed once at most, so that one can
/// tell which push a pop belongs to.
public enum FIFOOperation: Hashable, Sendable {
  case push(UInt64)
  /// Refused: full.
  case pushFull(UInt64)
  /// Refused: closed.
  case pushClosed(UInt64)
  /// Taken in, and the oldest thrown out for it.
  case pushDropping(UInt64, dropped: UInt64)
  case pop(UInt64)
  /// Nothing there.
  case popEmpty
  /// Nothing there, and nothing will come.
  case popClosed
  case close
  /// How many are waiting.
  case depth(Int)
}

/// A first-in first-out queue, bounded or not, that can be closed: after that it takes nothing in,
/// and says so once it is empty.
public struct FIFOModel: SequentialModel {
  public struct State: Hashable {
    public var items: [UInt64] = []
    public var isClosed = false
  }

  public let capacity: Int
  public var initial: State { State() }

  public init(capacity: Int = .max) { self.capacity = capacity }

  public func apply(_ operation: FIFOOperation, to state: inout State) -> Bool {
    switch operation {
    case .push(let value):
      if state.isClosed || state.items.count >= capacity { return false }
      state.items.append(value)
      return true
    case .pushFull: return !state.isClosed && state.items.count >= capacity
    case .pushClosed: return state.isClosed
    case .pushDropping(let value, let dropped):
      if state.isClosed || state.items.count < capacity || state.items.first != dropped {
        return false
      }
      state.items.removeFirst()
      state.items.append(value)
      return true
    case .pop(let value):
      if state.items.first != value { return false }
      state.items.removeFirst()
      return true
    case .popEmpty: return state.items.isEmpty && !state.isClosed
    case .popClosed: return state.items.isEmpty && state.isClosed
    case .close:
      state.isClosed = true
      return true
    case .depth(let count): return state.items.count == count
    }
  }

  public func isReadOnly(_ operation: FIFOOperation) -> Bool {
    switch operation {
    case .push, .pushDropping, .pop, .close: false
    case .pushFull, .pushClosed, .popEmpty, .popClosed, .depth: true
    }
  }

  /// Of two pushes, the one whose item comes out first probably went in first.
  public func ranks(_ history: [Timed<FIFOOperation>]) -> [UInt64] {
    var takenAt: [UInt64: UInt64] = [:]
    for timed in history {
      switch timed.operation {
      case .pop(let value), .pushDropping(_, let value): takenAt[value] = timed.responded
      default: break
      }
    }
    return history.map { timed in
      switch timed.operation {
      case .push(let value), .pushDropping(let value, _): takenAt[value] ?? .max
      default: timed.responded
      }
    }
  }
}
