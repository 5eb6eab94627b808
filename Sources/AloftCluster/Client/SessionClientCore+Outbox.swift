import AloftEngine
package import AloftSession

/// Sessions that a client is attached to: again at each connection, and told of events from where
/// it was.
extension SessionClientCore {
  /// Attaches, so that the session doesn't expire, and tells of its events from number `from` on,
  /// those that aren't acknowledged, in order, each once; of none when `from` is nil.
  ///
  /// - Parameters:
  ///   - milliseconds: for the first time. Later it is attached again and again, until that
  ///     succeeds or the session is over.
  ///   - answer: the session as it is, or why it can't be had.
  ///   - told: an event, and its number.
  ///   - ended: the session is over, or the client is.
  @discardableResult
  package func subscribe(
    _ session: String, from: UInt64?, milliseconds: UInt32,
    _ answer: @escaping Viewed, told: @escaping (UInt64, [UInt8]) -> Void,
    ended: @escaping (SessionCode) -> Void
  ) -> ClientSubscription {
    let subscription = ClientSubscription(
      session, from: from ?? SessionDoor.noEvents, told, ended)
    attach(subscription, Self.deadline(milliseconds), answer)
    return subscription
  }

  package func unsubscribe(_ subscription: ClientSubscription) {
    guard !subscription.isOver else { return }
    subscription.isOver = true
    subscriptions[subscription.number] = nil
    guard let connection, connection.isUp else { return }
    var frame = FrameWriter(.unsubscribe)
    frame.put(subscription.number)
    connection.send(frame.finish())
  }

  /// At a new connection.
  func attach(_ subscription: ClientSubscription) {
    guard !subscription.isAttached, !subscription.isOver else { return }
    attach(subscription, Self.deadline(10_000)) { _, _ in }
  }

  private func attach(
    _ subscription: ClientSubscription, _ deadline: UInt64, _ answer: @escaping Viewed
  ) {
    guard let text = Self.text(subscription.session) else {
      subscription.isOver = true
      return answer(SessionOutcome(.unknown), nil)
    }
    var body = text
    for shift in stride(from: 0, to: 64, by: 8) {
      body.append(UInt8(truncatingIfNeeded: subscription.next >> UInt64(shift)))
    }
    let isFirst = subscription.number == 0
    subscriptions[subscription.number] = nil
    subscription.isAttached = true
    subscription.number = unsafe ask(.subscribe, body, deadline: deadline, session: nil) {
      [weak self] outcome, rest in
      guard let self else { return answer(outcome, nil) }
      attached(subscription, outcome, isFirst: isFirst)
      unsafe Self.view(outcome, rest, answer)
    }
    if !subscription.isOver { subscriptions[subscription.number] = subscription }
  }

  private func attached(
    _ subscription: ClientSubscription, _ outcome: SessionOutcome, isFirst: Bool
  ) {
    if outcome.code == .done || subscription.isOver { return }
    switch outcome.code {
    case .unknown, .closed, .forbidden: over(subscription, outcome.code, tells: !isFirst)
    default:
      // Whoever asked for it is told; later ones are tried again.
      if isFirst { return over(subscription, outcome.code, tells: false) }
      subscription.isAttached = false
      _ = loop.startTimer(
        afterMilliseconds: UInt64(options.backoffMaxMs), period: 0, beyondLimit: true
      ) { [weak self] in
        guard let self, !isOver, connection?.isUp == true else { return }
        attach(subscription)
      }
    }
  }

  func over(_ subscription: ClientSubscription, _ code: SessionCode, tells: Bool = true) {
    guard !subscription.isOver else { return }
    subscription.isOver = true
    subscriptions[subscription.number] = nil
    if tells { subscription.ended(code) }
  }

  func events(_ number: UInt32, _ reader: inout FrameReader) -> Bool {
    guard let first: UInt64 = reader.number() else { return false }
    guard let subscription = subscriptions[number] else { return true }
    var at = first
    while reader.remaining > 0 {
      guard let length: UInt32 = reader.number(), let event = reader.array(Int(length)) else {
        return false
      }
      // What was told at a former connection is not told again.
      if at >= subscription.next, !subscription.isOver {
        subscription.next = at + 1
        statistics.events += 1
        subscription.told(at, event)
      }
      at += 1
    }
    return true
  }
}
