/// Limits of one kind of mailbox, in messages.
package struct MailboxOptions: Hashable, Sendable {
  package enum Overflow: UInt8, Hashable, Sendable {
    /// The sender is told `full`.
    case refuse
    /// The oldest of the least urgent class makes room.
    case dropOldest
  }

  /// Most messages that may wait, those on their way included; 0 for no bound.
  package var capacity: UInt32 = 0
  package var overflow = Overflow.refuse
  /// From this many on the connections that feed the mailbox pause; 0 for never.
  package var highWater: UInt32 = 0
  /// At or below this they go on.
  package var lowWater: UInt32 = 0
  /// Messages that the handler is given at most before other mailboxes have their turn.
  package var turnMax: UInt32 = 64

  package static let capacityMax: UInt32 = 1 << 30

  package init() {}
  package init(capacity: UInt32) { self.capacity = capacity }

  package func check() throws(EngineError) {
    guard capacity <= Self.capacityMax else {
      throw EngineError(
        .invalidOption, "capacity is \(capacity); 0 (no bound) to \(Self.capacityMax) are possible")
    }
    guard lowWater < max(highWater, 1) else {
      throw EngineError(
        .invalidOption,
        "low water \(lowWater) is not below high water \(highWater)")
    }
    guard turnMax >= 1 else {
      throw EngineError(.invalidOption, "turnMax is 0; at least 1 message a turn")
    }
  }

  /// Credits that a loop takes at a time, as a power of two: all loops together keep back at most
  /// an eighth of the capacity.
  func shareLog2(loops: Int) -> UInt {
    let share = Int(capacity) / (8 * loops)
    if share >= 64 { return 6 }
    return share < 2 ? 0 : UInt(Int.bitWidth - 1 - share.leadingZeroBitCount)
  }
}

/// What came of sending. Public for the reason that `ConnectionHandler` is.
public enum SendResult: UInt8, Hashable, Sendable {
  /// It will be delivered, unless the mailbox ends before.
  case accepted
  /// As many messages wait as the mailbox takes.
  case full
  /// As many words wait for the mailbox's event loop as it takes.
  case busy
  /// The mailbox has ended, or never was.
  case closed
}
