import AloftEngine
import AloftQueue
public import CAloft

// `aloft/supervision.h` is the manual of all of these.

/// Has `body` work on the worker, if this is its loop's thread and it is still the one.
private func onLoop(
  of worker: OpaquePointer?, _ body: (MailboxWorker) throws(Failure) -> Void
) -> Int32 {
  reporting { () throws(Failure) in
    guard let target = unsafe try CallbackWorker.of(worker).worker else {
      throw Failure(Code.closed, "the worker is gone")
    }
    guard target.loop.isCurrent else {
      throw Failure(Code.wrongThread, "the worker belongs to another thread's event loop")
    }
    try body(target)
    return Code.success
  }
}

@c @implementation
public func aloft_worker_mailbox(
  _ worker: OpaquePointer!, _ mailbox: UnsafeMutablePointer<aloft_mailbox>!
) -> Int32 {
  guard let mailbox = unsafe mailbox else { return Failure.null("mailbox").report() }
  return unsafe onLoop(of: worker) { (worker) throws(Failure) in
    guard let id = worker.mailbox else { throw Failure(Code.closed, "the worker is down") }
    unsafe mailbox.pointee = aloft_mailbox(id: id.rawValue)
  }
}

@c @implementation
public func aloft_worker_finish(_ worker: OpaquePointer!) -> Int32 {
  unsafe onLoop(of: worker) { $0.finish() }
}

@c @implementation
public func aloft_worker_fail(_ worker: OpaquePointer!, _ error: Int32) -> Int32 {
  guard error < 0 else {
    return Failure(Code.invalid, "error is \(error); negative codes are possible").report()
  }
  return unsafe onLoop(of: worker) { $0.fail(CallbackFailure(code: error)) }
}

@c @implementation
public func aloft_worker_progress(_ worker: OpaquePointer!) -> Int32 {
  unsafe onLoop(of: worker) { $0.reportProgress() }
}

// MARK: Monitors and links

/// What an `aloft_monitor` points to.
private final class MonitorBox: Sendable {
  let watch: EndWatch
  init(_ watch: EndWatch) { self.watch = watch }
}

/// A C function that hears of an end.
@safe
private final class MonitoredCall: @unchecked Sendable {
  // @unchecked: immutable; the function and its context are the application's to keep safe.
  private let function: aloft_monitored
  private let context: UnsafeMutableRawPointer?

  init(_ function: aloft_monitored, _ context: UnsafeMutableRawPointer?) {
    unsafe self.function = unsafe function
    unsafe self.context = unsafe context
  }

  func tell(_ id: MailboxID, _ reason: EndReason) {
    let code =
      switch reason {
      case .gone, .connection: ALOFT_MAILBOX_GONE
      case .closed: ALOFT_MAILBOX_CLOSED
      case .failed: ALOFT_MAILBOX_FAILED
      case .shutdown: ALOFT_MAILBOX_BY_SHUTDOWN
      }
    unsafe function(aloft_mailbox(id: id.rawValue), Int32(code), context)
  }
}

@c @implementation
public func aloft_monitor_start(
  _ mailbox: aloft_mailbox, _ ended: aloft_monitored!, _ context: UnsafeMutableRawPointer!,
  _ monitor: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    guard let ended = unsafe ended else { throw .null("ended") }
    guard let monitor = unsafe monitor else { throw .null("monitor") }
    let call = unsafe MonitoredCall(ended, context)
    let id = MailboxID(rawValue: mailbox.id)
    let watch = EndWatch { call.tell(id, $0) }
    unsafe monitor.pointee = unsafe OpaquePointer(
      Unmanaged.passRetained(MonitorBox(watch)).toOpaque())
    EventLoop.monitor(id, watch)
    return Code.success
  }
}

@c @implementation
public func aloft_monitor_cancel(_ monitor: OpaquePointer!) -> Int32 {
  guard let monitor = unsafe monitor else { return Failure.null("monitor").report() }
  let box = unsafe Unmanaged<MonitorBox>.fromOpaque(UnsafeRawPointer(monitor))
    .takeRetainedValue()
  // That it was told is a matter of course: no message is made.
  return box.watch.cancel() ? Code.success : Code.noEntry
}

@c @implementation
public func aloft_link(_ a: aloft_mailbox, _ b: aloft_mailbox) -> Int32 {
  EndLink.make(MailboxID(rawValue: a.id), MailboxID(rawValue: b.id))
  return Code.success
}
