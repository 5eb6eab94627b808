internal import AloftEngine

/// A connection, by value: eight bytes to copy and keep as you like.
///
/// It names a connection and does not hold it. Once the connection has ended, every call through a
/// name left over does nothing and says so; a name never comes to mean another connection.
///
/// **Threads**: all calls belong to the connection's own event loop, which is where its handler is
/// called. From elsewhere, `EventLoop.execute` gets there. A call on another thread while the loop
/// runs traps: it is a mistake in the program. **Blocking**: none does.
public struct Connection: Hashable, Sendable {
  let id: ConnectionID

  @inline(__always)
  init(_ id: ConnectionID) { self.id = id }

  /// The 64 bits of the name: node 8, loop 8, slot 20, generation 28.
  public var rawValue: UInt64 { id.rawValue }

  /// What came of a write.
  public enum WriteResult: Hashable, Sendable {
    /// Taken whole. It is sent at the end of this turn of the loop, or queued if the peer is slow.
    case accepted
    /// Nothing was taken: the queue is full. `ConnectionHandler.writable` follows.
    case wouldBlock
    /// Nothing was taken: the connection is closed, closing, or was finished for writing.
    case closed
  }

  /// Writes all of `bytes` or nothing. The bytes are copied, unless they are what was just
  /// received, so they may be reused at once. Writes of one turn go out in one system call.
  @discardableResult
  public func write(_ bytes: RawSpan) -> WriteResult {
    unsafe bytes.withUnsafeBytes { buffer in
      WriteResult(unsafe AloftEngine.EventLoop.write(id, buffer))
    }
  }

  @discardableResult
  public func write(_ bytes: [UInt8]) -> WriteResult { unsafe write(bytes.span.bytes) }

  @discardableResult
  public func write(_ text: String) -> WriteResult { unsafe write(text.utf8.span.bytes) }

  /// Writes a frame: four bytes of length, big-endian, and the payload; both or neither.
  @discardableResult
  public func writeFrame(_ payload: RawSpan) -> WriteResult {
    guard let loop else { return .closed }
    return unsafe payload.withUnsafeBytes { WriteResult(unsafe loop.writeFrame(id, $0)) }
  }

  /// Sends what is queued, then closes. Nothing more is read.
  public func close() { loop?.close(id) }

  /// Closes at once with a reset; what is queued is lost.
  public func reset() { loop?.reset(id) }

  /// Half-closes: sends what is queued, then tells the peer that no more follows. What the peer
  /// sends is still received.
  public func finishWriting() { loop?.finishWriting(id) }

  /// Stops receiving, so that the peer's own sends come to a stop by and by.
  public func pauseReading() { loop?.pauseReading(id) }

  public func resumeReading() { loop?.resumeReading(id) }

  /// Has another handler told of this connection from its next event on.
  public func setHandler(_ handler: some ConnectionHandler, options: ConnectionOptions = .init())
    throws(AloftError)
  {
    let adapter = HandlerAdapter(handler, settings: try options.settings())
    loop?.setHandler(id, adapter)
  }

  /// A word of yours, kept with the connection; 0 at first.
  public var context: UInt {
    get { loop?.context(id) ?? 0 }
    nonmutating set { loop?.setContext(id, newValue) }
  }

  /// Whether it is open in both directions as far as this side knows.
  public var isOpen: Bool { loop?.isOpen(id) ?? false }

  /// Bytes accepted that the system has not yet taken.
  public var queuedBytes: Int { loop?.queuedBytes(id) ?? 0 }

  public var localAddress: SocketAddress? {
    loop?.name(of: id, peer: false).map { SocketAddress($0) }
  }

  public var remoteAddress: SocketAddress? {
    loop?.name(of: id, peer: true).map { SocketAddress($0) }
  }

  private var loop: AloftEngine.EventLoop? { AloftEngine.EventLoop.owner(of: id) }
}

extension Connection.WriteResult {
  @inline(__always)
  init(_ result: AloftEngine.WriteResult) {
    self =
      switch result {
      case .accepted: .accepted
      case .wouldBlock: .wouldBlock
      case .closed: .closed
      }
  }
}
