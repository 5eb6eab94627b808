import AloftEngine
import AloftUV
public import CAloft

@c @implementation
public func aloft_timer_start(
  _ runtime: OpaquePointer!, _ delay_ms: UInt64, _ period_ms: UInt32, _ fired: aloft_timer_fired!,
  _ context: UnsafeMutableRawPointer!, _ timer: UnsafeMutablePointer<aloft_timer>!
) -> Int32 {
  reporting { () throws(Failure) in
    let runtime = unsafe try Runtime.of(runtime)
    let loop = try runtime.onLoop()
    guard let fired = unsafe fired else { throw .null("fired") }
    guard loop.isRunning else { throw .shutDown }
    let started = loop.startTimer(afterMilliseconds: delay_ms, period: period_ms) {
      unsafe fired(context)
    }
    guard let started else {
      throw Failure(
        Code.limit, "\(runtime.options.loop.timersMax) timers run on the loop, which is the limit")
    }
    unsafe timer?.pointee = aloft_timer(id: started.rawValue)
    return Code.success
  }
}

@c @implementation
public func aloft_timer_rearm(
  _ runtime: OpaquePointer!, _ timer: aloft_timer, _ delay_ms: UInt64
) -> Int32 {
  unsafe onLoop(of: timer, runtime) { loop, id in
    loop.rearmTimer(id, afterMilliseconds: delay_ms)
  }
}

@c @implementation
public func aloft_timer_cancel(_ runtime: OpaquePointer!, _ timer: aloft_timer) -> Int32 {
  unsafe onLoop(of: timer, runtime) { loop, id in loop.cancelTimer(id) }
}

/// Has `body` work on the timer, if this is its loop's thread; false from it: there is none.
private func onLoop(
  of timer: aloft_timer, _ runtime: OpaquePointer?, _ body: (EventLoop, TimerID) -> Bool
) -> Int32 {
  reporting { () throws(Failure) in
    let runtime = unsafe try Runtime.of(runtime)
    let loop = try runtime.onLoop()
    let id = TimerID(rawValue: timer.id)
    if timer.id != 0, id.loop != loop.number,
      runtime.loops.contains(where: { $0.number == id.loop })
    {
      throw Failure(Code.wrongThread, "the timer belongs to another loop of the runtime")
    }
    guard body(loop, id) else {
      throw Failure(Code.noEntry, "the timer has fired, was cancelled, or never was")
    }
    return Code.success
  }
}
