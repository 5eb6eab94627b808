/// Why a connection came to its end. Delivered once, last, to its handler.
public enum CloseReason: Hashable, Sendable {
  /// Closed or reset from this side.
  case local
  /// The peer closed, and nothing was left to say.
  case peer
  /// The system's word for it, a positive errno value: `ECONNRESET`, `ECONNREFUSED`, `EPIPE` …
  case system(Int32)
  /// No byte in either direction for the idle time-out.
  case idleTimeout
  case connectTimeout
  /// The peer took no byte of what was queued for it for the stall time-out.
  case writeStalled
  /// The peer announced a frame above the limit; the size it announced.
  case frameTooLarge(UInt32)
  /// The runtime was shut down.
  case shutdown
}
