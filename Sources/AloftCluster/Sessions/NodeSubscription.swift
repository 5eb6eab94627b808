import AloftMembership
package import AloftSession

/// A program's part in a session, at its own node: it's attached, and told of events.
package final class NodeSubscription {
  package let id: SessionID
  let principal: Principal
  /// The next event that it's told of; nil for none.
  package fileprivate(set) var next: UInt64?
  fileprivate let told: (UInt64, [UInt8]) -> Void
  fileprivate let ended: (SessionCode) -> Void
  fileprivate var attachment: UInt64 = 0
  fileprivate var isOver = false
  fileprivate var isTelling = false

  fileprivate init(
    _ id: SessionID, _ principal: Principal, _ told: @escaping (UInt64, [UInt8]) -> Void,
    _ ended: @escaping (SessionCode) -> Void
  ) {
    self.id = id
    self.principal = principal
    self.told = told
    self.ended = ended
  }
}

extension ClusterSessions {
  /// Attaches, so that the session doesn't expire, and tells of its events from number `from` on,
  /// those that aren't acknowledged, in order, each once; of none when `from` is nil. `ended` is
  /// told when the session is over, if `unsubscribe` wasn't called before.
  package func subscribe(
    _ id: SessionID, _ principal: Principal, from: UInt64?, deadline: UInt64,
    _ answer: @escaping (SessionOutcome, SessionView?) -> Void,
    told: @escaping (UInt64, [UInt8]) -> Void, ended: @escaping (SessionCode) -> Void
  ) -> NodeSubscription {
    let subscription = NodeSubscription(id, principal, told, ended)
    attach(id, principal, deadline: deadline) { [weak self] attachment, outcome, view in
      guard outcome.code == .done, let view, !subscription.isOver, let self else {
        if outcome.code == .done { self?.detach(attachment) }
        subscription.isOver = true
        return answer(outcome, nil)
      }
      subscription.attachment = attachment
      let first = view.firstEvent
      answer(outcome, view)
      guard let from, !subscription.isOver else { return }
      subscription.next = max(from, first)
      store.watched.isOn = true
      watching[id, default: []].append(subscription)
      tell(subscription)
    }
    return subscription
  }

  package func unsubscribe(_ subscription: NodeSubscription) {
    guard !subscription.isOver else { return }
    subscription.isOver = true
    watching[subscription.id]?.removeAll { $0 === subscription }
    if watching[subscription.id]?.isEmpty == true { watching[subscription.id] = nil }
    if subscription.attachment != 0 { detach(subscription.attachment) }
  }

  /// At the end of a turn: tells of what it has brought.
  func published() {
    for id in store.watched.take() {
      for subscription in watching[id] ?? [] { tell(subscription) }
      node.door?.published(id)
    }
    if watching.isEmpty, node.door?.watching.isEmpty ?? true { store.watched.isOn = false }
  }

  /// The store is another one.
  func tellAll() {
    for subscription in watching.values.flatMap({ $0 }) { tell(subscription) }
  }

  /// Of a session in another node's memory alone that node is asked, each tick.
  func tellOfOthers() {
    for subscription in watching.values.flatMap({ $0 }) where subscription.id.isLocal {
      tell(subscription)
    }
  }

  private func tell(_ subscription: NodeSubscription) {
    guard !subscription.isOver, !subscription.isTelling, let next = subscription.next else {
      return
    }
    if let place = subscription.id.localNode, place != node.core.identity.id {
      return ask(subscription, next)
    }
    switch store.read(subscription.id, by: subscription.principal) {
    case .found(let ref):
      if store.nextEvent(ref) > next {
        let found = store.events(ref, from: next)
        tell(subscription, found.first, found.events)
      }
    case .refused(let outcome) where outcome.code == .closed: end(subscription, .closed)
    // It may not be known here yet.
    case .refused: return
    }
  }

  private func tell(_ subscription: NodeSubscription, _ first: UInt64, _ events: [[UInt8]]) {
    subscription.isTelling = true
    for (place, event) in events.enumerated() where !subscription.isOver {
      subscription.next = first + UInt64(place) + 1
      subscription.told(first + UInt64(place), event)
    }
    subscription.isTelling = false
  }

  private func end(_ subscription: NodeSubscription, _ code: SessionCode) {
    unsubscribe(subscription)
    subscription.ended(code)
  }

  private func ask(_ subscription: NodeSubscription, _ next: UInt64) {
    subscription.isTelling = true
    let query = SessionQuery.events(from: next, countMax: 256, bytesMax: 64 << 10)
    self.query(
      query, subscription.id, subscription.principal, deadline: ClusterNode.now() + 1_000_000_000
    ) { [weak self] outcome, view in
      subscription.isTelling = false
      guard let self, !subscription.isOver else { return }
      if let view {
        tell(subscription, view.firstEvent, unsafe SessionWire.events(view.bytes))
      } else if outcome.code == .unknown || outcome.code == .closed {
        end(subscription, outcome.code)
      }
    }
  }
}
