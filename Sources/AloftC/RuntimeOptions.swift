import AloftEngine
import AloftUV
import CAloft

/// Reads and checks a runtime's options. What loops and limits there may be is the group's to say.
func readRuntimeOptions(
  _ source: UnsafePointer<aloft_runtime_options>?, attached: Bool
) throws(Failure) -> LoopGroupOptions {
  var given = unsafe aloft_runtime_options()
  if let source = unsafe source { try unsafe read(source, into: &given, "aloft_runtime_options") }
  var options = LoopGroupOptions()
  options.eventLoops = unsafe given.event_loops == 0 ? 1 : Int(given.event_loops)
  options.connectionsMax = unsafe given.connections_max == 0 ? 16_384 : Int(given.connections_max)
  options.loop.timersMax = unsafe try value(
    given.timers_max, options.loop.timersMax, most: 1 << 24 - 1, "timers_max")
  options.loop.inboxCapacity = unsafe try value(
    given.inbox_capacity, options.loop.inboxCapacity, most: 1 << 24, "inbox_capacity")
  options.loop.laneCapacity = unsafe try value(
    given.sibling_inbox_capacity, options.loop.laneCapacity, most: 1 << 24,
    "sibling_inbox_capacity")
  let polled = unsafe try value(given.busy_poll_us_max, 0, most: 1_000_000, "busy_poll_us_max")
  options.loop.busyPollMax = UInt64(polled) * 1_000
  let flags = unsafe given.flags
  guard flags & ~UInt32(ALOFT_PRIVATE_DESCRIPTORS) == 0 else {
    throw Failure(Code.invalid, "flags is \(flags); only ALOFT_PRIVATE_DESCRIPTORS is known")
  }
  options.privateDescriptors = flags != 0
  options.processors = unsafe try processors(given)
  if attached {
    guard options.eventLoops == 1, flags == 0, options.processors.isEmpty else {
      throw Failure(
        Code.invalid, "an attached runtime has 1 event loop, and neither flags nor processors")
    }
  }
  return options
}

private func value(
  _ given: UInt32, _ usual: Int, most: Int, _ name: StaticString
) throws(Failure) -> Int {
  if given == 0 { return usual }
  guard given <= most else {
    throw Failure(Code.invalid, "\(name) is \(given); up to \(most) is possible")
  }
  return Int(given)
}

private func processors(_ given: aloft_runtime_options) throws(Failure) -> [Int] {
  let count = unsafe given.processors_count
  if count == 0 { return [] }
  guard count <= ConnectionID.loopsMax, let list = unsafe given.processors else {
    throw Failure(
      Code.invalid, "processors_count is \(count): up to \(ConnectionID.loopsMax), with processors")
  }
  return unsafe UnsafeBufferPointer(start: list, count: Int(count)).map { Int($0) }
}
