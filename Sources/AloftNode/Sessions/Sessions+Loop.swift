internal import AloftCluster
public import AloftSession
import Synchronization

/// For the hot path: the same with callbacks, on the node's own loop alone (``Node/eventLoop``).
///
/// ```swift
/// try node.eventLoop.execute {
///   node.sessions.put(bytes.span.bytes, to: id) { version, failure in ... }
/// }
/// ```
/// What is written within one turn of the loop is one entry of the log. An answer comes once, on
/// the same loop, maybe before the call returns.
extension Sessions {
  /// The version of the session after it, or why it wasn't done.
  public typealias Written = (_ version: UInt64, _ failure: SessionFailure?) -> Void

  /// Makes a session; nil as its number when none can be given yet: nothing is called then.
  @discardableResult
  public func create(
    _ state: RawSpan, principal: Principal = .anyone, options: SessionOptions = SessionOptions(),
    _ answer: @escaping Written
  ) -> SessionID? {
    guard let inner, let id = inner.mint() else { return nil }
    let operation = SessionOperation.create(options, name: [], state: Self.array(state))
    write(inner, id, principal, operation, expected: nil, answer)
    return id
  }

  /// Another state; if it's of version `expected`, when that is given.
  public func put(
    _ state: RawSpan, to id: SessionID, principal: Principal = .anyone, expected: UInt64? = nil,
    _ answer: @escaping Written
  ) {
    write(inner, id, principal, .put(Self.array(state)), expected: expected, answer)
  }

  /// More behind the state.
  public func append(
    _ bytes: RawSpan, to id: SessionID, principal: Principal = .anyone,
    _ answer: @escaping Written
  ) {
    write(inner, id, principal, .append(Self.array(bytes)), expected: nil, answer)
  }

  /// Ends it.
  public func close(
    _ id: SessionID, principal: Principal = .anyone, _ answer: @escaping Written
  ) {
    write(inner, id, principal, .close, expected: nil, answer)
  }

  /// The state where it lies, good until the closure returns, and its version. When this node
  /// serves the session, the closure is called before the call returns, and nothing is allocated.
  public func read(
    _ id: SessionID, principal: Principal = .anyone,
    _ answer: @escaping (_ state: RawSpan, _ version: UInt64, _ failure: SessionFailure?) -> Void
  ) {
    guard let inner else { return Self.fail(Self.ended, answer) }
    let isHere = unsafe inner.readHere(id, principal) { outcome, state in
      unsafe answer(state.bytes, outcome.version, SessionFailure(outcome))
    }
    if isHere { return }
    inner.query(.read, id, principal, deadline: deadline()) { outcome, view in
      if let view { return unsafe answer(view.bytes.bytes, view.version, nil) }
      Self.fail(SessionFailure(outcome) ?? Self.ended, answer)
    }
  }

  private static func fail(
    _ failure: SessionFailure, _ answer: (RawSpan, UInt64, SessionFailure?) -> Void
  ) {
    unsafe answer(UnsafeRawBufferPointer(start: nil, count: 0).bytes, 0, failure)
  }

  private static let ended = SessionFailure(.notAccepting, "the node has ended")

  private var inner: ClusterSessions? {
    node.box.withLock { Node.Carried($0.node) }.value?.sessions
  }

  private static func array(_ span: RawSpan) -> [UInt8] {
    unsafe span.withUnsafeBytes { unsafe Array($0) }
  }

  private func write(
    _ inner: ClusterSessions?, _ id: SessionID, _ principal: Principal,
    _ operation: SessionOperation, expected: UInt64?, _ answer: @escaping Written
  ) {
    guard let inner else { return answer(0, Self.ended) }
    let request = SessionRequest(
      id: id, principal: principal, key: inner.newKey(), expected: expected, operation: operation)
    inner.write(request, deadline: deadline()) { outcome in
      answer(outcome.version, SessionFailure(outcome))
    }
  }
}
