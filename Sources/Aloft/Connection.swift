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
    unsafe payload.withUnsafeBytes { buffer in
      unsafe loop?._withUnsafeGuaranteedRef { WriteResult(unsafe $0.writeFrame(id, buffer)) }
        ?? .closed
    }
  }

  /// Sends what is queued, then closes. Nothing more is read.
  public func close() { unsafe loop?._withUnsafeGuaranteedRef { $0.close(id) } }

  /// Closes at once with a reset; what is queued is lost.
  public func reset() { unsafe loop?._withUnsafeGuaranteedRef { $0.reset(id) } }

  /// Half-closes: sends what is queued, then tells the peer that no more follows. What the peer
  /// sends is still received.
  public func finishWriting() { unsafe loop?._withUnsafeGuaranteedRef { $0.finishWriting(id) } }

  /// Stops receiving, so that the peer's own sends come to a stop by and by. A peer's reset is
  /// noticed all the same; what had not been received by then is lost.
  public func pauseReading() { unsafe loop?._withUnsafeGuaranteedRef { $0.pauseReading(id) } }

  public func resumeReading() { unsafe loop?._withUnsafeGuaranteedRef { $0.resumeReading(id) } }

  /// Has another handler told of this connection from its next event on.
  public func setHandler(_ handler: some ConnectionHandler, options: ConnectionOptions = .init())
    throws(AloftError)
  {
    let adapter = HandlerAdapter(handler, settings: try options.settings())
    unsafe loop?._withUnsafeGuaranteedRef { $0.setHandler(id, adapter) }
  }

  /// A word of yours, kept with the connection; 0 at first.
  public var context: UInt {
    get { unsafe loop?._withUnsafeGuaranteedRef { $0.context(id) } ?? 0 }
    nonmutating set {
      unsafe loop?._withUnsafeGuaranteedRef { $0.setContext(id, newValue) }
    }
  }

  /// Whether it is open in both directions as far as this side knows.
  public var isOpen: Bool {
    unsafe loop?._withUnsafeGuaranteedRef { $0.isOpen(id) } ?? false
  }

  /// Bytes accepted that the system has not yet taken.
  public var queuedBytes: Int {
    unsafe loop?._withUnsafeGuaranteedRef { $0.queuedBytes(id) } ?? 0
  }

  public var localAddress: SocketAddress? {
    unsafe loop?._withUnsafeGuaranteedRef { $0.name(of: id, peer: false) }
      .map { SocketAddress($0) }
  }

  public var remoteAddress: SocketAddress? {
    unsafe loop?._withUnsafeGuaranteedRef { $0.name(of: id, peer: true) }
      .map { SocketAddress($0) }
  }

  /// Unretained: on the loop's own thread it can't go away during a call.
  @inline(__always)
  private var loop: Unmanaged<AloftEngine.EventLoop>? {
    unsafe AloftEngine.EventLoop.unretainedOwner(of: id)
  }
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
