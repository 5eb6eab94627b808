import AloftEngine
import AloftMembership
import AloftSession

/// A connection's part in a session: it's attached, and told of events, from a number on.
final class DoorSubscription {
  unowned let connection: DoorConnection
  /// The client's.
  let number: UInt32
  let id: SessionID
  /// The next event that it's to be told of. Nil: it's only attached.
  var next: UInt64?
  /// What the node calls the attachment; 0 until it's made.
  var attachment: UInt64 = 0
  var isOver = false
  var isWaiting = false
  /// Asks the node that alone has the session.
  var isAsking = false
  var askAt: UInt64 = 0

  init(_ connection: DoorConnection, _ number: UInt32, _ id: SessionID) {
    self.connection = connection
    self.number = number
    self.id = id
  }
}

/// Events go from this node's own store to the connections that wait for them: all nodes have all
/// of them, as soon as their log does. So it makes no difference which node a client has come to,
/// and who serves the session.
extension SessionDoor {
  /// A client that wants no events begins here.
  static let noEvents = UInt64.max

  func subscribe(
    _ call: DoorCall, _ id: SessionID, _ sessions: ClusterSessions, _ reader: inout FrameReader
  ) -> DoorRefusal? {
    let connection = call.connection
    guard let from: UInt64 = reader.number(), reader.remaining == 0,
      connection.subscriptions[call.number] == nil
    else { return .malformed }
    guard connection.subscriptions.count < options.subscriptionsMax else {
      let count = UInt64(options.subscriptionsMax)
      answer(call, SessionOutcome(.attachmentsFull, number: count))
      return nil
    }
    let subscription = DoorSubscription(connection, call.number, id)
    connection.subscriptions[call.number] = subscription
    begin(call)
    sessions.attach(id, connection.principal, deadline: call.deadline) {
      [weak self, weak sessions] attachment, outcome, view in
      guard let self else { return }
      guard outcome.code == .done, let view, !subscription.isOver else {
        if outcome.code == .done { sessions?.detach(attachment) }
        if !subscription.isOver { drop(subscription) }
        return end(call, outcome, nil)
      }
      subscription.attachment = attachment
      end(call, outcome, view)
      if from != Self.noEvents {
        watch(subscription, from: max(from, view.firstEvent))
      }
    }
    return nil
  }

  private func watch(_ subscription: DoorSubscription, from next: UInt64) {
    guard !subscription.isOver, let sessions else { return }
    subscription.next = next
    sessions.store.watched.isOn = true
    watching[subscription.id, default: []].append(subscription)
    tell(subscription)
  }

  /// The connection, or the session, is over for it.
  func drop(_ subscription: DoorSubscription) {
    guard !subscription.isOver else { return }
    subscription.isOver = true
    subscription.connection.subscriptions[subscription.number] = nil
    watching[subscription.id]?.removeAll { $0 === subscription }
    if watching[subscription.id]?.isEmpty == true { watching[subscription.id] = nil }
    if subscription.attachment != 0 { sessions?.detach(subscription.attachment) }
  }

  /// This session has events, or is over.
  func published(_ id: SessionID) {
    for subscription in watching[id] ?? [] { tell(subscription) }
  }

  /// The store is another one.
  func restored() {
    for subscription in watching.values.flatMap({ $0 }) { tell(subscription) }
  }

  // MARK: Telling

  private static let frameEvents = 256
  private static let frameBytes = 64 << 10
  private static let queuedMax = 256 << 10
  /// Between two looks into another node's memory.
  private static let askInterval: UInt64 = 50_000_000

  /// Sends what there is for it, as long as the connection takes it.
  private func tell(_ subscription: DoorSubscription) {
    guard let sessions, !subscription.isOver, !subscription.isWaiting else { return }
    let id = subscription.id
    if let place = id.localNode, place != node?.core.identity.id {
      return wait(subscription)
    }
    let store = sessions.store
    let reading = store.read(id, by: subscription.connection.principal)
    guard case .found(let ref) = reading else {
      // Not known here yet, or over.
      if case .refused(let outcome) = reading, outcome.code == .closed {
        ended(subscription, outcome.code)
      }
      return
    }
    while let next = subscription.next, store.nextEvent(ref) > next {
      guard subscription.connection.channel.queuedBytes < Self.queuedMax else {
        return wait(subscription)
      }
      let found = store.events(
        ref, from: next, countMax: Self.frameEvents, bytesMax: Self.frameBytes)
      guard !found.events.isEmpty else {
        // Acknowledged by somebody else meanwhile.
        subscription.next = found.first
        return
      }
      send(found.first, found.events, to: subscription)
      if subscription.isOver { return }
    }
  }

  private func send(
    _ first: UInt64, _ list: [[UInt8]], to subscription: DoorSubscription
  ) {
    subscription.next = first + UInt64(list.count)
    statistics.events += UInt64(list.count)
    var frame = FrameWriter(.events, capacity: 32 + list.reduce(0) { $0 + 4 + $1.count })
    frame.put(subscription.number)
    frame.put(first)
    for event in list {
      frame.put(UInt32(event.count))
      frame.put(event)
    }
    send(subscription.connection, frame.finish())
  }

  private func ended(_ subscription: DoorSubscription, _ code: SessionCode) {
    var frame = FrameWriter(.ended)
    frame.put(subscription.number)
    frame.put(code.rawValue)
    send(subscription.connection, frame.finish())
    drop(subscription)
  }

  // MARK: Later

  private func wait(_ subscription: DoorSubscription) {
    guard !subscription.isWaiting else { return }
    subscription.isWaiting = true
    waiting.append(subscription)
  }

  /// Each tick: those that had to wait.
  func goOn(_ now: UInt64) {
    if waiting.isEmpty { return }
    let all = waiting
    waiting = []
    for subscription in all where !subscription.isOver {
      subscription.isWaiting = false
      if let place = subscription.id.localNode, place != node?.core.identity.id {
        ask(subscription, now)
        wait(subscription)
      } else {
        tell(subscription)
      }
    }
  }

  /// A session that is in the memory of another node alone: that node is asked now and then.
  private func ask(_ subscription: DoorSubscription, _ now: UInt64) {
    guard let sessions, let next = subscription.next, !subscription.isAsking,
      now >= subscription.askAt, subscription.connection.channel.queuedBytes < Self.queuedMax
    else { return }
    subscription.isAsking = true
    subscription.askAt = now + Self.askInterval
    let query = SessionQuery.events(
      from: next, countMax: UInt32(Self.frameEvents), bytesMax: UInt32(Self.frameBytes))
    let principal = subscription.connection.principal
    sessions.query(
      query, subscription.id, principal, deadline: now + 1_000_000_000
    ) { [weak self] outcome, view in
      guard let self, !subscription.isOver else { return }
      subscription.isAsking = false
      guard let view else {
        if outcome.code == .unknown || outcome.code == .closed {
          ended(subscription, outcome.code)
        }
        return
      }
      let events = unsafe SessionWire.events(view.bytes)
      if events.isEmpty { return }
      send(view.firstEvent, events, to: subscription)
    }
  }
}

extension SessionWire {
  /// Events, each behind its length in four bytes.
  static func events(_ bytes: UnsafeRawBufferPointer) -> [[UInt8]] {
    var reader = unsafe FrameReader(bytes)
    var events: [[UInt8]] = []
    while let length: UInt32 = reader.number(), let event = reader.array(Int(length)) {
      events.append(event)
    }
    return events
  }
}
