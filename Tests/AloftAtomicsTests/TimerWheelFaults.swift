import AloftAtomics

/// No fault: a wheel that closes every gap at once.
struct GapsClosed: TimersUnderTest, ~Copyable {
  var wheel: TimerWheel
  init(timersMax: Int, now: UInt64) {
    wheel = TimerWheel(timersMax: timersMax, now: now, gapsAtRest: -timersMax)
  }
  mutating func start(at deadline: UInt64, payload: UInt32) -> TimerIndex? {
    wheel.start(at: deadline, payload: payload)
  }
  mutating func rearm(_ timer: TimerIndex, payload: UInt32, to deadline: UInt64) -> Bool {
    wheel.rearm(timer, payload: payload, to: deadline)
  }
  mutating func cancel(_ timer: TimerIndex, payload: UInt32) -> Bool {
    wheel.cancel(timer, payload: payload)
  }
  mutating func advance(to tick: UInt64) { wheel.advance(to: tick) }
  mutating func popDue() -> DueTimer? { wheel.popDue() }
  mutating func nextDeadline() -> UInt64? { wheel.nextDeadline() }
}

// Wheels with a fault put in, which the differential test must catch: proof that it can see.

/// Leaves a timer of an upper level in its bucket until that comes due, and fires it there.
struct CascadeForgotten: TimersUnderTest, ~Copyable {
  var wheel: TimerWheel
  init(timersMax: Int, now: UInt64) { wheel = TimerWheel(timersMax: timersMax, now: now) }
  mutating func start(at deadline: UInt64, payload: UInt32) -> TimerIndex? {
    let upper = deadline > wheel.now && (deadline ^ wheel.now) > 255
    return wheel.start(at: upper ? deadline & ~255 : deadline, payload: payload)
  }
  mutating func rearm(_ timer: TimerIndex, payload: UInt32, to deadline: UInt64) -> Bool {
    wheel.rearm(timer, payload: payload, to: deadline)
  }
  mutating func cancel(_ timer: TimerIndex, payload: UInt32) -> Bool {
    wheel.cancel(timer, payload: payload)
  }
  mutating func advance(to tick: UInt64) { wheel.advance(to: tick) }
  mutating func popDue() -> DueTimer? { wheel.popDue() }
  mutating func nextDeadline() -> UInt64? { wheel.nextDeadline() }
}

/// Lazy in both directions: an earlier deadline is left lying in the later bucket.
struct EarlierForgotten: TimersUnderTest, ~Copyable {
  var wheel: TimerWheel
  var deadlines: [UInt32: UInt64] = [:]
  init(timersMax: Int, now: UInt64) { wheel = TimerWheel(timersMax: timersMax, now: now) }
  mutating func start(at deadline: UInt64, payload: UInt32) -> TimerIndex? {
    deadlines[payload] = deadline
    return wheel.start(at: deadline, payload: payload)
  }
  mutating func rearm(_ timer: TimerIndex, payload: UInt32, to deadline: UInt64) -> Bool {
    deadlines[payload] = max(deadline, deadlines[payload] ?? 0)
    return wheel.rearm(timer, payload: payload, to: deadlines[payload]!)
  }
  mutating func cancel(_ timer: TimerIndex, payload: UInt32) -> Bool {
    wheel.cancel(timer, payload: payload)
  }
  mutating func advance(to tick: UInt64) { wheel.advance(to: tick) }
  mutating func popDue() -> DueTimer? { wheel.popDue() }
  mutating func nextDeadline() -> UInt64? { wheel.nextDeadline() }
}

/// Takes what is due out of the wheel in one go, where a batch-mate's `cancel` can't reach it.
struct DueOutOfReach: TimersUnderTest, ~Copyable {
  var wheel: TimerWheel
  var batch: [DueTimer] = []
  init(timersMax: Int, now: UInt64) { wheel = TimerWheel(timersMax: timersMax, now: now) }
  mutating func start(at deadline: UInt64, payload: UInt32) -> TimerIndex? {
    wheel.start(at: deadline, payload: payload)
  }
  mutating func rearm(_ timer: TimerIndex, payload: UInt32, to deadline: UInt64) -> Bool {
    wheel.rearm(timer, payload: payload, to: deadline)
      || batch.contains { $0.payload == payload }
  }
  mutating func cancel(_ timer: TimerIndex, payload: UInt32) -> Bool {
    wheel.cancel(timer, payload: payload) || batch.contains { $0.payload == payload }
  }
  mutating func advance(to tick: UInt64) {
    wheel.advance(to: tick)
    while let due = wheel.popDue() { batch.append(due) }
  }
  mutating func popDue() -> DueTimer? { batch.isEmpty ? nil : batch.removeFirst() }
  mutating func nextDeadline() -> UInt64? { batch.isEmpty ? wheel.nextDeadline() : wheel.now }
}

/// Tells the loop to sleep for a tick more.
struct SleepsTooLong: TimersUnderTest, ~Copyable {
  var wheel: TimerWheel
  init(timersMax: Int, now: UInt64) { wheel = TimerWheel(timersMax: timersMax, now: now) }
  mutating func start(at deadline: UInt64, payload: UInt32) -> TimerIndex? {
    wheel.start(at: deadline, payload: payload)
  }
  mutating func rearm(_ timer: TimerIndex, payload: UInt32, to deadline: UInt64) -> Bool {
    wheel.rearm(timer, payload: payload, to: deadline)
  }
  mutating func cancel(_ timer: TimerIndex, payload: UInt32) -> Bool {
    wheel.cancel(timer, payload: payload)
  }
  mutating func advance(to tick: UInt64) { wheel.advance(to: tick) }
  mutating func popDue() -> DueTimer? { wheel.popDue() }
  mutating func nextDeadline() -> UInt64? { wheel.nextDeadline().map { $0 + 1 } }
}

/// Believes an index, whoever holds the node now.
struct StaleBelieved: TimersUnderTest, ~Copyable {
  var wheel: TimerWheel
  var holders: [TimerIndex: UInt32] = [:]
  init(timersMax: Int, now: UInt64) { wheel = TimerWheel(timersMax: timersMax, now: now) }
  mutating func start(at deadline: UInt64, payload: UInt32) -> TimerIndex? {
    let index = wheel.start(at: deadline, payload: payload)
    if let index { holders[index] = payload }
    return index
  }
  mutating func rearm(_ timer: TimerIndex, payload: UInt32, to deadline: UInt64) -> Bool {
    wheel.rearm(timer, payload: payload, to: deadline)
  }
  mutating func cancel(_ timer: TimerIndex, payload: UInt32) -> Bool {
    wheel.cancel(timer, payload: holders[timer] ?? payload)
  }
  mutating func advance(to tick: UInt64) { wheel.advance(to: tick) }
  mutating func popDue() -> DueTimer? { wheel.popDue() }
  mutating func nextDeadline() -> UInt64? { wheel.nextDeadline() }
}
