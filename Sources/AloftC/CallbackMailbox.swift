import AloftEngine
import AloftQueue
import CAloft

/// Reads and checks a mailbox's options.
func readMailboxOptions(
  _ source: UnsafePointer<aloft_mailbox_options>?
) throws(Failure) -> MailboxOptions {
  var given = aloft_mailbox_options()
  if let source = unsafe source { try unsafe read(source, into: &given, "aloft_mailbox_options") }
  guard given.flags == 0 else {
    throw Failure(Code.invalid, "flags is \(given.flags); none are known")
  }
  var options = MailboxOptions()
  options.capacity = given.capacity
  switch Int(given.overflow) {
  case ALOFT_OVERFLOW_REFUSE: options.overflow = .refuse
  case ALOFT_OVERFLOW_DROP_OLDEST: options.overflow = .dropOldest
  default: throw Failure(Code.invalid, "overflow is \(given.overflow); 0 and 1 are known")
  }
  options.highWater = given.high_water
  options.lowWater = given.low_water != 0 ? given.low_water : given.high_water / 2
  if given.messages_per_turn != 0 { options.turnMax = given.messages_per_turn }
  return options
}

/// A mailbox's or worker's priority, checked.
@inline(__always)
func readPriority(_ given: UInt32) throws(Failure) -> UInt8 {
  guard given <= UInt32(ALOFT_PRIORITY_LOWEST) else { throw unknownPriority(given) }
  return UInt8(truncatingIfNeeded: given)
}

@inline(never)
private func unknownPriority(_ given: UInt32) -> Failure {
  Failure(Code.invalid, "priority is \(given); 0 to \(ALOFT_PRIORITY_LOWEST) are possible")
}

/// Tells C callbacks what comes to a mailbox.
@safe
final class CallbackMailbox: MailboxHandler, @unchecked Sendable {
  // @unchecked: immutable; the callbacks and their context are the application's to keep safe.
  private let callbacks: aloft_mailbox_callbacks
  private let context: UnsafeMutableRawPointer?

  init(
    _ source: UnsafePointer<aloft_mailbox_callbacks>?, _ context: UnsafeMutableRawPointer?
  ) throws(Failure) {
    guard let source = unsafe source else { throw .null("callbacks") }
    var callbacks = aloft_mailbox_callbacks()
    try unsafe read(source, into: &callbacks, "aloft_mailbox_callbacks")
    self.callbacks = callbacks
    unsafe self.context = unsafe context
    super.init()
  }

  override func received(_ batch: inout MessageBatch) throws {
    let mailbox = handle(batch.mailbox)
    guard let callback = unsafe callbacks.on_message else {
      while batch.next() != nil {}
      return
    }
    while let message = batch.next() {
      let code = unsafe callback(mailbox, message.block.pointer, context)
      if code < 0 { throw CallbackFailure(code: code) }
    }
  }

  override func drained(_ mailbox: MailboxID) {
    unsafe callbacks.on_drained?(handle(mailbox), context)
  }

  override func pressed(_ mailbox: MailboxID, isHigh: Bool) {
    unsafe callbacks.on_pressure?(handle(mailbox), isHigh ? 1 : 0, context)
  }

  override func closed(_ mailbox: MailboxID, _ reason: MailboxCloseReason) {
    unsafe callbacks.on_close?(handle(mailbox), reason.code, context)
  }

  @inline(__always)
  private func handle(_ id: MailboxID) -> aloft_mailbox { aloft_mailbox(id: id.rawValue) }
}

/// A C callback has answered with a negative code.
struct CallbackFailure: Error {
  let code: Int32
}

extension MailboxCloseReason {
  var code: Int32 {
    switch self {
    case .closed: Int32(ALOFT_MAILBOX_CLOSED)
    case .failed: Int32(ALOFT_MAILBOX_FAILED)
    case .shutdown: Int32(ALOFT_MAILBOX_BY_SHUTDOWN)
    }
  }
}
