/// Limits and time-outs of one kind of connection. Sizes in bytes, times in milliseconds; a time
/// of 0 means none.
public struct ConnectionSettings: Sendable {
  public enum Framing: Hashable, Sendable {
    /// Bytes as they come.
    case none
    /// Four bytes of length, big-endian, then as many bytes; above the limit the peer is dropped.
    case lengthPrefixed(max: UInt32)
  }

  public var framing = Framing.none
  /// Above this much queued output the connection's own reads pause.
  public var highWater: UInt32 = 64 << 10
  /// At or below it they go on, and who was told `wouldBlock` hears that there is room.
  public var lowWater: UInt32 = 16 << 10
  /// Most output that may be queued; more answers `wouldBlock`.
  public var queuedMax: UInt32 = 1 << 20
  public var idleTimeout: UInt32 = 0
  public var connectTimeout: UInt32 = 10_000
  public var stallTimeout: UInt32 = 30_000

  public init() {}
}

/// What a connection's events are told to. One handler serves many connections, on many loops;
/// each call comes on the connection's own loop and must not block.
///
/// A class to inherit from and not a protocol: the loop's dispatch is then one indirect call. It is
/// open, and so public with all it mentions, because Swift has no access between the two; the
/// module is no product, so nobody outside the package meets it.
open class ConnectionHandler: @unchecked Sendable {
  // @unchecked: the only stored property is immutable; subclasses prove their own.
  public let settings: ConnectionSettings

  public init(settings: ConnectionSettings) { self.settings = settings }

  /// Accepted, or connected.
  open func opened(_ id: ConnectionID) {}
  /// Bytes, or a whole frame: valid until the call returns.
  open func received(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {}
  /// The peer will send no more.
  open func ended(_ id: ConnectionID) {}
  /// There is room again after a `wouldBlock`.
  open func writable(_ id: ConnectionID) {}
  /// The runtime wants to end; finish what is under way and close.
  open func draining(_ id: ConnectionID) {}
  /// The last call for this connection.
  open func closed(_ id: ConnectionID, _ reason: CloseReason) {}
  /// A connection was turned away: a positive errno value, told once per episode.
  open func refused(_ errno: Int32) {}
}
