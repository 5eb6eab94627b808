import AloftC
import AloftCluster
import AloftEngine
import AloftSession
public import CAloft

// `aloft_node.h` is the manual of all of these.

/// Bytes of a state or an event: as much as any session may have.
private let bytesMax: UInt = 1 << 20

private func bytes(_ data: UnsafeRawPointer?, _ length: Int) throws(Failure) -> [UInt8] {
  guard unsafe data != nil || length == 0 else { throw .null("data") }
  guard UInt(bitPattern: length) <= bytesMax else {
    throw Failure(
      Code.invalid, "\(UInt(bitPattern: length)) bytes are above the limit of \(bytesMax)")
  }
  return unsafe Array(UnsafeRawBufferPointer(start: data, count: length))
}

private func session(_ id: UnsafePointer<CChar>?) throws(Failure) -> String {
  guard let id = unsafe try text(id, "id") else { throw .null("id") }
  return id
}

private func name(_ name: UnsafePointer<CChar>?) throws(Failure) -> [UInt8] {
  let bytes = unsafe Array(try text(name, "name")?.utf8 ?? "".utf8)
  guard bytes.count <= 255 else {
    throw Failure(Code.invalid, "the name has \(bytes.count) bytes; up to 255 are possible")
  }
  return bytes
}

/// Has `body` ask on the loop; `done` is owed a call once that is certain to happen.
private func asking(
  _ sessions: OpaquePointer?, _ done: aloft_session_done?, _ context: UnsafeMutableRawPointer?,
  _ body: @escaping @Sendable (SessionsHandle, any SessionAccess, OwedResult) -> Void
) throws(Failure) -> Int32 {
  let handle = unsafe try SessionsHandle.of(sessions)
  let owed = unsafe OwedResult(done, context)
  do throws(EngineError) {
    try handle.loop.execute { handle.run(owed) { body(handle, $0, owed) } }
  } catch {
    owed.forget()
    throw Failure(error)
  }
  return Code.success
}

private func writing(
  _ sessions: OpaquePointer?, _ id: UnsafePointer<CChar>?, expected: UInt64? = nil,
  _ done: aloft_session_done?, _ context: UnsafeMutableRawPointer?,
  _ operation: () throws(Failure) -> SessionOperation
) -> Int32 {
  reporting { () throws(Failure) in
    let id = unsafe try session(id)
    let operation = try operation()
    return unsafe try asking(sessions, done, context) { handle, access, owed in
      access.write(
        id, operation, key: .random(in: 1...UInt64.max), expected: expected,
        milliseconds: handle.milliseconds
      ) { handle.tell(owed, $0, id: id) }
    }
  }
}

// MARK: To make, to find, to read

@c @implementation
public func aloft_session_create(
  _ sessions: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ state: UnsafeRawPointer!,
  _ length: Int, _ options: UnsafePointer<aloft_session_options>!, _ done: aloft_session_done!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let name = unsafe try AloftNodeC.name(name)
    let options = unsafe try readOptions(options)
    let isLocal = options.durability == .local
    guard !isLocal || name.isEmpty else {
      throw Failure(Code.invalid, "a session in the memory of one node alone has no name")
    }
    let operation = SessionOperation.create(
      options, name: name, state: unsafe try bytes(state, length))
    return unsafe try asking(sessions, done, context) { handle, access, owed in
      access.newID(
        name: name, isLocal: isLocal, milliseconds: handle.milliseconds
      ) { outcome, id in
        guard outcome.isDone else { return handle.tell(owed, outcome, id: "") }
        access.write(
          id, operation, key: .random(in: 1...UInt64.max), expected: nil,
          milliseconds: handle.milliseconds
        ) { handle.tell(owed, $0, id: id) }
      }
    }
  }
}

private func readOptions(
  _ source: UnsafePointer<aloft_session_options>?
) throws(Failure) -> SessionOptions {
  var options = SessionOptions()
  guard let source = unsafe source else { return options }
  var given = aloft_session_options()
  try unsafe read(source, into: &given, "aloft_session_options")
  switch Int(given.durability) {
  case ALOFT_DURABILITY_REPLICATED: options.durability = .replicated
  case ALOFT_DURABILITY_DURABLE: options.durability = .durable
  case ALOFT_DURABILITY_LOCAL: options.durability = .local
  default:
    throw Failure(Code.invalid, "durability is \(given.durability); 0 to 2 are known")
  }
  options.phase = given.is_negotiating == 0 ? .active : .negotiating
  options.idleTimeoutMs = given.idle_timeout_ms
  options.lifetimeMs = given.lifetime_ms
  if given.state_max != 0 { options.stateMax = given.state_max }
  if given.outbox_bytes_max != 0 { options.outboxBytesMax = given.outbox_bytes_max }
  guard let events = UInt16(exactly: given.outbox_events_max),
    let keys = UInt8(exactly: given.keys_max)
  else {
    throw Failure(
      Code.invalid, "outbox_events_max and keys_max are 65,535 and 255 at most")
  }
  if events != 0 { options.outboxEventsMax = events }
  if keys != 0 { options.keysMax = keys }
  return options
}

@c @implementation
public func aloft_session_find(
  _ sessions: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ done: aloft_session_done!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let name = unsafe try AloftNodeC.name(name)
    guard !name.isEmpty else { throw Failure(Code.invalid, "name is empty, or NULL") }
    return unsafe try asking(sessions, done, context) { handle, access, owed in
      access.newID(name: name, isLocal: false, milliseconds: handle.milliseconds) {
        handle.tell(owed, $0, id: $1)
      }
    }
  }
}

@c @implementation
public func aloft_session_get(
  _ sessions: OpaquePointer!, _ id: UnsafePointer<CChar>!, _ at_least: UInt64,
  _ done: aloft_session_done!, _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let id = unsafe try session(id)
    let consistency: SessionClientCore.Consistency =
      at_least == .max ? .linearizable : .atLeast(at_least)
    return unsafe try asking(sessions, done, context) { handle, access, owed in
      access.read(id, consistency, milliseconds: handle.milliseconds) {
        handle.tell(owed, $0, id: id, $1)
      }
    }
  }
}

// MARK: To write

@c @implementation
public func aloft_session_put(
  _ sessions: OpaquePointer!, _ id: UnsafePointer<CChar>!, _ expected: UInt64,
  _ state: UnsafeRawPointer!, _ length: Int, _ done: aloft_session_done!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  unsafe writing(sessions, id, expected: expected == .max ? nil : expected, done, context) {
    () throws(Failure) in .put(unsafe try bytes(state, length))
  }
}

@c @implementation
public func aloft_session_append(
  _ sessions: OpaquePointer!, _ id: UnsafePointer<CChar>!, _ data: UnsafeRawPointer!,
  _ length: Int, _ done: aloft_session_done!, _ context: UnsafeMutableRawPointer!
) -> Int32 {
  unsafe writing(sessions, id, done, context) { () throws(Failure) in
    .append(unsafe try bytes(data, length))
  }
}

@c @implementation
public func aloft_session_patch(
  _ sessions: OpaquePointer!, _ id: UnsafePointer<CChar>!,
  _ fields: UnsafePointer<aloft_session_field>!, _ count: UInt32, _ done: aloft_session_done!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  unsafe writing(sessions, id, done, context) { () throws(Failure) in
    guard (1...64).contains(count), let fields = unsafe fields else {
      throw Failure(Code.invalid, "count is \(count): 1 to 64 fields are possible")
    }
    var list: [SessionField] = []
    for place in 0..<Int(count) {
      let field = unsafe fields[place]
      let name = unsafe try AloftNodeC.name(field.name)
      guard !name.isEmpty else { throw Failure(Code.invalid, "a field's name is empty") }
      let value: [UInt8]? =
        unsafe field.value == nil ? nil : unsafe try bytes(field.value, field.length)
      list.append(SessionField(name: name, value: value))
    }
    return .patch(list)
  }
}

@c @implementation
public func aloft_session_set_phase(
  _ sessions: OpaquePointer!, _ id: UnsafePointer<CChar>!, _ phase: UInt32,
  _ done: aloft_session_done!, _ context: UnsafeMutableRawPointer!
) -> Int32 {
  unsafe writing(sessions, id, done, context) { () throws(Failure) in
    guard let phase = UInt8(exactly: phase).flatMap(SessionPhase.init), phase != .closed else {
      throw Failure(Code.invalid, "phase is \(phase); 0 to 2 are possible")
    }
    return .setPhase(phase)
  }
}

@c @implementation
public func aloft_session_close(
  _ sessions: OpaquePointer!, _ id: UnsafePointer<CChar>!, _ done: aloft_session_done!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  unsafe writing(sessions, id, done, context) { () throws(Failure) in .close }
}

@c @implementation
public func aloft_session_touch(
  _ sessions: OpaquePointer!, _ id: UnsafePointer<CChar>!, _ done: aloft_session_done!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let id = unsafe try session(id)
    return unsafe try asking(sessions, done, context) { handle, access, owed in
      access.touch(id, milliseconds: handle.milliseconds) { handle.tell(owed, $0, id: id) }
    }
  }
}

// MARK: The outbox

@c @implementation
public func aloft_session_publish(
  _ sessions: OpaquePointer!, _ id: UnsafePointer<CChar>!, _ data: UnsafeRawPointer!,
  _ length: Int, _ done: aloft_session_done!, _ context: UnsafeMutableRawPointer!
) -> Int32 {
  unsafe writing(sessions, id, done, context) { () throws(Failure) in
    .publish(unsafe try bytes(data, length))
  }
}

@c @implementation
public func aloft_session_acknowledge(
  _ sessions: OpaquePointer!, _ id: UnsafePointer<CChar>!, _ through: UInt64,
  _ done: aloft_session_done!, _ context: UnsafeMutableRawPointer!
) -> Int32 {
  unsafe writing(sessions, id, done, context) { () throws(Failure) in
    .acknowledge(through: through)
  }
}

/// The application's callbacks for an attachment.
@safe
private struct AttachmentCallbacks: @unchecked Sendable {
  // @unchecked: immutable; the callbacks and their context are the application's to keep safe.
  var callbacks = aloft_attachment_callbacks()
  let context: UnsafeMutableRawPointer?

  init(
    _ source: UnsafePointer<aloft_attachment_callbacks>?, _ context: UnsafeMutableRawPointer?
  ) throws(Failure) {
    unsafe self.context = unsafe context
    if let source = unsafe source {
      try unsafe read(source, into: &callbacks, "aloft_attachment_callbacks")
    }
  }

  func event(_ number: UInt64, _ bytes: [UInt8]) {
    unsafe bytes.withUnsafeBytes {
      unsafe callbacks.on_event?(number, $0.baseAddress, $0.count, context)
    }
  }

  func ended(_ code: SessionCode) {
    let failure = Failure(SessionOutcome(code)) ?? .stopped
    let status = failure.report()
    unsafe callbacks.on_ended?(status, context)
  }
}

@c @implementation
public func aloft_session_attach(
  _ sessions: OpaquePointer!, _ id: UnsafePointer<CChar>!, _ from: UInt64,
  _ callbacks: UnsafePointer<aloft_attachment_callbacks>!, _ done: aloft_session_done!,
  _ context: UnsafeMutableRawPointer!, _ attachment: UnsafeMutablePointer<aloft_attachment>!
) -> Int32 {
  reporting { () throws(Failure) in
    let id = unsafe try session(id)
    let told = unsafe try AttachmentCallbacks(callbacks, context)
    let number = unsafe try SessionsHandle.of(sessions).nameAttachment()
    // Before anybody can have given it up.
    unsafe attachment?.pointee = aloft_attachment(id: number)
    return unsafe try asking(sessions, done, context) { handle, access, owed in
      let made = access.enter(
        id, from: from == .max ? nil : from, milliseconds: handle.milliseconds,
        { outcome, view in
          if !outcome.isDone { handle.forget(number) }
          handle.tell(owed, outcome, id: id, view)
        }, told: { told.event($0, $1) },
        ended: { code in
          handle.forget(number)
          told.ended(code)
        })
      if owed.isWaiting { handle.keep(made, as: number) }
    }
  }
}

@c @implementation
public func aloft_session_detach(
  _ sessions: OpaquePointer!, _ attachment: aloft_attachment
) -> Int32 {
  reporting { () throws(Failure) in
    let handle = unsafe try SessionsHandle.of(sessions)
    let number = attachment.id
    if EventLoop.current === handle.loop {
      handle.detach(number)
    } else {
      try translating { () throws(EngineError) in
        try handle.loop.execute { handle.detach(number) }
      }
    }
    return Code.success
  }
}
