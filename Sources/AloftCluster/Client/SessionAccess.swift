package import AloftSession

/// A way to a cluster's sessions, as one principal: a client's, or that of a node's own program.
/// Sessions go by their texts. On the loop of whatever is behind it.
package protocol SessionAccess: AnyObject {
  typealias Wrote = (SessionOutcome) -> Void
  typealias Viewed = (SessionOutcome, SessionView?) -> Void

  func newID(
    name: [UInt8], isLocal: Bool, milliseconds: UInt32,
    _ answer: @escaping (SessionOutcome, String) -> Void)
  func write(
    _ session: String, _ operation: SessionOperation, key: UInt64, expected: UInt64?,
    milliseconds: UInt32, _ answer: @escaping Wrote)
  func read(
    _ session: String, _ consistency: SessionClientCore.Consistency, milliseconds: UInt32,
    _ answer: @escaping Viewed)
  func touch(_ session: String, milliseconds: UInt32, _ answer: @escaping Wrote)
  /// The answer is for `leave`.
  func enter(
    _ session: String, from: UInt64?, milliseconds: UInt32, _ answer: @escaping Viewed,
    told: @escaping (UInt64, [UInt8]) -> Void, ended: @escaping (SessionCode) -> Void
  ) -> AnyObject?
  func leave(_ subscription: AnyObject)
}

extension SessionClientCore: SessionAccess {
  package func enter(
    _ session: String, from: UInt64?, milliseconds: UInt32, _ answer: @escaping Viewed,
    told: @escaping (UInt64, [UInt8]) -> Void, ended: @escaping (SessionCode) -> Void
  ) -> AnyObject? {
    subscribe(
      session, from: from, milliseconds: milliseconds, answer, told: told, ended: ended)
  }

  package func leave(_ subscription: AnyObject) {
    if let subscription = subscription as? ClientSubscription { unsubscribe(subscription) }
  }
}

/// A node's own program's way to the sessions.
package final class NodeSessionAccess: SessionAccess {
  private weak var node: ClusterNode?
  private let name: [UInt8]

  /// - Parameter principal: who the program is; of no bytes for `Principal.anyone`.
  package init(_ node: ClusterNode, principal name: [UInt8]) {
    self.node = node
    self.name = name
  }

  private static let over = SessionOutcome(.notAccepting)

  private var sessions: ClusterSessions? {
    guard let sessions = node?.sessions, !sessions.hasStopped else { return nil }
    return sessions
  }

  private static func deadline(_ milliseconds: UInt32) -> UInt64 {
    ClusterNode.now() + UInt64(milliseconds) * 1_000_000
  }

  private func principal(_ keys: SessionKeys) -> Principal {
    name.isEmpty ? .anyone : keys.principal(named: name)
  }

  /// The session and whose one is, or why there is none.
  private func find(
    _ session: String
  ) -> Result<(ClusterSessions, SessionID, Principal), SessionRefusal> {
    guard let sessions, let keys = sessions.keys else {
      return .failure(.init(code: .notAccepting))
    }
    guard let id = keys.id(text: session) else { return .failure(.init(code: .unknown)) }
    return .success((sessions, id, principal(keys)))
  }

  private struct SessionRefusal: Error {
    var code: SessionCode
    var outcome: SessionOutcome { SessionOutcome(code) }
  }

  package func newID(
    name: [UInt8], isLocal: Bool, milliseconds: UInt32,
    _ answer: @escaping (SessionOutcome, String) -> Void
  ) {
    guard let sessions else { return answer(Self.over, "") }
    guard !isLocal || name.isEmpty else { return answer(SessionOutcome(.malformed), "") }
    let end = Self.deadline(milliseconds)
    sessions.whenReady { [weak sessions] in
      guard let sessions, !sessions.hasStopped, ClusterNode.now() < end else {
        answer(Self.over, "")
        return true
      }
      guard let keys = sessions.keys,
        let id = name.isEmpty ? sessions.mint(isLocal: isLocal) : keys.id(named: name)
      else { return false }
      answer(SessionOutcome(.done), keys.text(id))
      return true
    }
  }

  package func write(
    _ session: String, _ operation: SessionOperation, key: UInt64, expected: UInt64?,
    milliseconds: UInt32, _ answer: @escaping Wrote
  ) {
    switch find(session) {
    case .failure(let refusal): answer(refusal.outcome)
    case .success(let (sessions, id, principal)):
      sessions.write(
        SessionRequest(
          id: id, principal: principal, key: key, expected: expected, operation: operation),
        deadline: Self.deadline(milliseconds), answer)
    }
  }

  package func read(
    _ session: String, _ consistency: SessionClientCore.Consistency, milliseconds: UInt32,
    _ answer: @escaping Viewed
  ) {
    switch find(session) {
    case .failure(let refusal): answer(refusal.outcome, nil)
    case .success(let (sessions, id, principal)):
      let deadline = Self.deadline(milliseconds)
      switch consistency {
      case .linearizable: sessions.query(.read, id, principal, deadline: deadline, answer)
      case .atLeast(let token):
        sessions.read(id, principal, atLeast: token, deadline: deadline, answer)
      }
    }
  }

  package func touch(_ session: String, milliseconds: UInt32, _ answer: @escaping Wrote) {
    switch find(session) {
    case .failure(let refusal): answer(refusal.outcome)
    case .success(let (sessions, id, principal)):
      sessions.query(.touch, id, principal, deadline: Self.deadline(milliseconds)) { outcome, _ in
        answer(outcome)
      }
    }
  }

  package func enter(
    _ session: String, from: UInt64?, milliseconds: UInt32, _ answer: @escaping Viewed,
    told: @escaping (UInt64, [UInt8]) -> Void, ended: @escaping (SessionCode) -> Void
  ) -> AnyObject? {
    switch find(session) {
    case .failure(let refusal):
      answer(refusal.outcome, nil)
      return nil
    case .success(let (sessions, id, principal)):
      return sessions.subscribe(
        id, principal, from: from, deadline: Self.deadline(milliseconds), answer, told: told,
        ended: ended)
    }
  }

  package func leave(_ subscription: AnyObject) {
    if let subscription = subscription as? NodeSubscription { sessions?.unsubscribe(subscription) }
  }
}
