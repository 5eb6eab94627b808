package import AloftEngine
import AloftQueue
public import CAloft

// `aloft/mailbox.h` is the manual of all of these.

@c @implementation
public func aloft_mailbox_open(
  _ runtime: OpaquePointer!, _ loop: UInt32, _ options: UnsafePointer<aloft_mailbox_options>!,
  _ callbacks: UnsafePointer<aloft_mailbox_callbacks>!, _ context: UnsafeMutableRawPointer!,
  _ mailbox: UnsafeMutablePointer<aloft_mailbox>!
) -> Int32 {
  reporting { () throws(Failure) in
    let target = unsafe try Runtime.of(runtime).loop(at: loop)
    let options = unsafe try readMailboxOptions(options)
    let handler = unsafe try CallbackMailbox(callbacks, context)
    guard let mailbox = unsafe mailbox else { throw .null("mailbox") }
    let opened = try target.done { (loop) throws(Failure) in
      try translating { () throws(EngineError) in
        try loop.openMailbox(options, handler: handler)
      }
    }
    unsafe mailbox.pointee = aloft_mailbox(id: opened.rawValue)
    return Code.success
  }
}

extension EventLoop {
  /// Has `body` run on this loop: at once if this is its thread; from a thread that is no loop's
  /// this waits for it.
  package func done<Value: Sendable>(
    _ body: @escaping @Sendable (EventLoop) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    if EventLoop.current === self {
      guard isRunning else { throw .shutDown }
      return try body(self)
    }
    guard EventLoop.current == nil else {
      throw Failure(Code.wrongThread, "the thread is another event loop's, which can't wait")
    }
    let outcome = Outcome<Value>()
    try ask { [unowned self] () throws(Failure) in outcome.value = try body(self) }
    return outcome.value!
  }

  private final class Outcome<Value>: @unchecked Sendable {
    // @unchecked: written by the loop, then read by the one who waited for it.
    var value: Value?
  }
}

// MARK: Sending

@c @implementation
public func aloft_mailbox_send(
  _ mailbox: aloft_mailbox, _ message: OpaquePointer!, _ priority: UInt32
) -> Int32 {
  reporting { () throws(Failure) in
    guard let block = unsafe MessageBlock(message) else { throw .null("message") }
    let rank = try readPriority(priority)
    return EventLoop.send(block, to: MailboxID(rawValue: mailbox.id), priority: rank).code
  }
}

@c @implementation
public func aloft_mailbox_send_bytes(
  _ mailbox: aloft_mailbox, _ data: UnsafeRawPointer!, _ length: Int, _ priority: UInt32
) -> Int32 {
  reporting { () throws(Failure) in
    guard unsafe data != nil || length == 0 else { throw .null("data") }
    let rank = try readPriority(priority)
    let message = Message(adopting: unsafe try MessageBlock.made(data, length))
    return EventLoop.send(message, to: MailboxID(rawValue: mailbox.id), priority: rank).code
  }
}

@c @implementation
public func aloft_mailbox_send_within(
  _ mailbox: aloft_mailbox, _ message: OpaquePointer!, _ priority: UInt32, _ timeout_ms: UInt32,
  _ done: aloft_task!, _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    guard let block = unsafe MessageBlock(message) else { throw .null("message") }
    let rank = try readPriority(priority)
    let call = unsafe CodeCall(done, context)
    EventLoop.send(
      Message(adopting: block), to: MailboxID(rawValue: mailbox.id), priority: rank,
      withinMilliseconds: UInt64(timeout_ms)
    ) { outcome in
      switch outcome {
      case .accepted: call.tell(Code.success)
      case .timedOut: call.tell(Code.timedOut)
      case .closed: call.tell(Code.closed)
      }
    }
    return Code.success
  }
}

/// A function of the application's that is owed one call with a code.
@safe
final class CodeCall: @unchecked Sendable {
  // @unchecked: immutable; whoever calls `tell` does so once.
  private let task: aloft_task?
  private let context: UnsafeMutableRawPointer?

  init(_ task: aloft_task?, _ context: UnsafeMutableRawPointer?) {
    unsafe self.task = unsafe task
    unsafe self.context = unsafe context
  }

  func tell(_ code: Int32) { unsafe task?(code, context) }
}

extension SendResult {
  @inline(__always)
  var code: Int32 {
    switch self {
    case .accepted: Code.success
    case .full: Code.full
    case .busy: Code.wouldBlock
    case .closed: Code.closed
    }
  }
}

// MARK: On a mailbox

@c @implementation
public func aloft_mailbox_close(_ mailbox: aloft_mailbox, _ drain: Int32) -> Int32 {
  let id = MailboxID(rawValue: mailbox.id)
  guard EventLoop.isOpen(id) else { return Code.closed }
  EventLoop.withMailboxLoop(id) { $0.closeMailbox(id, drain: drain != 0) }
  return Code.success
}

@c @implementation
public func aloft_mailbox_is_open(_ mailbox: aloft_mailbox) -> Int32 {
  EventLoop.isOpen(MailboxID(rawValue: mailbox.id)) ? 1 : 0
}

@c @implementation
public func aloft_mailbox_loop(_ runtime: OpaquePointer!, _ mailbox: aloft_mailbox) -> Int32 {
  reporting { () throws(Failure) in
    let runtime = unsafe try Runtime.of(runtime)
    let number = MailboxID(rawValue: mailbox.id).loop
    guard let loop = runtime.loops.first(where: { $0.number == number }) else {
      throw Failure(Code.closed, "the mailbox belongs to none of the runtime's loops")
    }
    return Int32(loop.position)
  }
}

/// Has `body` work on the mailbox, if this is its loop's thread and it has not ended.
private func onLoop(
  of mailbox: aloft_mailbox, _ body: (EventLoop, MailboxID) throws(Failure) -> Void
) -> Int32 {
  let id = MailboxID(rawValue: mailbox.id)
  guard let loop = EventLoop.current, loop.number == id.loop else {
    if !EventLoop.isOpen(id) { return Code.closed }
    return Failure(Code.wrongThread, "the mailbox belongs to another thread's event loop").report()
  }
  guard loop.mailboxStatistics(id) != nil else { return Code.closed }
  return reporting { () throws(Failure) in
    try body(loop, id)
    return Code.success
  }
}

@c @implementation
public func aloft_mailbox_suspend(_ mailbox: aloft_mailbox) -> Int32 {
  onLoop(of: mailbox) { loop, id in loop.suspendMailbox(id) }
}

@c @implementation
public func aloft_mailbox_resume(_ mailbox: aloft_mailbox) -> Int32 {
  onLoop(of: mailbox) { loop, id in loop.resumeMailbox(id) }
}

@c @implementation
public func aloft_mailbox_set_user_data(
  _ mailbox: aloft_mailbox, _ user_data: UnsafeMutableRawPointer!
) -> Int32 {
  let word = UInt64(UInt(bitPattern: user_data))
  return onLoop(of: mailbox) { loop, id in loop.setMailboxContext(id, word) }
}

@c @implementation
public func aloft_mailbox_user_data(_ mailbox: aloft_mailbox) -> UnsafeMutableRawPointer! {
  let id = MailboxID(rawValue: mailbox.id)
  let word = unsafe EventLoop.unretainedOwner(of: id)?
    ._withUnsafeGuaranteedRef { $0.mailboxContext(id) }
  return unsafe UnsafeMutableRawPointer(bitPattern: UInt(word ?? 0))
}

@c @implementation
public func aloft_mailbox_attach(
  _ mailbox: aloft_mailbox, _ connection: aloft_connection
) -> Int32 {
  onLoop(of: mailbox) { loop, id in
    loop.attachFeeder(ConnectionID(rawValue: connection.id), to: id)
  }
}

@c @implementation
public func aloft_mailbox_detach(
  _ mailbox: aloft_mailbox, _ connection: aloft_connection
) -> Int32 {
  onLoop(of: mailbox) { loop, id in
    loop.detachFeeder(ConnectionID(rawValue: connection.id), from: id)
  }
}

@c @implementation
public func aloft_mailbox_statistics_get(
  _ mailbox: aloft_mailbox, _ statistics: UnsafeMutablePointer<aloft_mailbox_statistics>!
) -> Int32 {
  guard let statistics = unsafe statistics else { return Failure.null("statistics").report() }
  return onLoop(of: mailbox) { (loop, id) throws(Failure) in
    guard let counts = loop.mailboxStatistics(id) else { return }
    var sum = aloft_mailbox_statistics()
    sum.received = counts.received
    sum.handled = counts.handled
    sum.dropped = counts.dropped
    sum.refused = counts.refused
    sum.depth = UInt64(counts.depth)
    sum.oldest_age_ms = UInt64(counts.oldestAge)
    try unsafe write(sum, to: statistics, "aloft_mailbox_statistics")
  }
}
