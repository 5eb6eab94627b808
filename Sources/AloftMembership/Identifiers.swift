/// A node's number in its cluster: 1...255, given by the log, never given twice while anybody may
/// remember it. 0 is none.
@frozen
public struct NodeID: RawRepresentable, Hashable, Comparable, Sendable {
  /// The number itself.
  public let rawValue: UInt8

  /// The node with this number.
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// By number.
  @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Which life of a node: the log index of the entry that let it in. A later life has a greater one.
/// 0 before it is let in.
@frozen
public struct Incarnation: RawRepresentable, Hashable, Comparable, Sendable {
  /// The log index.
  public let rawValue: UInt64

  /// The life that began with the entry of this log index.
  @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Earlier lives first.
  @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// The number of a state of the cluster: the log index of the last change of members or slots.
/// Fences messages.
@frozen
public struct Epoch: RawRepresentable, Hashable, Comparable, Sendable {
  /// The log index.
  public let rawValue: UInt64

  /// The state as of this log index.
  @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Earlier states first.
  @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// A term of the replicated log; it has one leader at most.
@frozen
public struct Term: RawRepresentable, Hashable, Comparable, Sendable {
  /// The number of the term.
  public let rawValue: UInt64

  /// The term with this number.
  @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Earlier terms first.
  @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// A part of what the cluster holds, owned by one node at a time: 0..<16,384.
@frozen
public struct Slot: RawRepresentable, Hashable, Comparable, Sendable {
  /// The number of the slot.
  public let rawValue: UInt16

  /// The slot with this number, which is below ``count``.
  @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// How many slots each cluster has.
  @inlinable public static var count: Int { 16_384 }

  /// By number.
  @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}
