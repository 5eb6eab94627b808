import AloftEngine
import AloftUV
public import CAloft
import CUV

// `aloft.h` is the manual of all of these.

@c @implementation
public func aloft_runtime_create(
  _ options: UnsafePointer<aloft_runtime_options>!, _ runtime: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    guard let runtime = unsafe runtime else { throw .null("runtime") }
    let checked = unsafe try readRuntimeOptions(options, attached: false)
    unsafe runtime.pointee = unsafe try Runtime(checked).handOut()
    return Code.success
  }
}

@c @implementation
public func aloft_runtime_attach(
  _ loop: UnsafeMutablePointer<uv_loop_s>!, _ options: UnsafePointer<aloft_runtime_options>!,
  _ runtime: UnsafeMutablePointer<OpaquePointer?>!
) -> Int32 {
  reporting { () throws(Failure) in
    guard let runtime = unsafe runtime else { throw .null("runtime") }
    guard let loop = unsafe loop else { throw .null("loop") }
    let checked = unsafe try readRuntimeOptions(options, attached: true)
    unsafe runtime.pointee = unsafe try Runtime(host: loop, checked).handOut()
    return Code.success
  }
}

@c @implementation
public func aloft_runtime_shutdown(
  _ runtime: OpaquePointer!, _ drain_ms_max: UInt32, _ on_ended: aloft_task!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    unsafe try Runtime.of(runtime).shutDown(drainMax: drain_ms_max, on_ended, context)
    return Code.success
  }
}

@c @implementation
public func aloft_runtime_wait(_ runtime: OpaquePointer!) -> Int32 {
  reporting { () throws(Failure) in
    unsafe try Runtime.of(runtime).wait()
    return Code.success
  }
}

@c @implementation
public func aloft_runtime_destroy(_ runtime: OpaquePointer!) -> Int32 {
  if unsafe runtime == nil { return Code.success }
  return reporting { () throws(Failure) in
    unsafe try Runtime.of(runtime).destroy()
    return Code.success
  }
}

@c @implementation
public func aloft_loop_count(_ runtime: OpaquePointer!) -> Int32 {
  reporting { () throws(Failure) in unsafe Int32(try Runtime.of(runtime).loops.count) }
}

@c @implementation
public func aloft_loop_index(_ runtime: OpaquePointer!) -> Int32 {
  reporting { () throws(Failure) in unsafe Int32(try Runtime.of(runtime).onLoop().position) }
}

@c @implementation
public func aloft_execute(
  _ runtime: OpaquePointer!, _ loop: UInt32, _ task: aloft_task!,
  _ context: UnsafeMutableRawPointer!
) -> Int32 {
  reporting { () throws(Failure) in
    guard let task = unsafe task else { throw .null("task") }
    let target = unsafe try Runtime.of(runtime).loop(at: loop)
    let call = unsafe TaskCall(task, context)
    do throws(EngineError) {
      try target.execute { call.run() }
      return Code.success
    } catch {
      call.forget()
      throw Failure(error)
    }
  }
}

@c @implementation
public func aloft_statistics_get(
  _ runtime: OpaquePointer!, _ loop: UInt32, _ statistics: UnsafeMutablePointer<aloft_statistics>!
) -> Int32 {
  reporting { () throws(Failure) in
    let runtime = unsafe try Runtime.of(runtime)
    guard let statistics = unsafe statistics else { throw .null("statistics") }
    var sum = StatisticsSnapshot()
    if loop == .max {
      for each in runtime.loops { sum.add(each.statistics) }
    } else {
      sum.add(try runtime.loop(at: loop).statistics)
    }
    unsafe try write(aloft_statistics(sum), to: statistics, "aloft_statistics")
    return Code.success
  }
}

extension aloft_statistics {
  fileprivate init(_ sum: StatisticsSnapshot) {
    self.init()
    connections_open = sum.open
    accepted = sum.accepted
    connected = sum.connected
    refused = sum.refused
    closed = sum.closed
    bytes_received = sum.bytesReceived
    bytes_written = sum.bytesWritten
    receives = sum.receives
    turns = sum.turns
    sleeps = sum.sleeps
    timers_fired = sum.timersFired
  }
}
