internal import AloftEngine

/// Limits of one kind of mailbox, counted in messages.
public struct MailboxOptions: Sendable, Hashable {
  /// What a send to a full mailbox does. Who would rather wait uses `send(_:within:)`.
  public enum Overflow: Sendable, Hashable {
    /// It is answered `full`, and the message is the sender's still.
    case refuse
    /// The oldest message of the least urgent priority that waits is dropped and counted. Those on
    /// their way from other threads are beside the capacity, since only the mailbox's own loop can
    /// choose.
    case dropOldest
  }

  /// Most messages that may wait, those on their way included. Nil for no bound.
  ///
  /// There are never more. A sender may be told `full` early: while they are busy, event loops keep
  /// back up to an eighth of the capacity, which they give back before they sleep. Below 16 for
  /// each loop of the runtime nothing is kept back.
  public var capacity: Int?
  public var overflow = Overflow.refuse
  /// From this many waiting messages on the connections that feed the mailbox are not read from.
  /// Nil for never.
  public var highWater: Int?
  /// At or below this many they are read from again. Nil for half of `highWater`.
  public var lowWater: Int?
  /// Messages that the handler is given at most before other mailboxes of the loop have their turn.
  public var messagesPerTurn = 64

  public init() {}

  public init(capacity: Int?) { self.capacity = capacity }

  func engineOptions() throws(AloftError) -> AloftEngine.MailboxOptions {
    var options = AloftEngine.MailboxOptions()
    let max = Int(AloftEngine.MailboxOptions.capacityMax)
    func limit(_ value: Int, _ name: String) throws(AloftError) -> UInt32 {
      guard 1...max ~= value else {
        throw AloftError(.invalidOption, "\(name) is \(value); 1 to \(max) are possible")
      }
      return UInt32(value)
    }
    if let capacity { options.capacity = try limit(capacity, "capacity") }
    options.overflow = overflow == .refuse ? .refuse : .dropOldest
    options.turnMax = try limit(messagesPerTurn, "messagesPerTurn")
    if let highWater {
      options.highWater = try limit(highWater, "highWater")
      let low = lowWater ?? highWater / 2
      guard 0..<highWater ~= low else {
        throw AloftError(
          .invalidOption, "lowWater is \(low); 0 to \(highWater - 1) are possible")
      }
      options.lowWater = UInt32(low)
    }
    return options
  }
}

/// How soon a message is handed out among those that wait in its mailbox: the more urgent first.
///
/// So that nobody starves: after 31 messages in a row that passed over less urgent ones, the one
/// that has waited longest is next, whatever its priority.
public enum MessagePriority: UInt8, Sendable, Hashable, CaseIterable {
  case urgent = 0
  case normal = 1
  case low = 2
  case lowest = 3
}

/// What came of sending a message.
public enum SendResult: Hashable, Sendable {
  /// It will be handled, unless the mailbox ends before.
  case accepted
  /// As many messages wait as the mailbox takes.
  case full
  /// As many messages are on their way to the mailbox's event loop as it takes: try again later.
  case busy
  /// The mailbox has ended, or never was.
  case closed

  @inline(__always)
  init(_ result: AloftEngine.SendResult) {
    self =
      switch result {
      case .accepted: .accepted
      case .full: .full
      case .busy: .busy
      case .closed: .closed
      }
  }
}

/// A mailbox's counters, exact at the moment of asking.
public struct MailboxStatistics: Hashable, Sendable {
  /// Messages that have arrived: `handled`, `dropped` and `depth` together.
  public let received: UInt64
  /// Handed to the handler.
  public let handled: UInt64
  /// Dropped to make room for newer ones.
  public let dropped: UInt64
  /// Sends that were answered `full`.
  public let refused: UInt64
  /// Messages that wait.
  public let depth: Int
  /// For how long the oldest of them has waited, to the millisecond.
  public let oldestAge: Duration

  init(_ s: AloftEngine.MailboxStatistics) {
    received = s.received
    handled = s.handled
    dropped = s.dropped
    refused = s.refused
    depth = s.depth
    oldestAge = .milliseconds(Int64(s.oldestAge))
  }
}
