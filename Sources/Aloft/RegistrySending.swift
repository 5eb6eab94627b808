internal import AloftAtomics
internal import AloftEngine
public import AloftQueue
internal import AloftRegistry

extension Registry {
  /// What came of sending by name.
  public enum SendResult: Hashable, Sendable {
    /// It will be delivered, unless the recipient ends before.
    case accepted
    /// The mailbox, or the connection's queue, is full.
    case full
    /// As many messages are on their way to the recipient's event loop as it takes: try again
    /// later.
    case busy
    /// The recipient has ended, and its name is about to go.
    case closed
    /// The name stands for nobody.
    case unknown

    @inline(__always)
    init(_ result: RouteResult) {
      self =
        switch result {
        case .accepted: .accepted
        case .full: .full
        case .busy: .busy
        case .closed: .closed
        case .unknown: .unknown
        }
    }
  }

  /// Sends a message to whom a name stands for at this moment. What isn't accepted is released.
  ///
  /// A mailbox gets it as with `Mailbox.send`. To a connection its bytes are written: at once when
  /// this is its event loop; else its loop is asked to, `accepted` means no more than that, and
  /// what its queue has no room for then is dropped.
  ///
  /// Any thread, never blocks. O(1): a look-up and a send; beside the message nothing is allocated,
  /// for a mailbox, and no reference counted.
  @discardableResult
  @inline(__always)
  public func send(
    _ message: consuming Message, to name: String, priority: MessagePriority = .normal
  ) -> SendResult {
    let block = message.take()
    return unsafe name.utf8.span.withUnsafeBytes {
      unsafe send(Message(adopting: block), to: $0, priority)
    }
  }

  @discardableResult
  @inline(__always)
  public func send(
    _ message: consuming Message, to name: StaticString, priority: MessagePriority = .normal
  ) -> SendResult {
    unsafe send(message, to: name.bytes, priority)
  }

  @discardableResult
  @inline(__always)
  public func send(
    _ message: consuming Message, to name: RawSpan, priority: MessagePriority = .normal
  ) -> SendResult {
    let block = message.take()
    return unsafe name.withUnsafeBytes {
      unsafe send(Message(adopting: block), to: $0, priority)
    }
  }

  /// To a name that was hashed beforehand.
  @discardableResult
  @inline(__always)
  public func send(
    _ message: consuming Message, to name: Name, priority: MessagePriority = .normal
  ) -> SendResult {
    let block = message.take()
    return name.withKey {
      SendResult(
        names.send(Message(adopting: block), to: $0, priority: priority.rawValue))
    }
  }

  @discardableResult
  public func send(
    _ message: consuming Message, to id: UInt64, priority: MessagePriority = .normal
  ) -> SendResult {
    SendResult(names.send(message, to: id, priority: priority.rawValue))
  }

  @discardableResult
  public func send(
    _ message: consuming Message, to id: UInt128, priority: MessagePriority = .normal
  ) -> SendResult {
    SendResult(names.send(message, to: WideID(id), priority: priority.rawValue))
  }

  /// Sends a copy of `bytes`.
  @discardableResult
  @inline(__always)
  public func send(
    _ bytes: RawSpan, to name: String, priority: MessagePriority = .normal
  ) -> SendResult {
    send(Self.copy(bytes), to: name, priority: priority)
  }

  @discardableResult
  @inline(__always)
  public func send(
    _ bytes: RawSpan, to name: Name, priority: MessagePriority = .normal
  ) -> SendResult {
    send(Self.copy(bytes), to: name, priority: priority)
  }

  @inline(__always)
  private static func copy(_ bytes: RawSpan) -> Message {
    unsafe bytes.withUnsafeBytes {
      unsafe Message(adopting: AloftEngine.EventLoop.newMessage(copying: $0))
    }
  }

  @inline(__always)
  private func send(
    _ message: consuming Message, to name: UnsafeRawBufferPointer, _ priority: MessagePriority
  ) -> SendResult {
    guard Name.lengths ~= name.count else { return .unknown }
    return unsafe SendResult(
      names.send(message, to: names.hashed(name), priority: priority.rawValue))
  }

  // MARK: Many at once

  /// What came of many sends, counted.
  public struct SendCounts: Hashable, Sendable {
    public internal(set) var accepted = 0
    public internal(set) var full = 0
    public internal(set) var busy = 0
    public internal(set) var closed = 0
    public internal(set) var unknown = 0
  }

  /// Sends a message to each of many names, in their order: as many calls of `send`, but the names
  /// are looked up sixteen at a time, so that waiting for memory overlaps. Several times as fast
  /// where the names are more than the processor's caches hold.
  ///
  /// - Parameter message: makes the message for the name at a place.
  @discardableResult
  public func send(
    toEach names: Span<Name>, priority: MessagePriority = .normal,
    _ message: (_ place: Int) -> Message
  ) -> SendCounts {
    var counts = SendCounts()
    unsafe forSixteenEach(names) { start, keys in
      unsafe self.names.send(keys, priority: priority.rawValue) {
        message(start + $0)
      } done: {
        switch $0 {
        case .accepted: counts.accepted += 1
        case .full: counts.full += 1
        case .busy: counts.busy += 1
        case .closed: counts.closed += 1
        case .unknown: counts.unknown += 1
        }
      }
    }
    return counts
  }
}
