import AloftAtomics
import AloftEngine
import AloftPool
import AloftQueue
public import CAloft

// `aloft/pool.h` is the manual of all of these.

@c @implementation
public func aloft_pool_create(
  _ runtime: OpaquePointer!, _ home: UInt32, _ options: UnsafePointer<aloft_pool_options>!,
  _ callbacks: UnsafePointer<aloft_pool_callbacks>!, _ context: UnsafeMutableRawPointer!,
  _ pool: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    let runtime = unsafe try Runtime.of(runtime)
    let loop = try runtime.loop(at: home)
    let options = unsafe try PoolOptions(options, loops: runtime.loops.count)
    let callbacks = unsafe try PoolCallbacks(callbacks, context)
    guard let pool = unsafe pool else { throw .null("pool") }
    guard !runtime.isEnding else { throw .shutDown }
    let made = try CallbackPool(on: loop, options, callbacks)
    unsafe pool.pointee = unsafe OpaquePointer(Unmanaged.passRetained(made).toOpaque())
    made.home.start()
    return Code.success
  }
}

@c @implementation
public func aloft_pool_destroy(
  _ pool: OpaquePointer!, _ lease_ms_max: UInt32, _ done: aloft_task!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let pool = unsafe try CallbackPool.of(pool)
    let limit = lease_ms_max == .max ? 0 : UInt64(lease_ms_max) * 1_000_000
    let call = unsafe done.map { unsafe TaskCall($0, context) }
    pool.home.drain(limit: limit) { call?.run() }
    unsafe Unmanaged.passUnretained(pool).release()
    return Code.success
  }
}

// MARK: What the application has done

@c @implementation
public func aloft_pool_opened(
  _ pool: OpaquePointer!, _ slot: UInt32, _ resource: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let pool = unsafe try CallbackPool.of(pool)
    guard unsafe resource != nil else { throw .null("resource") }
    let slot = try pool.end(slot, .opening)
    unsafe pool.setResource(slot, resource)
    pool.home.opened(slot)
    return Code.success
  }
}

@c @implementation
public func aloft_pool_open_failed(_ pool: OpaquePointer!, _ slot: UInt32) -> Int32 {
  reporting { () throws(Failure) in
    let pool = unsafe try CallbackPool.of(pool)
    pool.home.openFailed(try pool.end(slot, .opening))
    return Code.success
  }
}

@c @implementation
public func aloft_pool_closed(_ pool: OpaquePointer!, _ slot: UInt32) -> Int32 {
  reporting { () throws(Failure) in
    let pool = unsafe try CallbackPool.of(pool)
    pool.home.closed(try pool.end(slot, .closing))
    return Code.success
  }
}

@c @implementation
public func aloft_pool_checked(
  _ pool: OpaquePointer!, _ slot: UInt32, _ is_sound: Int32
) -> Int32 {
  reporting { () throws(Failure) in
    let pool = unsafe try CallbackPool.of(pool)
    pool.home.checked(try pool.end(slot, .checking), isSound: is_sound != 0)
    return Code.success
  }
}

// MARK: Leases

@c @implementation
public func aloft_pool_try_lease(
  _ pool: OpaquePointer!, _ lease: UnsafeMutablePointer<aloft_lease>!,
  _ resource: UnsafeMutablePointer<UnsafeMutableRawPointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    let pool = unsafe try CallbackPool.of(pool)
    guard let lease = unsafe lease else { throw .null("lease") }
    let taken = pool.tryTake()
    // That nothing is idle is a matter of course: no message is made.
    guard taken != 0 else { return Code.wouldBlock }
    unsafe lease.pointee = aloft_lease(id: taken)
    unsafe resource?.pointee = unsafe pool.resource(of: taken)
    return Code.success
  }
}

@c @implementation
public func aloft_pool_lease(
  _ pool: OpaquePointer!, _ timeout_ms: UInt32, _ leased: aloft_leased!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    let pool = unsafe try CallbackPool.of(pool)
    guard let leased = unsafe leased else { throw .null("leased") }
    let taken = pool.tryTake()
    if taken != 0 {
      unsafe leased(Code.success, aloft_lease(id: taken), pool.resource(of: taken), context)
      return Code.success
    }
    pool.home.wait(unsafe LeasedCall(pool, leased, context), timeout: waitMax(timeout_ms))
    return Code.success
  }
}

/// For how long to wait at most, in nanoseconds; 0 for no limit.
private func waitMax(_ timeout_ms: UInt32) -> UInt64 {
  let usual: UInt64 = 5_000
  let milliseconds = timeout_ms == .max ? 0 : timeout_ms == 0 ? usual : UInt64(timeout_ms)
  return milliseconds * 1_000_000
}

@c @implementation
public func aloft_pool_lease_cancellable(
  _ pool: OpaquePointer!, _ timeout_ms: UInt32, _ leased: aloft_leased!,
  _ context: UnsafeMutableRawPointer!, _ wait: UnsafeMutablePointer<aloft_lease_wait>!
) -> Int32 {
  reporting { () throws(Failure) in
    let pool = unsafe try CallbackPool.of(pool)
    guard let leased = unsafe leased else { throw .null("leased") }
    guard let wait = unsafe wait else { throw .null("wait") }
    let taken = pool.tryTake()
    if taken != 0 {
      unsafe wait.pointee = aloft_lease_wait(id: 0)
      unsafe leased(Code.success, aloft_lease(id: taken), pool.resource(of: taken), context)
      return Code.success
    }
    let call = unsafe CancellableCall(pool, leased, context)
    // Before it waits: from then on its answer may come.
    unsafe wait.pointee = aloft_lease_wait(id: pool.waits.insert(call))
    call.wait(timeout: waitMax(timeout_ms))
    return Code.success
  }
}

@c @implementation
public func aloft_pool_lease_cancel(_ pool: OpaquePointer!, _ wait: aloft_lease_wait) -> Int32 {
  reporting { () throws(Failure) in
    let pool = unsafe try CallbackPool.of(pool)
    // That the answer came first is a matter of course: no message is made.
    guard let call = pool.waits.take(wait.id) else { return Code.stale }
    call.cancel()
    return Code.success
  }
}

@c @implementation
public func aloft_pool_return(
  _ pool: OpaquePointer!, _ lease: aloft_lease, _ state: UInt32
) -> Int32 {
  reporting { () throws(Failure) in
    let pool = unsafe try CallbackPool.of(pool)
    let ending: PoolHome.Ending
    switch Int(state) {
    case ALOFT_LEASE_SOUND: ending = .sound
    case ALOFT_LEASE_BROKEN: ending = .broken
    case ALOFT_LEASE_DOUBTFUL: ending = .doubtful
    default: throw Failure(Code.invalid, "state is \(state); 0 to 2 are known")
    }
    let handle = LeaseHandle(rawValue: lease.id)
    guard handle.slot < pool.slots, pool.home.giveBack(handle, ending) else {
      throw Failure(
        Code.stale, "lease \(String(lease.id, radix: 16)) is none of this pool, or no longer")
    }
    return Code.success
  }
}

@c @implementation
public func aloft_pool_bind_mailbox(
  _ pool: OpaquePointer!, _ lease: aloft_lease, _ mailbox: aloft_mailbox
) -> Int32 {
  unsafe bind(lease, of: pool) { _ in .mailbox(MailboxID(rawValue: mailbox.id)) }
}

@c @implementation
public func aloft_pool_bind_connection(
  _ pool: OpaquePointer!, _ lease: aloft_lease, _ connection: aloft_connection
) -> Int32 {
  unsafe bind(lease, of: pool) { _ in .connection(ConnectionID(rawValue: connection.id)) }
}

@c @implementation
public func aloft_pool_bind_loop(
  _ pool: OpaquePointer!, _ lease: aloft_lease, _ loop: UInt32
) -> Int32 {
  unsafe bind(lease, of: pool) { home throws(Failure) in
    guard loop < home.loops.count else {
      throw Failure(Code.noEntry, "there is no loop \(loop); the runtime has \(home.loops.count)")
    }
    return .loop(home.loops[Int(loop)])
  }
}

private func bind(
  _ lease: aloft_lease, of pool: OpaquePointer?,
  to borrower: (PoolHome) throws(Failure) -> PoolHome.Borrower
) -> Int32 {
  reporting { () throws(Failure) in
    let home = unsafe try CallbackPool.of(pool).home
    guard home.bind(LeaseHandle(rawValue: lease.id), to: try borrower(home)) else {
      throw Failure(
        Code.stale, "lease \(String(lease.id, radix: 16)) is none of this pool, or no longer")
    }
    return Code.success
  }
}

// MARK: Control

@c @implementation
public func aloft_pool_resize(
  _ pool: OpaquePointer!, _ size: UInt32, _ size_min: UInt32, _ overflow: UInt32
) -> Int32 {
  reporting { () throws(Failure) in
    let pool = unsafe try CallbackPool.of(pool)
    try PoolOptions.check(
      size: Int(size), sizeMin: Int(size_min), overflow: Int(overflow), limit: pool.slots)
    pool.home.resize(sizeMin: Int(size_min), sizeMax: Int(size), overflowMax: Int(overflow))
    return Code.success
  }
}

@c @implementation
public func aloft_pool_statistics_get(
  _ pool: OpaquePointer!, _ statistics: UnsafeMutablePointer<aloft_pool_statistics>!
) -> Int32 {
  reporting { () throws(Failure) in
    let home = unsafe try CallbackPool.of(pool).home
    guard let statistics = unsafe statistics else { throw .null("statistics") }
    let snapshot = try home.loop.done { (_) throws(Failure) in home.snapshot() }
    unsafe try write(
      aloft_pool_statistics(snapshot), to: statistics, "aloft_pool_statistics")
    return Code.success
  }
}

extension aloft_pool_statistics {
  fileprivate init(_ s: PoolHome.Snapshot) {
    self.init()
    in_use = UInt64(s.inUse)
    idle = UInt64(s.idle)
    opening = UInt64(s.opening)
    waiting = UInt64(s.waiting)
    leases = s.leases
    waited = s.counts.handedOver
    opened = s.counts.opened
    open_failures = s.counts.openFailures
    closed = s.counts.closed
    overflowed = s.counts.overflowed
    timed_out = s.counts.timedOut
    refused = s.counts.refused
    reclaimed = s.counts.reclaimed
    checks_failed = s.counts.checksFailed
    upstreams_down = UInt64(s.upstreamsDown)
    wait_us_p50 = s.waits.percentile(50) / 1_000
    wait_us_p99 = s.waits.percentile(99) / 1_000
    wait_us_max = s.waits.max / 1_000
  }
}
