import AloftAtomics
import AloftEngine
import AloftQueue
import AloftRegistry
public import CAloft

// `aloft/registry.h` is the manual of all of these.

@c @implementation
public func aloft_group_join(
  _ runtime: OpaquePointer!, _ group: aloft_key, _ member: aloft_target
) -> Int32 {
  unsafe changing(runtime, group, member) { (names, group, member) throws(RegistryError) in
    try names.join(group, member)
  }
}

@c @implementation
public func aloft_group_leave(
  _ runtime: OpaquePointer!, _ group: aloft_key, _ member: aloft_target
) -> Int32 {
  unsafe changing(runtime, group, member) { (names, group, member) throws(RegistryError) in
    try names.leave(group, member)
  }
}

private func changing(
  _ runtime: OpaquePointer?, _ group: aloft_key, _ member: aloft_target,
  _ body: (Names, NameKey, Target) throws(RegistryError) -> Void
) -> Int32 {
  reporting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    let (group, member) = (unsafe try names.readName(group), try member.read())
    do throws(RegistryError) {
      try body(names, group, member)
      return Code.success
    } catch {
      throw Failure(error)
    }
  }
}

@c @implementation
public func aloft_group_count(_ runtime: OpaquePointer!, _ group: aloft_key) -> Int64 {
  counting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    return names.memberCount(unsafe try names.readName(group))
  }
}

@c @implementation
public func aloft_group_members(
  _ runtime: OpaquePointer!, _ group: aloft_key, _ members: UnsafeMutablePointer<aloft_target>!,
  _ capacity: Int
) -> Int64 {
  counting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    let all = names.members(unsafe try names.readName(group))
    guard unsafe members != nil || capacity == 0 else { throw .null("members") }
    let room = Int(min(UInt(bitPattern: capacity), UInt(all.count)))
    for place in 0..<room { unsafe members[place] = aloft_target(all[place]) }
    return all.count
  }
}

@c @implementation
public func aloft_group_send(
  _ runtime: OpaquePointer!, _ group: aloft_key, _ pick: UInt32, _ message: OpaquePointer!,
  _ priority: UInt32
) -> Int32 {
  reporting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    guard let block = unsafe MessageBlock(message) else { throw .null("message") }
    let (group, rank) = (unsafe try names.readName(group), try readPriority(priority))
    let policy: Names.Pick
    switch Int(pick) {
    case ALOFT_PICK_ROUND_ROBIN: policy = .roundRobin
    case ALOFT_PICK_LEAST_QUEUED: policy = .leastQueued
    default: throw Failure(Code.invalid, "pick is \(pick); 0 and 1 are known")
    }
    // Most of the time the first one takes it, and the only reference is handed on.
    if let first = names.pick(group, policy), first.isMailbox {
      let id = MailboxID(rawValue: first.rawValue)
      if EventLoop.send(block, to: id, priority: rank) == .accepted { return Code.success }
    }
    MessageBlock.retain(block)
    let result = names.send(Message(adopting: block), toOneOf: group, policy, priority: rank)
    if result == .accepted { MessageBlock.release(block) }
    return result.code
  }
}

@c @implementation
public func aloft_group_broadcast(
  _ runtime: OpaquePointer!, _ group: aloft_key, _ message: OpaquePointer!, _ priority: UInt32,
  _ accepted: UnsafeMutablePointer<UInt64>!
) -> Int64 {
  counting { () throws(Failure) in
    let names = unsafe try Runtime.of(runtime).names
    guard let block = unsafe MessageBlock(message) else { throw .null("message") }
    let (group, rank) = (unsafe try names.readName(group), try readPriority(priority))
    MessageBlock.retain(block)
    let counts = names.broadcast(Message(adopting: block), to: group, priority: rank)
    unsafe accepted?.pointee = UInt64(counts.accepted)
    return counts.members
  }
}

// MARK: Watches

/// What an `aloft_watch` points to.
private final class WatchBox: Sendable {
  let names: Names
  let loop: EventLoop
  let watch: LoopWatch
  let key: KeptKey
  let isGroup: Bool

  init(_ names: Names, _ loop: EventLoop, _ watch: LoopWatch, _ key: KeptKey, isGroup: Bool) {
    self.names = names
    self.loop = loop
    self.watch = watch
    self.key = key
    self.isGroup = isGroup
  }

  func handOut() -> OpaquePointer {
    unsafe OpaquePointer(Unmanaged.passRetained(self).toOpaque())
  }

  func cancel() {
    key.withKey { key in
      if isGroup, case .name(let name) = key {
        names.unwatch(group: name, watch)
      } else {
        names.unwatch(key, watch)
      }
    }
  }
}

/// A function of the application's that hears of changes.
@safe
private final class ChangedCall: @unchecked Sendable {
  // @unchecked: immutable; the function and its context are the application's to keep safe.
  private let changed: aloft_changed
  private let context: UnsafeMutableRawPointer?

  init(_ changed: aloft_changed?, _ context: UnsafeMutableRawPointer?) throws(Failure) {
    guard let changed = unsafe changed else { throw .null("changed") }
    unsafe self.changed = unsafe changed
    unsafe self.context = unsafe context
  }

  func tell(_ change: NameChange) {
    unsafe changed(aloft_target(change.gone), aloft_target(change.came), context)
  }
}

@c @implementation
public func aloft_registry_watch(
  _ runtime: OpaquePointer!, _ key: aloft_key, _ loop: UInt32, _ changed: aloft_changed!,
  _ context: UnsafeMutableRawPointer!, _ watch: UnsafeMutablePointer<OpaquePointer?>!,
  _ initial: UnsafeMutablePointer<aloft_target>!
) -> Int32 {
  reporting { () throws(Failure) in
    let (names, target) = (
      unsafe try Runtime.of(runtime).names, unsafe try Runtime.of(runtime).loop(at: loop)
    )
    let key = unsafe try names.read(key)
    let call = unsafe try ChangedCall(changed, context)
    guard let watch = unsafe watch else { throw .null("watch") }
    let teller = LoopWatch(on: target) { call.tell($0) }
    let now = names.watch(key, teller)
    unsafe initial?.pointee = aloft_target(now)
    unsafe watch.pointee = WatchBox(names, target, teller, KeptKey(key), isGroup: false).handOut()
    return Code.success
  }
}

@c @implementation
public func aloft_group_watch(
  _ runtime: OpaquePointer!, _ group: aloft_key, _ loop: UInt32, _ changed: aloft_changed!,
  _ context: UnsafeMutableRawPointer!, _ watch: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    let (names, target) = (
      unsafe try Runtime.of(runtime).names, unsafe try Runtime.of(runtime).loop(at: loop)
    )
    let key = unsafe try names.readName(group)
    let call = unsafe try ChangedCall(changed, context)
    guard let watch = unsafe watch else { throw .null("watch") }
    let teller = LoopWatch(on: target) { call.tell($0) }
    _ = names.watch(group: key, teller)
    unsafe watch.pointee =
      WatchBox(names, target, teller, KeptKey(.name(key)), isGroup: true).handOut()
    return Code.success
  }
}

@c @implementation
public func aloft_watch_cancel(
  _ watch: OpaquePointer!, _ done: aloft_task!, _ context: UnsafeMutableRawPointer!
) -> Int32 {
  guard let watch = unsafe watch else { return Failure.null("watch").report() }
  let box = unsafe Unmanaged<WatchBox>.fromOpaque(UnsafeRawPointer(watch)).takeRetainedValue()
  box.cancel()
  if let done = unsafe done {
    let call = unsafe TaskCall(done, context)
    box.loop.executeUnrefused { call.run() }
  }
  return Code.success
}
