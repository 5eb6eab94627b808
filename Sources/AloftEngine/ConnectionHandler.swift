/// Limits and time-outs of one kind of connection. Sizes in bytes, times in milliseconds; a time
/// of 0 means none.
package struct ConnectionSettings: Sendable {
  package enum Framing: Hashable, Sendable {
    /// Bytes as they come.
    case none
    /// Four bytes of length, big-endian, then as many bytes; above the limit the peer is dropped.
    case lengthPrefixed(max: UInt32)
  }

  package var framing = Framing.none
  /// Above this much queued output the connection's own reads pause.
  package var highWater: UInt32 = 64 << 10
  /// At or below it they go on, and who was told `wouldBlock` hears that there is room.
  package var lowWater: UInt32 = 16 << 10
  /// Most output that may be queued; more answers `wouldBlock`.
  package var queuedMax: UInt32 = 1 << 20
  package var idleTimeout: UInt32 = 0
  package var connectTimeout: UInt32 = 10_000
  package var stallTimeout: UInt32 = 30_000

  package init() {}
}

/// What a connection's events are told to. One handler serves many connections, on many loops;
/// each call comes on the connection's own loop and must not block.
///
/// A class to inherit from and not a protocol: the loop's dispatch is then one indirect call.
package class ConnectionHandler: @unchecked Sendable {
  // @unchecked: the only stored property is immutable; subclasses prove their own.
  package let settings: ConnectionSettings

  package init(settings: ConnectionSettings) { self.settings = settings }

  /// Accepted, or connected.
  package func opened(_ id: ConnectionID) {}
  /// Bytes, or a whole frame: valid until the call returns.
  package func received(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {}
  /// The peer will send no more.
  package func ended(_ id: ConnectionID) {}
  /// There is room again after a `wouldBlock`.
  package func writable(_ id: ConnectionID) {}
  /// The runtime wants to end; finish what is under way and close.
  package func draining(_ id: ConnectionID) {}
  /// The last call for this connection.
  package func closed(_ id: ConnectionID, _ reason: CloseReason) {}
  /// A connection was turned away: a positive errno value, told once per episode.
  package func refused(_ errno: Int32) {}
}
