/// What waits in one mailbox: four lists of message blocks, linked through the blocks themselves.
///
/// Pure and single-threaded: 40 bytes in the mailbox's slot, no allocation, every operation O(1).
/// The blocks' first words are the list's from `push` until they are taken.
///
/// **Order.** Class 0 is served first, then 1, 2 and 3; within a class, first in, first out. So
/// that nobody starves: whenever less urgent messages have been passed over
/// ``passesMax`` times in a row, the next message taken is the one that has waited longest,
/// whatever its class (by `arrived`; of equals the least urgent).
@frozen
public struct MailboxQueue {
  @inlinable public static var classes: Int { 4 }
  /// Messages taken in a row while less urgent ones waited, before the oldest of all has its turn.
  @inlinable public static var passesMax: UInt8 { 31 }

  /// The newest of each class, whose link is the oldest; 0 for none.
  @usableFromInline var newest: InlineArray<4, UInt>
  /// How many wait.
  @usableFromInline var count: UInt32
  /// A bit for each class that has any.
  @usableFromInline var waiting: UInt8
  @usableFromInline var passes: UInt8
  @usableFromInline var spare: UInt16

  @inlinable
  public init() {
    newest = InlineArray(repeating: 0)
    count = 0
    waiting = 0
    passes = 0
    spare = 0
  }

  @inlinable @inline(__always)
  public var isEmpty: Bool { waiting == 0 }

  @inlinable @inline(__always)
  public var depth: Int { Int(count) }

  /// Puts a block at the end of its class, which its header says.
  @inlinable @inline(__always)
  public mutating func push(_ block: MessageBlock) {
    let rank = unsafe Int(block.header.pointee.priority & 3)
    let address = unsafe UInt(bitPattern: block.header)
    let last = unsafe newest[unchecked: rank]
    if last == 0 {
      unsafe block.header.pointee.link = address
      waiting |= 1 &<< UInt8(truncatingIfNeeded: rank)
    } else {
      let tail = MessageBlock(address: last)
      unsafe block.header.pointee.link = unsafe tail.header.pointee.link
      unsafe tail.header.pointee.link = address
    }
    unsafe newest[unchecked: rank] = address
    count &+= 1
  }

  /// Takes the next one by the rule above; nil when none waits.
  @inlinable @inline(__always)
  public mutating func pop() -> MessageBlock? {
    if waiting == 0 { return nil }
    if waiting & (waiting &- 1) != 0 { return popOfSeveral() }
    passes = 0
    return take(waiting.trailingZeroBitCount)
  }

  /// The next one unless it is another class's turn; nil when none waits. For reading ahead.
  @inlinable @inline(__always)
  public var first: MessageBlock? {
    if waiting == 0 { return nil }
    let last = unsafe newest[unchecked: waiting.trailingZeroBitCount]
    return unsafe MessageBlock(address: MessageBlock(address: last).header.pointee.link)
  }

  @usableFromInline
  mutating func popOfSeveral() -> MessageBlock {
    guard passes == Self.passesMax else {
      passes &+= 1
      return take(waiting.trailingZeroBitCount)
    }
    passes = 0
    return take(longestWaiting())
  }

  /// Drops for a newcomer's sake: the oldest of the least urgent class. Nil when none waits.
  public mutating func dropOldest() -> MessageBlock? {
    if waiting == 0 { return nil }
    return take(7 - waiting.leadingZeroBitCount)
  }

  /// For tests, which put this mistake in: those passed over are never remembered.
  package mutating func forgetPasses() { passes = 0 }

  /// When the message that has waited longest arrived, in the clock of `arrived`; nil without any.
  public var oldestArrival: UInt32? {
    if waiting == 0 { return nil }
    return unsafe oldest(longestWaiting()).header.pointee.arrived
  }

  /// Of the classes that have any, the one whose oldest has waited longest.
  private func longestWaiting() -> Int {
    var best = 7 - waiting.leadingZeroBitCount
    var arrival = unsafe oldest(best).header.pointee.arrived
    for rank in stride(from: best - 1, through: 0, by: -1) where waiting & 1 << UInt8(rank) != 0 {
      let other = unsafe oldest(rank).header.pointee.arrived
      // The clock is cut to 32 bits and wraps around.
      if Int32(bitPattern: other &- arrival) < 0 {
        best = rank
        arrival = other
      }
    }
    return best
  }

  private func oldest(_ rank: Int) -> MessageBlock {
    unsafe MessageBlock(
      address: MessageBlock(address: newest[unchecked: rank]).header.pointee.link)
  }

  @inlinable @inline(__always)
  mutating func take(_ rank: Int) -> MessageBlock {
    let last = unsafe newest[unchecked: rank]
    let tail = MessageBlock(address: last)
    let address = unsafe tail.header.pointee.link
    let block = MessageBlock(address: address)
    if address == last {
      unsafe newest[unchecked: rank] = 0
      waiting &= ~(1 &<< UInt8(truncatingIfNeeded: rank))
    } else {
      unsafe tail.header.pointee.link = unsafe block.header.pointee.link
    }
    count &-= 1
    return block
  }
}

extension MessageBlock {
  /// From the word that a block is on its way as.
  @inlinable @inline(__always)
  public init(address: UInt) {
    unsafe self.init(UnsafeMutablePointer<Header>(bitPattern: address).unsafelyUnwrapped)
  }

  /// The address as a word.
  @inlinable @inline(__always)
  public var word: UInt { unsafe UInt(bitPattern: header) }
}
