internal import AloftEngine
import Glibc

/// What happens on connections, told as it happens: the form for the hot path.
///
/// One handler may serve many connections on many loops. Each call comes on the connection's own
/// event loop, never two at a time for one connection, and must not block: while it runs, the
/// loop's other connections wait. State of a handler that serves several loops must be safe to
/// share.
///
/// ```swift
/// final class Echo: ConnectionHandler {
///   func received(_ connection: Connection, _ bytes: RawSpan) {
///     connection.write(bytes)
///   }
/// }
/// ```
public protocol ConnectionHandler: AnyObject, Sendable {
  /// Accepted, or connected. The first call.
  func opened(_ connection: Connection)
  /// Bytes, or with framing a whole message. They are valid until the call returns.
  func received(_ connection: Connection, _ bytes: RawSpan)
  /// The peer will send no more. Does `close` unless you say otherwise.
  func readClosed(_ connection: Connection)
  /// There is room again, after a write was answered `wouldBlock`.
  func writable(_ connection: Connection)
  /// The runtime is being shut down. Does `close` unless you say otherwise.
  func draining(_ connection: Connection)
  /// The last call. A connection that was refused gets this one alone.
  func closed(_ connection: Connection, reason: CloseReason)
  /// A listener had to turn a connection away; told once, until one is accepted again.
  func refused(_ error: AloftError)
}

extension ConnectionHandler {
  public func opened(_ connection: Connection) {}
  public func readClosed(_ connection: Connection) { connection.close() }
  public func writable(_ connection: Connection) {}
  public func draining(_ connection: Connection) { connection.close() }
  public func closed(_ connection: Connection, reason: CloseReason) {}
  public func refused(_ error: AloftError) {}
}

/// Why a connection has ended.
public enum CloseReason: Hashable, Sendable {
  /// Closed or reset from this side.
  case local
  /// Both sides had finished.
  case peer
  /// The system's word for it, a positive errno value: `ECONNRESET`, `ECONNREFUSED`, `EPIPE` …
  case system(errno: Int32)
  case idleTimeout
  case connectTimeout
  /// The peer took nothing of what was queued for it.
  case writeStalled
  /// The peer announced a message above the limit; its size in bytes.
  case frameTooLarge(Int)
  /// The runtime was shut down.
  case shutdown

  init(_ reason: AloftEngine.CloseReason) {
    self =
      switch reason {
      case .local: .local
      case .peer: .peer
      case .system(let errno): .system(errno: errno)
      case .idleTimeout: .idleTimeout
      case .connectTimeout: .connectTimeout
      case .writeStalled: .writeStalled
      case .frameTooLarge(let bytes): .frameTooLarge(Int(bytes))
      case .shutdown: .shutdown
      }
  }
}

/// Between the engine's handler class and the user's protocol.
final class HandlerAdapter<Handler: ConnectionHandler>: AloftEngine.ConnectionHandler,
  @unchecked Sendable
{
  // @unchecked: both stored properties are immutable and Sendable.
  private let handler: Handler

  init(_ handler: Handler, settings: ConnectionSettings) {
    self.handler = handler
    super.init(settings: settings)
  }

  override func opened(_ id: ConnectionID) { handler.opened(Connection(id)) }

  override func received(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {
    unsafe handler.received(Connection(id), bytes.bytes)
  }

  override func ended(_ id: ConnectionID) { handler.readClosed(Connection(id)) }

  override func writable(_ id: ConnectionID) { handler.writable(Connection(id)) }

  override func draining(_ id: ConnectionID) { handler.draining(Connection(id)) }

  override func closed(_ id: ConnectionID, _ reason: AloftEngine.CloseReason) {
    handler.closed(Connection(id), reason: CloseReason(reason))
  }

  override func refused(_ errno: Int32) {
    handler.refused(Self.refusal(errno))
  }

  private static func refusal(_ errno: Int32) -> AloftError {
    switch errno {
    case ENOSPC:  // The driver's word for a full table.
      let limit = AloftEngine.EventLoop.current?.options.connectionsMax ?? 0
      return AloftError(
        .connectionLimit, errno: errno,
        "connection refused: \(limit) connections are open, which is the limit")
    case EMFILE, ENFILE:
      return AloftError(
        .descriptorLimit, errno: errno,
        "connection refused: no descriptor is left (\(describeErrno(errno)))")
    default:
      return AloftError(.system, errno: errno, "connection refused: \(describeErrno(errno))")
    }
  }
}
