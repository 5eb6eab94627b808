/// Whom a name stands for, in the 64 bits that the tables keep: a mailbox, a connection, or a word
/// of the user's. The low bits tell them apart; a mailbox's ID stands as it is, for it is odd.
///
///     mailbox     [ node 8 ] [ loop 8 ] [ slot 24 ] [ generation 24, odd ]
///     connection  [ loop 8 ] [ slot 20 ] [ generation 28 ] .. 0010, 60 bits, the node left out
///     word        [ 60 bits ] .. 1000
///     record      [ address, a multiple of 16 ] .. 0100: a name that is watched, or a group
@frozen
public struct Target: Hashable, Sendable {
  public let word: UInt64

  @inlinable @inline(__always)
  public init(word: UInt64) { self.word = word }

  @frozen
  public enum Kind: Hashable, Sendable {
    case mailbox, connection, word, record
  }

  @inlinable @inline(__always)
  public var kind: Kind {
    if isMailbox { return .mailbox }
    return word & 2 != 0 ? .connection : word & 4 != 0 ? .record : .word
  }

  @inlinable @inline(__always)
  public var isMailbox: Bool { word & 1 != 0 }
  /// A mailbox of another node.
  public var isRemote: Bool { isMailbox && 1...254 ~= word >> 56 }
  @inlinable @inline(__always)
  var isRecord: Bool { word & 7 == 4 }

  /// A mailbox by its raw ID, or a connection by its own. An even one was never given out; so that
  /// it isn't taken for something else, it becomes one of a node that there isn't.
  @inlinable @inline(__always)
  public static func mailbox(_ rawValue: UInt64) -> Target {
    Target(word: rawValue & 1 != 0 ? rawValue : rawValue | 0xFF &<< 56 | 1)
  }
  @inlinable @inline(__always)
  public static func connection(_ rawValue: UInt64) -> Target {
    Target(word: rawValue &<< 4 & ~(0xFF &<< 60) | 2)
  }
  /// A word of 60 bits at most.
  @inlinable @inline(__always)
  public static func word(_ value: UInt64) -> Target { Target(word: value &<< 4 | 8) }

  /// The raw ID, or the user's word.
  @inlinable @inline(__always)
  public var rawValue: UInt64 { isMailbox ? word : word &>> 4 }

  // MARK: The owner, which a name goes away with

  /// The number of the owner's event loop; nil for a target that never ends, as far as this process
  /// can tell: whoever registers a mailbox of another node takes its names away again.
  var loop: Int? {
    switch kind {
    case .mailbox: isRemote ? nil : Int(truncatingIfNeeded: word >> 48 & 0xFF)
    case .connection: Int(truncatingIfNeeded: word >> 52 & 0xFF)
    case .word, .record: nil
    }
  }

  var slot: Int {
    isMailbox
      ? Int(truncatingIfNeeded: word >> 24 & 0xFF_FFFF)
      : Int(truncatingIfNeeded: word >> 32 & 0xF_FFFF)
  }

  var generation: UInt {
    isMailbox ? UInt(word & 0xFF_FFFF) : UInt(word >> 4 & 0xFFF_FFFF)
  }

  /// The owner in the same place whose generation is another one.
  func earlier(_ generation: UInt) -> Target {
    isMailbox
      ? Target(word: word & ~0xFF_FFFF | UInt64(generation))
      : Target(word: word & ~(0xFFF_FFFF << 4) | UInt64(generation) << 4)
  }
}
