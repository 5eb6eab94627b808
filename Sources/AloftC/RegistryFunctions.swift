import AloftAtomics
import AloftEngine
import AloftQueue
import AloftRegistry
public import CAloft

// `aloft/registry.h` is the manual of all of these.

@c @implementation
public func aloft_registry_look_up(
  _ runtime: OpaquePointer!, _ key: aloft_key, _ target: UnsafeMutablePointer<aloft_target>!
) -> Int32 {
  reporting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    guard let target = unsafe target else { throw .null("target") }
    // That nobody has a name is a matter of course: no message is made.
    guard let found = names.find(unsafe try names.read(key)) else { return Code.noName }
    unsafe target.pointee = aloft_target(found)
    return Code.success
  }
}

extension Names {
  func find(_ key: RegistryKey) -> Target? {
    switch key {
    case .name(let name): find(name)
    case .id(let id): find(id)
    case .wideID(let id): find(id)
    }
  }
}

/// Runs a change; who is in its way is told to the caller.
private func changing(
  _ holder: UnsafeMutablePointer<aloft_target>?, _ body: () throws(RegistryError) -> Void
) throws(Failure) -> Int32 {
  do throws(RegistryError) {
    try body()
    return Code.success
  } catch {
    unsafe holder?.pointee = aloft_target(error.holder)
    throw Failure(error)
  }
}

@c @implementation
public func aloft_registry_register(
  _ runtime: OpaquePointer!, _ key: aloft_key, _ target: aloft_target,
  _ holder: UnsafeMutablePointer<aloft_target>!
) -> Int32 {
  reporting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    let (key, target) = (unsafe try names.read(key), try target.read())
    return unsafe try changing(holder) { () throws(RegistryError) in
      try names.register(key, target)
    }
  }
}

@c @implementation
public func aloft_registry_unregister(
  _ runtime: OpaquePointer!, _ key: aloft_key, _ target: aloft_target,
  _ holder: UnsafeMutablePointer<aloft_target>!
) -> Int32 {
  reporting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    let (key, target) = (unsafe try names.read(key), try target.read())
    return unsafe try changing(holder) { () throws(RegistryError) in
      try names.unregister(key, target)
    }
  }
}

@c @implementation
public func aloft_registry_replace(
  _ runtime: OpaquePointer!, _ key: aloft_key, _ expected: aloft_target, _ target: aloft_target,
  _ holder: UnsafeMutablePointer<aloft_target>!
) -> Int32 {
  reporting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    let (key, expected, target) = (
      unsafe try names.read(key), try expected.read(), try target.read()
    )
    return unsafe try changing(holder) { () throws(RegistryError) in
      try names.replace(key, expected, with: target)
    }
  }
}

@c @implementation
public func aloft_registry_take_over(
  _ runtime: OpaquePointer!, _ key: aloft_key, _ target: aloft_target,
  _ previous: UnsafeMutablePointer<aloft_target>!
) -> Int32 {
  reporting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    let (key, target) = (unsafe try names.read(key), try target.read())
    return try changing(nil) { () throws(RegistryError) in
      let had = try names.takeOver(key, target)
      unsafe previous?.pointee = aloft_target(had)
    }
  }
}

@c @implementation
public func aloft_registry_count(_ runtime: OpaquePointer!, _ kind: UInt32) -> Int64 {
  counting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    switch Int(kind) {
    case ALOFT_KEY_NAME: return names.nameCount
    case ALOFT_KEY_ID, ALOFT_KEY_WIDE: return names.idCount
    default: throw Names.unknownKind(kind)
    }
  }
}

@c @implementation
public func aloft_registry_for_each(
  _ runtime: OpaquePointer!, _ kind: UInt32,
  _ visit: (@convention(c) (aloft_key, aloft_target, UnsafeMutableRawPointer?) -> Int32)!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    guard let visit = unsafe visit else { throw .null("visit") }
    switch Int(kind) {
    case ALOFT_KEY_NAME:
      unsafe names.forEachName { bytes, target in
        unsafe visit(aloft_key_bytes(bytes.baseAddress, bytes.count), aloft_target(target), context)
          != 0
      }
    case ALOFT_KEY_ID:
      names.forEachID { unsafe visit(aloft_key_id($0), aloft_target($1), context) != 0 }
    case ALOFT_KEY_WIDE:
      names.forEachWideID {
        unsafe visit(aloft_key_wide($0.high, $0.low), aloft_target($1), context) != 0
      }
    default: throw Names.unknownKind(kind)
    }
    return Code.success
  }
}

// MARK: Sending

extension Names {
  /// Sends a message whose reference stays the caller's unless it is accepted.
  @inline(__always)
  func send(_ block: MessageBlock, toAny target: Target?, priority: UInt8) -> Int32 {
    guard let target else { return Code.noName }
    if target.isMailbox {
      let id = MailboxID(rawValue: target.rawValue)
      return EventLoop.send(block, to: id, priority: priority).code
    }
    MessageBlock.retain(block)
    let result = send(Message(adopting: block), toAny: target, priority: priority)
    if result == .accepted { MessageBlock.release(block) }
    return result.code
  }
}

@c @implementation
public func aloft_registry_send(
  _ runtime: OpaquePointer!, _ key: aloft_key, _ message: OpaquePointer!, _ priority: UInt32
) -> Int32 {
  reporting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    guard let block = unsafe MessageBlock(message) else { throw .null("message") }
    let rank = try readPriority(priority)
    let target = names.find(unsafe try names.read(key))
    return names.send(block, toAny: target, priority: rank)
  }
}

@c @implementation
public func aloft_registry_send_bytes(
  _ runtime: OpaquePointer!, _ key: aloft_key, _ data: UnsafeRawPointer!, _ length: Int,
  _ priority: UInt32
) -> Int32 {
  reporting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    guard unsafe data != nil || length == 0 else { throw .null("data") }
    let rank = try readPriority(priority)
    guard let target = names.find(unsafe try names.read(key)) else { return Code.noName }
    let message = Message(adopting: unsafe try MessageBlock.made(data, length))
    return names.send(message, toAny: target, priority: rank).code
  }
}
