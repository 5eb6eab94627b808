import AloftEngine
import AloftQueue
public import CAloft

// `aloft/mailbox.h` is the manual of all of these.

/// What an `aloft_sender` points to.
@safe
private final class SenderBox: @unchecked Sendable {
  // @unchecked: one thread at a time, which is the application's to see to.
  let sender: ForeignSender
  init(_ loops: [EventLoop]) { sender = ForeignSender(loops) }

  static func of(_ pointer: OpaquePointer?) throws(Failure) -> Unmanaged<SenderBox> {
    guard let pointer = unsafe pointer else { throw .null("sender") }
    return unsafe Unmanaged<SenderBox>.fromOpaque(UnsafeRawPointer(pointer))
  }

  func send(_ block: MessageBlock, to mailbox: aloft_mailbox, _ priority: UInt8) -> Int32 {
    sender.send(block, to: MailboxID(rawValue: mailbox.id), priority: priority).code
  }
}

@c @implementation
public func aloft_sender_create(
  _ runtime: OpaquePointer!, _ sender: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    let runtime = unsafe try Runtime.of(runtime)
    guard let sender = unsafe sender else { throw .null("sender") }
    let made = SenderBox(runtime.loops)
    unsafe sender.pointee = unsafe OpaquePointer(Unmanaged.passRetained(made).toOpaque())
    return Code.success
  }
}

@c @implementation
public func aloft_sender_destroy(_ sender: OpaquePointer!) -> Int32 {
  if let sender = unsafe sender {
    unsafe Unmanaged<SenderBox>.fromOpaque(UnsafeRawPointer(sender)).release()
  }
  return Code.success
}

@c @implementation
public func aloft_sender_send(
  _ sender: OpaquePointer!, _ mailbox: aloft_mailbox, _ message: OpaquePointer!, _ priority: UInt32
) -> Int32 {
  reporting { () throws(Failure) in
    let box = unsafe try SenderBox.of(sender)
    guard let block = unsafe MessageBlock(message) else { throw .null("message") }
    let rank = try readPriority(priority)
    return unsafe box._withUnsafeGuaranteedRef { $0.send(block, to: mailbox, rank) }
  }
}

@c @implementation
public func aloft_sender_send_bytes(
  _ sender: OpaquePointer!, _ mailbox: aloft_mailbox, _ data: UnsafeRawPointer!, _ length: Int,
  _ priority: UInt32
) -> Int32 {
  reporting { () throws(Failure) in
    let box = unsafe try SenderBox.of(sender)
    guard unsafe data != nil || length == 0 else { throw .null("data") }
    let rank = try readPriority(priority)
    let block = unsafe try MessageBlock.made(data, length)
    let code = unsafe box._withUnsafeGuaranteedRef { $0.send(block, to: mailbox, rank) }
    if code != Code.success { MessageBlock.release(block) }
    return code
  }
}

@c @implementation
public func aloft_sender_flush(_ sender: OpaquePointer!) -> Int32 {
  reporting { () throws(Failure) in
    let isDone = unsafe try SenderBox.of(sender)._withUnsafeGuaranteedRef { $0.sender.flush() }
    return isDone ? Code.success : Code.wouldBlock
  }
}
