/// What became of a word that was pushed to a ``MPMCRing``.
public enum RingPush: UInt8, Sendable {
  /// It is in.
  case accepted
  /// It is in, and the caller has to serve those who wait for an item.
  case acceptedMustServe
  /// It isn't in: there is no slot for it. Asked for exactly: at one moment of the call every slot
  /// was taken; else it may have been `busy`.
  case full
  /// It isn't in: a consumer is under way with the slot that comes next. Slots behind it may be
  /// free already, but the order doesn't allow to use them first.
  case busy
  /// It isn't in, and nothing will ever be.
  case closed

  @inlinable @inline(__always)
  public var isAccepted: Bool { rawValue <= RingPush.acceptedMustServe.rawValue }

  @inlinable @inline(__always)
  public static func == (left: RingPush, right: RingPush) -> Bool {
    left.rawValue == right.rawValue
  }
}

/// What a pop from a ``MPMCRing`` found.
public enum RingPop: UInt8, Sendable {
  /// A word.
  case item
  /// A word, and the caller has to serve those who wait for room.
  case itemMustServe
  /// Nothing to take. Asked for exactly: at one moment of the call no slot was taken; else it may
  /// have been `busy` or `closed`.
  case empty
  /// Nothing yet: a producer is under way with the item that comes next.
  case busy
  /// Nothing, and nothing will come.
  case closed

  @inlinable @inline(__always)
  public var isItem: Bool { rawValue <= RingPop.itemMustServe.rawValue }

  @inlinable @inline(__always)
  public static func == (left: RingPop, right: RingPop) -> Bool {
    left.rawValue == right.rawValue
  }
}
