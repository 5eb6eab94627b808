/// What became of a word that was pushed to a ``LoopInbox``.
///
/// The comparisons are written out: a synthesised `==` can't be inlined into other modules, and
/// costs two calls through a witness table there.
public enum PushResult: Equatable, Sendable {
  /// It is in, and the loop will see it without further ado.
  case accepted
  /// It is in, and the caller has to wake the loop: nobody else will.
  case acceptedMustWake
  /// It isn't in. The caller decides: drop, refuse, or try again later.
  case full

  @inlinable @inline(__always)
  public static func == (left: PushResult, right: PushResult) -> Bool {
    switch (left, right) {
    case (.accepted, .accepted), (.acceptedMustWake, .acceptedMustWake), (.full, .full): true
    case (.accepted, _), (.acceptedMustWake, _), (.full, _): false
    }
  }

  @inlinable @inline(__always)
  public static func != (left: PushResult, right: PushResult) -> Bool { !(left == right) }
}

/// What became of several words that were pushed at once.
public struct BulkPushResult: Equatable, Sendable {
  /// So many from the first on are in; the rest is the caller's still.
  public let accepted: Int
  /// The caller has to wake the loop: nobody else will.
  public let mustWake: Bool

  @inlinable @inline(__always)
  public init(accepted: Int, mustWake: Bool) {
    self.accepted = accepted
    self.mustWake = mustWake
  }
}
