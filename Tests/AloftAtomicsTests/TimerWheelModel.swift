import AloftAtomics

/// What the differential test drives: the wheel, or a wheel with a fault put in.
protocol TimersUnderTest: ~Copyable {
  mutating func start(at deadline: UInt64, payload: UInt32) -> TimerIndex?
  mutating func rearm(_ timer: TimerIndex, payload: UInt32, to deadline: UInt64) -> Bool
  mutating func cancel(_ timer: TimerIndex, payload: UInt32) -> Bool
  mutating func advance(to tick: UInt64)
  mutating func popDue() -> DueTimer?
  mutating func nextDeadline() -> UInt64?
  init(timersMax: Int, now: UInt64)
}

extension TimerWheel: TimersUnderTest {}

/// The same timers as a plain list, too slow to be wrong.
struct TimerModel {
  struct Entry {
    var index: TimerIndex
    /// The tick at which it ranks: its deadline, or the tick of the call when that was later.
    var rank: UInt64
    var isDue = false
  }
  var now: UInt64
  var entries: [UInt32: Entry] = [:]
  let timersMax: Int

  mutating func advance(to tick: UInt64) {
    now = max(now, tick)
    for (payload, entry) in entries where entry.rank <= now { entries[payload]!.isDue = true }
  }

  var earliestDue: UInt64? { entries.values.lazy.filter(\.isDue).map(\.rank).min() }
  var earliest: UInt64? { entries.values.lazy.map(\.rank).min() }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct TimerRandom: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

/// Drives timers and model through the same random story; the first difference, or nil.
struct TimerStory<Timers: TimersUnderTest & ~Copyable>: ~Copyable {
  var timers: Timers
  var model: TimerModel
  var random: TimerRandom
  var payloads: [UInt32] = []
  var gone: [(TimerIndex, UInt32)] = []
  var lastPayload: UInt32 = 0

  /// Ticks at which some field of some width wraps.
  static var origins: [UInt64] {
    [
      0, 250, 65_500, 1 << 24 - 9, 1 << 30 - 5, 1 << 31 - 7, 1 << 32 - 300, 1 << 32 - 1,
      1 << 40 - 2,
    ]
  }

  init(seed: UInt64) {
    random = TimerRandom(state: seed)
    let origin = Self.origins.randomElement(using: &random)!
    let timersMax = [3, 17, 64].randomElement(using: &random)!
    timers = Timers(timersMax: timersMax, now: origin)
    model = TimerModel(now: origin, timersMax: timersMax)
  }

  mutating func run(steps: Int) -> String? {
    for step in 0..<steps {
      if let difference = turn() { return "step \(step): \(difference)" }
    }
    return nil
  }

  mutating func turn() -> String? {
    let difference =
      switch UInt32.random(in: 0..<100, using: &random) {
      case 0..<35: start()
      case 35..<55: rearm()
      case 55..<65: cancel()
      case 65..<70: touchGone()
      case 70..<85: advance()
      default: pop()
      }
    return difference ?? sleepTooLong()
  }

  mutating func distance() -> UInt64 {
    let most: UInt64 = [2, 300, 70_000, 1 << 25, 1 << 31, 1 << 34].randomElement(using: &random)!
    return UInt64.random(in: 0...most, using: &random)
  }

  mutating func deadline() -> UInt64 {
    if UInt32.random(in: 0..<16, using: &random) == 0 { return model.now / 2 }
    return model.now + distance()
  }

  mutating func start() -> String? {
    lastPayload += 1
    let deadline = deadline()
    guard let index = timers.start(at: deadline, payload: lastPayload) else {
      return model.entries.count == model.timersMax ? nil : "refused with room to spare"
    }
    if model.entries.count == model.timersMax { return "more than the maximum" }
    model.entries[lastPayload] = .init(index: index, rank: max(deadline, model.now))
    payloads.append(lastPayload)
    return nil
  }

  mutating func rearm() -> String? {
    guard let payload = payloads.randomElement(using: &random) else { return nil }
    let deadline = deadline()
    let index = model.entries[payload]!.index
    model.entries[payload] = .init(index: index, rank: max(deadline, model.now))
    return timers.rearm(index, payload: payload, to: deadline) ? nil : "re-arm refused"
  }

  mutating func cancel() -> String? {
    guard let place = payloads.indices.randomElement(using: &random) else { return nil }
    let payload = payloads.remove(at: place)
    let index = model.entries.removeValue(forKey: payload)!.index
    gone.append((index, payload))
    return timers.cancel(index, payload: payload) ? nil : "cancel refused"
  }

  /// A name that was cancelled or handed over stops and moves nothing.
  mutating func touchGone() -> String? {
    guard let (index, payload) = gone.randomElement(using: &random) else { return nil }
    if timers.cancel(index, payload: payload) { return "cancelled what was gone" }
    return timers.rearm(index, payload: payload, to: model.now + 1) ? "moved what was gone" : nil
  }

  mutating func advance() -> String? {
    let tick = Bool.random(using: &random) ? (timers.nextDeadline() ?? 0) : model.now + distance()
    timers.advance(to: tick)
    model.advance(to: tick)
    return nil
  }

  mutating func pop() -> String? {
    for _ in 0...UInt32.random(in: 0..<8, using: &random) {
      guard let timer = timers.popDue() else {
        return model.earliestDue == nil ? nil : "late or lost"
      }
      guard let entry = model.entries.removeValue(forKey: timer.payload) else {
        return "twice, or after its cancel"
      }
      guard entry.isDue else { return "early: \(model.now) before \(entry.rank)" }
      guard entry.index == timer.index else { return "under another name" }
      if let earliest = model.earliestDue, earliest < entry.rank { return "out of order" }
      payloads.remove(at: payloads.firstIndex(of: timer.payload)!)
      gone.append((timer.index, timer.payload))
    }
    return nil
  }

  /// What a sleeping loop is told: never too late, and never "at once" without reason.
  mutating func sleepTooLong() -> String? {
    switch (timers.nextDeadline(), model.earliest) {
    case (nil, nil): return nil
    case (let next?, let earliest?) where earliest <= model.now:
      return next == model.now ? nil : "sleeps with timers due"
    case (let next?, let earliest?):
      if next > earliest { return "sleeps too long" }
      return next > model.now ? nil : "woken for nothing"
    default: return "timers and model differ in number"
    }
  }
}
