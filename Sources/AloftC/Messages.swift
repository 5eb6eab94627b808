import AloftEngine
import AloftQueue
public import CAloft

// `aloft/message.h` is the manual of all of these. An `aloft_message *` is a block's address.

extension MessageBlock {
  /// The block behind a pointer of the application's.
  @inline(__always)
  init?(_ pointer: OpaquePointer?) {
    guard let pointer = unsafe pointer else { return nil }
    self.init(address: UInt(bitPattern: pointer))
  }

  @inline(__always)
  var pointer: OpaquePointer { unsafe OpaquePointer(header) }

  static let bytesMax: UInt = 1 << 30

  /// A block with one reference and a copy of a caller's bytes; without any, not initialised.
  @inline(__always)
  static func made(_ data: UnsafeRawPointer?, _ length: Int) throws(Failure) -> MessageBlock {
    guard UInt(bitPattern: length) <= bytesMax else { throw tooLong(length) }
    guard let data = unsafe data else { return EventLoop.newMessage(count: length) }
    return unsafe EventLoop.newMessage(
      copying: UnsafeRawBufferPointer(start: data, count: length))
  }

  @inline(never)
  static func tooLong(_ length: Int) -> Failure {
    Failure(
      Code.messageSize,
      "the message of \(UInt(bitPattern: length)) bytes is above the limit of \(bytesMax)")
  }
}

@c @implementation
public func aloft_message_create(
  _ data: UnsafeRawPointer!, _ length: Int, _ message: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    guard let message = unsafe message else { throw .null("message") }
    unsafe message.pointee = unsafe try MessageBlock.made(data, length).pointer
    return Code.success
  }
}

@c @implementation
public func aloft_message_take(
  _ data: UnsafeRawPointer!, _ length: Int, _ message: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    guard let message = unsafe message else { throw .null("message") }
    guard unsafe data != nil || length == 0 else { throw .null("data") }
    guard let loop = EventLoop.current else {
      throw Failure(Code.wrongThread, "the thread is no event loop's")
    }
    guard UInt(bitPattern: length) <= MessageBlock.bytesMax else {
      throw MessageBlock.tooLong(length)
    }
    let bytes = unsafe UnsafeRawBufferPointer(start: data, count: length)
    unsafe message.pointee = unsafe loop.takeReceived(bytes).pointer
    return Code.success
  }
}

@c @implementation
public func aloft_write_message(
  _ connection: aloft_connection, _ message: OpaquePointer!
) -> Int32 {
  guard let block = unsafe MessageBlock(message) else { return Failure.null("message").report() }
  return writing(connection) { loop, id in loop.write(id, adopting: block) }
}

@c @implementation
public func aloft_write_message_frame(
  _ connection: aloft_connection, _ message: OpaquePointer!
) -> Int32 {
  guard let block = unsafe MessageBlock(message) else { return Failure.null("message").report() }
  return writing(connection) { loop, id in loop.writeFrame(id, adopting: block) }
}

private func writing(
  _ connection: aloft_connection, _ body: (EventLoop, ConnectionID) -> WriteResult
) -> Int32 {
  let id = ConnectionID(rawValue: connection.id)
  switch LoopTable.whereabouts(of: id) {
  case .nowhere: return Code.closed
  case .elsewhere:
    return Failure(Code.wrongThread, "the connection belongs to another thread's event loop")
      .report()
  case .here(let loop):
    switch body(loop, id) {
    case .accepted: return Code.success
    case .wouldBlock: return Code.wouldBlock
    case .closed: return Code.closed
    }
  }
}

@c @implementation
public func aloft_message_retain(_ message: OpaquePointer!) -> OpaquePointer! {
  if let block = unsafe MessageBlock(message) { MessageBlock.retain(block) }
  return unsafe message
}

@c @implementation
public func aloft_message_release(_ message: OpaquePointer!) {
  if let block = unsafe MessageBlock(message) { MessageBlock.release(block) }
}

@c @implementation
public func aloft_message_data(_ message: OpaquePointer!) -> UnsafeMutableRawPointer! {
  unsafe MessageBlock(message)?.header.pointee.bytes
}

@c @implementation
public func aloft_message_length(_ message: OpaquePointer!) -> Int {
  unsafe Int(MessageBlock(message)?.header.pointee.count ?? 0)
}

@c @implementation
public func aloft_message_set_tag(_ message: OpaquePointer!, _ tag: UInt64) -> Int32 {
  guard let block = unsafe MessageBlock(message) else { return Failure.null("message").report() }
  unsafe block.header.pointee.tag = tag
  return Code.success
}

@c @implementation
public func aloft_message_tag(_ message: OpaquePointer!) -> UInt64 {
  unsafe MessageBlock(message)?.header.pointee.tag ?? 0
}
