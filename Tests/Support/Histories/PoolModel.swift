/// What is asked of a pool, and the answer.
public enum PoolOperation: Hashable, Sendable {
  /// This one was given out.
  case lease(Int)
  /// None was free.
  case leaseRefused
  case giveBack(Int)
  /// Given back, and refused because it wasn't out.
  case giveBackRefused(Int)
}

/// A pool of up to 64 things, each of which is out to one borrower at a time.
public struct PoolModel: SequentialModel {
  public let size: Int
  /// Which are out, a bit each.
  public var initial: UInt64 { 0 }

  public init(size: Int) {
    precondition(1...64 ~= size, "a pool of \(size)")
    self.size = size
  }

  public func apply(_ operation: PoolOperation, to state: inout UInt64) -> Bool {
    switch operation {
    case .lease(let index):
      let bit: UInt64 = 1 << UInt64(index)
      if index >= size || state & bit != 0 { return false }
      state |= bit
      return true
    case .leaseRefused: return state.nonzeroBitCount == size
    case .giveBack(let index):
      let bit: UInt64 = 1 << UInt64(index)
      if state & bit == 0 { return false }
      state &= ~bit
      return true
    case .giveBackRefused(let index): return state & (1 << UInt64(index)) == 0
    }
  }

  public func isReadOnly(_ operation: PoolOperation) -> Bool {
    switch operation {
    case .lease, .giveBack: false
    case .leaseRefused, .giveBackRefused: true
    }
  }
}
