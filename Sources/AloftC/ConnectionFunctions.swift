import AloftEngine
public import CAloft

@c @implementation
public func aloft_connect(
  _ runtime: OpaquePointer!, _ address: UnsafePointer<CChar>!, _ local: UnsafePointer<CChar>!,
  _ options: UnsafePointer<aloft_connection_options>!, _ callbacks: UnsafePointer<aloft_callbacks>!,
  _ context: UnsafeMutableRawPointer!, _ connection: UnsafeMutablePointer<aloft_connection>!
) -> Int32 {
  reporting { () throws(Failure) in
    let loop = unsafe try Runtime.of(runtime).onLoop()
    guard let address = unsafe address else { throw .null("address") }
    let remote = unsafe try parseAddress(address)
    var from: SocketAddress?
    if let local = unsafe local { from = unsafe try parseAddress(local) }
    let options = unsafe try ConnectionOptions(options)
    let handler = unsafe try CallbackHandler(callbacks, context, options.settings)
    let id = try translating { () throws(EngineError) in
      try loop.connect(to: remote, from: from, handler: handler)
    }
    unsafe connection?.pointee = aloft_connection(id: id.rawValue)
    return Code.success
  }
}

// MARK: Writing

@c @implementation
public func aloft_write(
  _ connection: aloft_connection, _ data: UnsafeRawPointer!, _ length: Int
) -> Int32 {
  guard UInt(bitPattern: length) <= writeBytesMax, unsafe data != nil || length == 0 else {
    return unsafe refusal(data, length)
  }
  let bytes = unsafe UnsafeRawBufferPointer(start: data, count: length)
  return unsafe code(LoopTable.write(ConnectionID(rawValue: connection.id), bytes))
}

@c @implementation
public func aloft_write_frame(
  _ connection: aloft_connection, _ data: UnsafeRawPointer!, _ length: Int
) -> Int32 {
  guard UInt(bitPattern: length) <= writeBytesMax, unsafe data != nil || length == 0 else {
    return unsafe refusal(data, length)
  }
  let bytes = unsafe UnsafeRawBufferPointer(start: data, count: length)
  return unsafe code(LoopTable.writeFrame(ConnectionID(rawValue: connection.id), bytes))
}

private let writeBytesMax: UInt = 1 << 30

@inline(__always)
private func code(_ result: WriteResult?) -> Int32 {
  switch result {
  case .accepted: Code.success
  case .wouldBlock: Code.wouldBlock
  case .closed: Code.closed
  case nil: wrongThread()
  }
}

@inline(never)
private func wrongThread() -> Int32 {
  Failure(Code.wrongThread, "the connection belongs to another thread's event loop").report()
}

@inline(never)
private func refusal(_ data: UnsafeRawPointer?, _ length: Int) -> Int32 {
  if unsafe data == nil { return Failure.null("data").report() }
  let size = UInt(bitPattern: length)
  return Failure(
    Code.messageSize, "the message of \(size) bytes is above the limit of \(writeBytesMax)"
  ).report()
}

// MARK: The rest

/// Has `body` work on the connection's loop, if this is its thread and the connection is there.
private func onLoop(
  of connection: aloft_connection, _ body: (EventLoop, ConnectionID) -> Int32
) -> Int32 {
  let id = ConnectionID(rawValue: connection.id)
  switch LoopTable.whereabouts(of: id) {
  case .here(let loop): return loop.exists(id) ? body(loop, id) : Code.closed
  case .elsewhere: return wrongThread()
  case .nowhere: return Code.closed
  }
}

/// The same for what only an open connection, or one on its way to it, can do.
private func onOpen(
  _ connection: aloft_connection, _ body: (EventLoop, ConnectionID) -> Void
) -> Int32 {
  onLoop(of: connection) { loop, id in
    guard loop.isOpenOrConnecting(id) else { return Code.closed }
    body(loop, id)
    return Code.success
  }
}

@c @implementation
public func aloft_finish_writing(_ connection: aloft_connection) -> Int32 {
  onLoop(of: connection) { loop, id in
    guard loop.isOpen(id) else { return Code.closed }
    loop.finishWriting(id)
    return Code.success
  }
}

@c @implementation
public func aloft_close(_ connection: aloft_connection) -> Int32 {
  onOpen(connection) { loop, id in loop.close(id) }
}

@c @implementation
public func aloft_reset(_ connection: aloft_connection) -> Int32 {
  // Also one that is closing: what it still has to send is given up.
  onLoop(of: connection) { loop, id in
    guard loop.isAlive(id) else { return Code.closed }
    loop.reset(id)
    return Code.success
  }
}

@c @implementation
public func aloft_pause_reading(_ connection: aloft_connection) -> Int32 {
  onOpen(connection) { loop, id in loop.pauseReading(id) }
}

@c @implementation
public func aloft_resume_reading(_ connection: aloft_connection) -> Int32 {
  onOpen(connection) { loop, id in loop.resumeReading(id) }
}

@c @implementation
public func aloft_is_open(_ connection: aloft_connection) -> Int32 {
  let code = onLoop(of: connection) { loop, id in loop.isOpen(id) ? 1 : 0 }
  return code == Code.closed ? 0 : code
}

@c @implementation
public func aloft_queued_bytes(_ connection: aloft_connection) -> Int64 {
  var bytes: Int64 = 0
  let code = onLoop(of: connection) { loop, id in
    bytes = Int64(loop.queuedBytes(id))
    return Code.success
  }
  return code == Code.success ? bytes : Int64(code)
}

@c @implementation
public func aloft_set_user_data(
  _ connection: aloft_connection, _ user_data: UnsafeMutableRawPointer!
) -> Int32 {
  let word = UInt(bitPattern: user_data)
  return onLoop(of: connection) { loop, id in
    loop.setContext(id, word)
    return Code.success
  }
}

@c @implementation
public func aloft_user_data(_ connection: aloft_connection) -> UnsafeMutableRawPointer! {
  let word = LoopTable.context(ConnectionID(rawValue: connection.id))
  return unsafe UnsafeMutableRawPointer(bitPattern: word)
}

@c @implementation
public func aloft_peer_address(
  _ connection: aloft_connection, _ text: UnsafeMutablePointer<CChar>!, _ size: Int
) -> Int32 {
  unsafe address(of: connection, peer: true, text, size)
}

@c @implementation
public func aloft_local_address(
  _ connection: aloft_connection, _ text: UnsafeMutablePointer<CChar>!, _ size: Int
) -> Int32 {
  unsafe address(of: connection, peer: false, text, size)
}

private func address(
  of connection: aloft_connection, peer: Bool, _ text: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int32 {
  onLoop(of: connection) { loop, id in
    guard let name = loop.name(of: id, peer: peer) else { return Code.closed }
    return reporting { () throws(Failure) in unsafe try copy(name.description, to: text, size) }
  }
}

@c @implementation
public func aloft_connection_loop(_ runtime: OpaquePointer!, _ connection: aloft_connection)
  -> Int32
{
  reporting { () throws(Failure) in
    let runtime = unsafe try Runtime.of(runtime)
    let number = ConnectionID(rawValue: connection.id).loop
    guard let loop = runtime.loops.first(where: { $0.number == number }) else {
      throw Failure(Code.closed, "the connection belongs to none of the runtime's loops")
    }
    return Int32(loop.position)
  }
}
