import AloftQueue

/// What has come on a stream.
@safe
struct InStream {
  /// The number that the next message should have.
  var expected: UInt64 = 1
  /// Bytes of records since the link came up: those done with, and those of which the peer knows.
  var consumed: UInt64 = 0
  var granted: UInt64 = 0
  /// All that came since then.
  var received: UInt64 = 0
  /// The large message under way, and how much of it has come.
  var assembly: MessageBlock?
  var filled: UInt32 = 0
  var type = RecordType.message
  var kind: UInt8 = 0
  /// In the list of streams whose credit or acknowledgement the peer should hear of.
  var isDue = false
  /// Something came since the last acknowledgement.
  var owesAcknowledgement = false
  /// A message came on this link. The first may show that some were lost with the link before.
  var hasBegun = false
  /// The client says when it is done with bytes.
  var isHeld = false

  /// A new link.
  mutating func begin() {
    consumed = 0
    granted = 0
    received = 0
    filled = 0
    isDue = false
    owesAcknowledgement = false
    hasBegun = false
    if let assembly { MessageBlock.release(assembly) }
    assembly = nil
  }

  enum Verdict { case next, duplicate, gap(lost: UInt64), fault }

  /// What a message's number says. Within a link numbers follow each other, for so do the bytes;
  /// at its begin some may be missing, but none of an acknowledged stream.
  @inline(__always)
  mutating func judge(_ sequence: UInt64, isAcknowledged: Bool) -> Verdict {
    if sequence == expected {
      expected &+= 1
      hasBegun = true
      return .next
    }
    return judgeOddity(sequence, isAcknowledged: isAcknowledged)
  }

  private mutating func judgeOddity(_ sequence: UInt64, isAcknowledged: Bool) -> Verdict {
    if sequence < expected {
      hasBegun = true
      return .duplicate
    }
    if hasBegun || isAcknowledged { return .fault }
    let lost = sequence - expected
    expected = sequence + 1
    hasBegun = true
    return .gap(lost: lost)
  }
}
