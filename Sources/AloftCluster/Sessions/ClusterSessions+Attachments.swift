import AloftMembership
package import AloftSession

/// Connections of this node's that use sessions, wherever these are.
///
/// That one does is what the session's owner remembers, and nobody else: so when another node
/// becomes the owner, it's told again.
extension ClusterSessions {
  /// A connection uses the session: it doesn't expire until `detach`. Answers its number for that,
  /// and the session.
  package func attach(
    _ id: SessionID, _ principal: Principal, deadline: UInt64,
    _ answer: @escaping (UInt64, SessionOutcome, SessionView?) -> Void
  ) {
    attachmentsMade += 1
    let number = attachmentsMade
    query(.attach(number: number), id, principal, deadline: deadline) { [self] outcome, view in
      if outcome.code == .done, !hasStopped {
        attachments[number] = Attachment(
          id: id, principal: principal, owner: server(of: id) ?? NodeID(rawValue: 0))
      }
      answer(number, outcome, view)
    }
  }

  package func detach(_ number: UInt64) {
    guard let attachment = attachments.removeValue(forKey: number) else { return }
    query(
      .detach(number: number), attachment.id, attachment.principal, deadline: soon()
    ) { _, _ in }
  }

  /// Some have another owner now.
  func attachAgain() {
    guard attachedEpoch != node.core.state.slotsEpoch else { return }
    attachedEpoch = node.core.state.slotsEpoch
    for (number, attachment) in attachments {
      guard let owner = server(of: attachment.id), owner != attachment.owner else { continue }
      attachments[number]?.owner = owner
      query(
        .attach(number: number), attachment.id, attachment.principal, deadline: soon()
      ) { [self] outcome, _ in
        // It has ended meanwhile, or isn't his any more.
        if outcome.code == .unknown || outcome.code == .closed { attachments[number] = nil }
      }
    }
  }

  private func soon() -> UInt64 { ClusterNode.now() + 5_000_000_000 }
}
