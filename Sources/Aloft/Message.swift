internal import AloftEngine
public import AloftQueue

/// Bytes on their way from one mailbox or connection to another: one reference to a counted block.
///
/// Whoever has a message owns it. To send or write it gives it away, and to drop it gives its
/// memory back, on whatever thread that happens; `share()` makes another message of the same bytes.
/// A message is never copied on its way: what a connection has received can be taken over as it
/// lies, pass through mailboxes and be written to another connection.
///
/// ```swift
/// // Socket -> mailbox -> socket, on whatever loops they are.
/// final class Inlet: ConnectionHandler {
///   let relay: Mailbox
///   func received(_ connection: Connection, _ bytes: RawSpan) {
///     relay.send(connection.takeReceived(bytes))
///   }
/// }
/// final class Outlet: MailboxHandler {
///   let peer: Connection
///   func received(_ mailbox: Mailbox, _ message: consuming Message) {
///     peer.write(message)
///   }
/// }
/// ```
/// Memory is of the thread that makes the message: an event loop or any other has a pool of its
/// own, from which it takes without a lock or an atomic operation. A message takes 64 bytes beside
/// its own, rounded up to 128, 256 … 65,536 in all; a larger one comes from malloc. What a burst of
/// messages took is given back to the system one to two seconds after it.
public typealias Message = AloftQueue.Message

extension Message {
  /// A message with a copy of `bytes`. Any thread; O(n); some nanoseconds for few bytes.
  public init(copying bytes: RawSpan) {
    self.init(
      adopting: unsafe bytes.withUnsafeBytes {
        unsafe AloftEngine.EventLoop.newMessage(copying: $0)
      })
  }

  public init(copying bytes: [UInt8]) { self.init(copying: unsafe bytes.span.bytes) }

  /// A message of up to `capacity` bytes, which `body` writes; it has as many as were written. Any
  /// thread. What `body` throws is thrown on.
  public init<Failure: Error>(
    capacity: Int, initializingWith body: (inout OutputRawSpan) throws(Failure) -> Void
  ) throws(Failure) {
    let message = Message(adopting: AloftEngine.EventLoop.newMessage(count: capacity))
    let buffer = unsafe UnsafeMutableRawBufferPointer(
      start: message.block.header.pointee.bytes, count: capacity)
    var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
    try body(&output)
    unsafe message.block.header.pointee.count = UInt32(output.finalize(for: buffer))
    self.init(adopting: message.take())
  }
}

extension Connection {
  /// Makes a message of `bytes`, which are what `received` was called with or a part of it, for as
  /// long as that call lasts. On the connection's loop.
  ///
  /// From 1,024 bytes on they aren't copied: the message refers to the memory that they were
  /// received into, and the loop goes on with other memory. That comes in pieces of 256 KiB, of
  /// which messages may hold 64 a loop; beyond them, and below 1,024 bytes, the bytes are copied.
  /// `Statistics` counts each kind. O(1), or O(n) for a copy.
  public func takeReceived(_ bytes: RawSpan) -> Message {
    unsafe bytes.withUnsafeBytes { buffer in
      guard let loop = unsafe AloftEngine.EventLoop.unretainedOwner(of: id) else {
        return Message(adopting: unsafe AloftEngine.EventLoop.newMessage(copying: buffer))
      }
      return Message(
        adopting: unsafe loop._withUnsafeGuaranteedRef { unsafe $0.takeReceived(buffer) })
    }
  }

  /// Writes all of the message or nothing, and lets go of it in either case; `write(offering:)`
  /// keeps what was not accepted. The bytes are sent from where they lie. What the socket doesn't
  /// take is copied to the connection's queue, as with any write, so a slow peer holds no message;
  /// messages of up to 1,024 bytes that follow others in the same turn are put together with them.
  @discardableResult
  public func write(_ message: consuming Message) -> WriteResult {
    let block = message.take()
    let result = AloftEngine.EventLoop.write(id, adopting: block)
    if result != .accepted { MessageBlock.release(block) }
    return WriteResult(result)
  }

  /// Writes the message and leaves nil, or leaves the message where it is when it isn't accepted.
  @discardableResult
  public func write(offering message: inout Message?) -> WriteResult {
    guard let block = message.take()?.take() else { return .accepted }
    let result = AloftEngine.EventLoop.write(id, adopting: block)
    if result != .accepted { message = Message(adopting: block) }
    return WriteResult(result)
  }

  /// Writes a frame: four bytes of length, big-endian, and the message; both or neither. The
  /// message is let go of in either case.
  @discardableResult
  public func writeFrame(_ message: consuming Message) -> WriteResult {
    var message: Message? = message
    return writeFrame(offering: &message)
  }

  /// The same; a message that isn't accepted is left where it is.
  @discardableResult
  public func writeFrame(offering message: inout Message?) -> WriteResult {
    guard let block = message.take()?.take() else { return .accepted }
    let result = AloftEngine.EventLoop.writeFrame(id, adopting: block)
    if result != .accepted { message = Message(adopting: block) }
    return WriteResult(result)
  }
}
