/// What is asked of one key of a map, and the answer. The key stands in ``Timed``.
public enum MapOperation: Hashable, Sendable {
  /// A look-up and what it found.
  case find(UInt64?)
  /// Insert if absent; `found` is what was there already, `nil` when it was inserted.
  case insert(UInt64, found: UInt64?)
  /// The same where only success is answered.
  case tryInsert(UInt64, Bool)
  /// Replace `expected`; it was replaced when `found` is `expected`.
  case replace(UInt64, with: UInt64, found: UInt64?)
  case tryReplace(UInt64, with: UInt64, Bool)
  /// Remove `expected`; it was removed when `found` is `expected`.
  case remove(UInt64, found: UInt64?)
  case tryRemove(UInt64, Bool)
  /// Store, whatever was there before.
  case put(UInt64, previous: UInt64?)
  /// Remove, whatever was there.
  case take(UInt64?)
}

/// A register that may be empty: one key of a map.
public struct MapModel: SequentialModel {
  public let initial: UInt64?

  public init(initial: UInt64? = nil) { self.initial = initial }

  public func apply(_ operation: MapOperation, to state: inout UInt64?) -> Bool {
    let before = state
    switch operation {
    case .find(let found):
      return found == before
    case .insert(let value, let found):
      if before == nil { state = value }
      return found == before
    case .tryInsert(let value, let done):
      if before == nil { state = value }
      return done == (before == nil)
    case .replace(let expected, let value, let found):
      if before == expected { state = value }
      return found == before
    case .tryReplace(let expected, let value, let done):
      if before == expected { state = value }
      return done == (before == expected)
    case .remove(let expected, let found):
      if before == expected { state = nil }
      return found == before
    case .tryRemove(let expected, let done):
      if before == expected { state = nil }
      return done == (before == expected)
    case .put(let value, let previous):
      state = value
      return previous == before
    case .take(let found):
      state = nil
      return found == before
    }
  }

  public func isReadOnly(_ operation: MapOperation) -> Bool {
    switch operation {
    case .find: true
    case .insert(_, let found): found != nil
    case .replace(let expected, _, let found), .remove(let expected, let found): found != expected
    case .tryInsert(_, let done), .tryReplace(_, _, let done), .tryRemove(_, let done): !done
    case .put(let value, let previous): previous == value
    case .take(let found): found == nil
    }
  }
}
