import AloftEngine
import AloftQueue
import AloftSim

/// A mailbox handler made of closures, which writes down all that it is told.
final class MailScript: MailboxHandler, @unchecked Sendable {
  // @unchecked: a simulated world has one thread.
  var got: [MailboxID: [UInt64]] = [:]
  var batches: [Int] = []
  var ends: [MailboxID: [MailboxCloseReason]] = [:]
  var drains: [MailboxID] = []
  var pressure: [Bool] = []
  var onReceived: (MailboxID, UInt64) throws -> Void = { _, _ in }
  var onClosed: (MailboxID) -> Void = { _ in }

  init(in world: SimWorld) {
    super.init()
    world.atForget.append { [weak self] in
      self?.onReceived = { _, _ in }
      self?.onClosed = { _ in }
    }
  }

  override func received(_ batch: inout MessageBatch) throws {
    batches.append(batch.count)
    let mailbox = batch.mailbox
    while let message = batch.next() { try received(mailbox, message) }
  }

  override func received(_ mailbox: MailboxID, _ message: consuming Message) throws {
    let number = message.number
    got[mailbox, default: []].append(number)
    try onReceived(mailbox, number)
  }

  override func drained(_ mailbox: MailboxID) { drains.append(mailbox) }
  override func pressed(_ mailbox: MailboxID, isHigh: Bool) { pressure.append(isHigh) }
  override func closed(_ mailbox: MailboxID, _ reason: MailboxCloseReason) {
    ends[mailbox, default: []].append(reason)
    onClosed(mailbox)
  }
}

struct Refusal: Error {}

extension Message {
  /// A message that carries a number.
  static func carrying(_ number: UInt64) -> Message {
    let block = MessageBlock.allocate(count: 8)
    block.header.pointee.bytes.storeBytes(of: number, as: UInt64.self)
    return Message(adopting: block)
  }

  var number: UInt64 { withUnsafeBytes { $0.load(as: UInt64.self) } }
}

extension Scene {
  /// Opens a mailbox on a loop, which takes a turn for it.
  func mailbox(
    _ handler: MailboxHandler, _ options: MailboxOptions = MailboxOptions(),
    on loop: EventLoop? = nil, context: UInt64 = 0
  ) -> MailboxID {
    let loop = loop ?? self.loop
    var id = MailboxID(rawValue: 0)
    on(loop) { id = try! loop.openMailbox(options, handler: handler, context: context) }
    return id
  }

  func statistics(_ id: MailboxID) -> MailboxStatistics? {
    var result: MailboxStatistics?
    let loop = loops.first { $0.number == id.loop }!
    on(loop) { result = loop.mailboxStatistics(id) }
    return result
  }
}

func send(_ number: UInt64, to id: MailboxID, priority: UInt8 = 1) -> SendResult {
  EventLoop.send(.carrying(number), to: id, priority: priority)
}
