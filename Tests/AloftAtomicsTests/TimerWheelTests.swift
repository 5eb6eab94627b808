// Timers fire at their tick: none early, none late, none lost, none twice, in the order of their
// deadlines. Shown by stories told one by one, by a random story told to the wheel and to a plain
// list over many seeds, and by a million timers at once.
import AloftAtomics
import Testing

/// The wheel behind a reference: `#expect` can't take an inout value that isn't copyable.
private final class Timers {
  private var wheel: TimerWheel
  init(timersMax: Int = 1 << 20, now: UInt64) { wheel = TimerWheel(timersMax: timersMax, now: now) }
  var now: UInt64 { wheel.now }
  var count: Int { wheel.count }
  func start(at deadline: UInt64, payload: UInt32) -> TimerIndex? {
    wheel.start(at: deadline, payload: payload)
  }
  func rearm(_ timer: TimerIndex, payload: UInt32, to deadline: UInt64) -> Bool {
    wheel.rearm(timer, payload: payload, to: deadline)
  }
  func cancel(_ timer: TimerIndex, payload: UInt32) -> Bool {
    wheel.cancel(timer, payload: payload)
  }
  func advance(to tick: UInt64) { wheel.advance(to: tick) }
  func popDue() -> DueTimer? { wheel.popDue() }
  func nextDeadline() -> UInt64? { wheel.nextDeadline() }
  /// Everything that is due now, by payload.
  func drain() -> [UInt32] {
    var payloads: [UInt32] = []
    while let timer = popDue() { payloads.append(timer.payload) }
    return payloads
  }
}

@Suite struct TimerWheelTests {
  static let distances: [UInt64] = [
    1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 1 << 24 - 1, 1 << 24, 1 << 24 + 1,
    86_400_000, 1 << 31 - 2, 1 << 31 - 1, 1 << 31, 1 << 32, 5 << 32 + 77,
  ]
  static let origins: [UInt64] = [
    0, 1, 255, 256, 65_535, 1 << 24 - 1, 1 << 30 - 1, 1 << 31 - 1, 1 << 32 - 2, 1 << 40 + 12_345,
  ]

  @Test("A timer fires at its tick and not one before", arguments: origins)
  func exact(origin: UInt64) {
    for distance in Self.distances {
      let wheel = Timers(timersMax: 4, now: origin)
      #expect(wheel.start(at: origin + distance, payload: 7) != nil)
      wheel.advance(to: origin + distance - 1)
      #expect(wheel.popDue() == nil)
      #expect(wheel.count == 1)
      wheel.advance(to: origin + distance)
      #expect(wheel.drain() == [7])
      #expect(wheel.count == 0)
      #expect(wheel.nextDeadline() == nil)
    }
  }

  @Test("A jump over all of them fires all of them, in order", arguments: origins)
  func jump(origin: UInt64) {
    let wheel = Timers(timersMax: 64, now: origin)
    for (payload, distance) in Self.distances.enumerated().reversed() {
      #expect(wheel.start(at: origin + distance, payload: UInt32(payload)) != nil)
    }
    wheel.advance(to: origin + 1 << 40)
    #expect(wheel.drain() == (0..<UInt32(Self.distances.count)).map(\.self))
  }

  @Test("A sleeper that only follows nextDeadline wakes at the tick, after few wakes for nothing")
  func sleeper() {
    for origin in Self.origins {
      for distance in Self.distances where distance < 1 << 31 {
        let wheel = Timers(timersMax: 16, now: origin)
        for payload in 0..<UInt32(9) {
          #expect(wheel.start(at: origin + distance, payload: payload) != nil)
        }
        var wakes = 0
        while wheel.popDue() == nil {
          guard let next = wheel.nextDeadline() else { break }
          wheel.advance(to: next)
          wakes += 1
        }
        #expect(wheel.now == origin + distance)
        #expect(wakes <= 4)
      }
    }
  }

  @Test("Up to four timers tell their exact deadline, however far")
  func exactSleep() {
    let wheel = Timers(now: 1000)
    for far: UInt64 in [90_000, 80_000, 70_000, 70_003] {
      #expect(wheel.start(at: far, payload: 1) != nil)
    }
    #expect(wheel.nextDeadline() == 70_000)
  }

  @Test("At one tick the order is that of start, whichever levels they went through")
  func fifo() {
    let wheel = Timers(now: 0)
    for payload in 0..<UInt32(300) {
      #expect(wheel.start(at: 70_000, payload: payload) != nil)
      wheel.advance(to: UInt64(payload) * 233)
    }
    wheel.advance(to: 70_000)
    #expect(wheel.drain() == (0..<300).map(\.self))
  }

  @Test("A deadline that is past comes due with the next advance, even to the same tick")
  func past() {
    let wheel = Timers(now: 500)
    for deadline: UInt64 in [0, 499, 500] {
      #expect(wheel.start(at: deadline, payload: 1) != nil)
      #expect(wheel.popDue() == nil)
      #expect(wheel.nextDeadline() == 500)
      wheel.advance(to: 500)
      #expect(wheel.drain() == [1])
    }
  }

  @Test("Time doesn't go back")
  func backwards() {
    let wheel = Timers(now: 500)
    #expect(wheel.start(at: 510, payload: 1) != nil)
    wheel.advance(to: 3)
    #expect(wheel.now == 500)
    wheel.advance(to: 510)
    #expect(wheel.drain() == [1])
  }

  @Test("A handler may cancel, move and restart its batch-mates")
  func batchMates() {
    let wheel = Timers(now: 0)
    let timers = (0..<UInt32(6)).map { wheel.start(at: 10, payload: $0)! }
    wheel.advance(to: 10)
    #expect(wheel.popDue()?.payload == 0)
    let cancelled = wheel.cancel(timers[2], payload: 2)
    let later = wheel.rearm(timers[3], payload: 3, to: 20)
    let past = wheel.rearm(timers[4], payload: 4, to: 4)
    #expect(cancelled && later && past)
    #expect(wheel.start(at: 0, payload: 9) != nil)
    #expect(wheel.drain() == [1, 5])
    wheel.advance(to: 10)
    #expect(wheel.drain() == [4, 9])
    wheel.advance(to: 20)
    #expect(wheel.drain() == [3])
  }

  @Test("A due timer left waiting for months is still told from a running one")
  func longWait() {
    let wheel = Timers(now: 7)
    let timer = wheel.start(at: 9, payload: 1)!
    for week in 1...UInt64(30) { wheel.advance(to: week * 604_800_000) }
    let moved = wheel.rearm(timer, payload: 1, to: wheel.now + 5)
    #expect(moved)
    #expect(wheel.popDue() == nil)
    wheel.advance(to: wheel.now + 5)
    #expect(wheel.drain() == [1])
  }

  @Test("Full is an answer, and every end of a timer makes room", arguments: [1, 2, 3, 1000])
  func full(timersMax: Int) {
    let wheel = Timers(timersMax: timersMax, now: 0)
    var timers: [TimerIndex] = []
    for payload in 0..<UInt32(timersMax) {
      timers.append(wheel.start(at: 5, payload: payload)!)
    }
    #expect(wheel.start(at: 5, payload: 0) == nil)
    #expect(wheel.cancel(timers[0], payload: 0))
    #expect(wheel.start(at: 6, payload: 0) == timers[0])
    #expect(wheel.start(at: 5, payload: 0) == nil)
    wheel.advance(to: 6)
    #expect(wheel.drain().count == timersMax)
    for payload in 0..<UInt32(timersMax) {
      #expect(wheel.start(at: 7, payload: payload) != nil)
    }
    #expect(wheel.start(at: 7, payload: 0) == nil)
  }

  @Test("A stale name does nothing")
  func stale() {
    let wheel = Timers(timersMax: 1, now: 0)
    let old = wheel.start(at: 5, payload: 1)!
    #expect(wheel.cancel(old, payload: 1))
    #expect(!wheel.cancel(old, payload: 1))
    #expect(wheel.start(at: 5, payload: 2) == old)
    #expect(!wheel.cancel(old, payload: 1))
    let moved = wheel.rearm(old, payload: 1, to: 50)
    #expect(!moved)
    for never: UInt32 in [0, 1, 1023, 5120, 5121, 5125, .max] {
      #expect(!wheel.cancel(TimerIndex(rawValue: never), payload: 0))
    }
    wheel.advance(to: 5)
    #expect(wheel.drain() == [2])
  }

  @Test("The wheel and a plain list tell the same story", arguments: 0..<300)
  func differential(seed: UInt64) {
    var story = TimerStory<TimerWheel>(seed: seed)
    #expect(story.run(steps: 500) == nil)
  }

  @Test("So do the list and a wheel that closes every gap at once", arguments: 0..<300)
  func differentialWithoutGaps(seed: UInt64) {
    var story = TimerStory<GapsClosed>(seed: seed)
    #expect(story.run(steps: 500) == nil)
  }

  @Test("Churn leaves no more than 24 bytes a timer, and keeps the order at one tick")
  func churn() {
    let count = 20_000
    var random = TimerRandom(state: 7)
    var wheel = TimerWheel(timersMax: count, now: 0)
    var timers: [(index: TimerIndex, payload: UInt32)] = []
    var refused = 0
    for payload in 0..<UInt32(400_000) {
      if timers.count == count {
        let place = Int(random.next() % UInt64(count))
        let old = timers[place]
        if !wheel.cancel(old.index, payload: old.payload) { refused += 1 }
        timers[place] = timers[count - 1]
        timers.removeLast()
      }
      let deadline = [70_000, 80_000, 3_000_000][Int(payload % 3)]
      timers.append((wheel.start(at: UInt64(deadline), payload: payload)!, payload))
    }
    #expect(refused == 0)
    #expect(wheel.bytesTouched <= 24 * count + (10 << 10))
    for deadline: UInt64 in [70_000, 80_000, 3_000_000] {
      wheel.advance(to: deadline)
      var fired: [UInt32] = []
      while let timer = wheel.popDue() { fired.append(timer.payload) }
      let started = timers.map(\.payload).filter { payload in
        [70_000, 80_000, 3_000_000][Int(payload % 3)] == deadline
      }
      #expect(fired == started.sorted())
    }
    #expect(wheel.count == 0)
  }

  /// How many seeds it takes to catch a fault; nil when they don't.
  static func seedsToCatch<Timers: TimersUnderTest & ~Copyable>(_: Timers.Type) -> Int? {
    (0..<20).first { seed in
      var story = TimerStory<Timers>(seed: UInt64(seed))
      return story.run(steps: 500) != nil
    }
  }

  @Test("The story catches wheels with a fault put in")
  func faults() {
    #expect(Self.seedsToCatch(CascadeForgotten.self) != nil)
    #expect(Self.seedsToCatch(EarlierForgotten.self) != nil)
    #expect(Self.seedsToCatch(DueOutOfReach.self) != nil)
    #expect(Self.seedsToCatch(SleepsTooLong.self) != nil)
    #expect(Self.seedsToCatch(StaleBelieved.self) != nil)
  }

  @Test("A million timers: none early, none late, none lost, none twice")
  func million() {
    let count = 1_000_000
    var random = TimerRandom(state: 42)
    var wheel = TimerWheel(timersMax: count, now: 0)
    var deadlines = [UInt32](repeating: 0, count: count)
    var timers = [TimerIndex](repeating: TimerIndex(rawValue: 0), count: count)
    for number in 0..<count {
      deadlines[number] = UInt32(truncatingIfNeeded: random.next()) % 100_000 + 1
      timers[number] = wheel.start(at: UInt64(deadlines[number]), payload: UInt32(number))!
    }
    var refused = 0
    for number in stride(from: 0, to: count, by: 3) {
      if !wheel.cancel(timers[number], payload: UInt32(number)) { refused += 1 }
      deadlines[number] = 0
    }
    for number in stride(from: 1, to: count, by: 6) {
      deadlines[number] = UInt32(truncatingIfNeeded: random.next()) % 100_000 + 1
      let tick = UInt64(deadlines[number])
      if !wheel.rearm(timers[number], payload: UInt32(number), to: tick) { refused += 1 }
    }
    #expect(refused == 0)
    var wrong = 0
    var last: UInt32 = 0
    while wheel.count > 0 {
      let before = UInt32(wheel.now)
      wheel.advance(to: wheel.now + random.next() % 1000)
      while let timer = wheel.popDue() {
        // 0 stands for cancelled, or fired already.
        let deadline = deadlines[Int(timer.payload)]
        if deadline <= before || deadline > wheel.now || deadline < last { wrong += 1 }
        last = deadline
        deadlines[Int(timer.payload)] = 0
      }
    }
    #expect(wrong == 0)
    #expect(deadlines.allSatisfy { $0 == 0 })
  }
}
