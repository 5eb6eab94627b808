import AloftAtomics
import CBenchBricks
import Glibc

/// The timer wheel beside libuv's heap, at a steady 100,000 and 1,000,000 running timers.
///
/// Both get the same timers in the same random order with the same random time-outs, in turn within
/// each round. All of it counts for a call: the owner's look-up of its timer's name, the loop, the
/// counting of what fired. Figures are medians over the rounds:
/// - `start_ns`, `cancel_ns`: a tenth more timers started, then as many random ones stopped.
/// - `rearm_ns`: idle time-outs put off: random timers to the longest time-out from now.
/// - `rearm_any_ns`: random timers to random time-outs, of which half come earlier.
/// - `expire_ns`: all of them due within a second, after a stall of that second, in one turn; the
///   stall itself is not timed. libuv has no clock to set, so it really waits.
///
/// Times are those of the thread's processor clock, on both sides: the work has one thread and
/// waits for nothing, and a machine that is busy with something else is not to be billed to it.
///
/// Of the neighbourhood of a million timers neither side has much in its caches. A wheel's call
/// waits for the owner's name and then for the node; what else it costs is closing the gaps behind
/// timers that went.
func timerFigures(quick: Bool, run: Int) -> [Figure] {
  var figures: [Figure] = []
  for count in quick ? [100_000] : [100_000, 1_000_000] {
    var bench = TimerBench(count: count, span: quick ? 200 : 1000)
    for _ in 0..<(quick || count > 100_000 ? 3 : 5) { bench.round() }
    figures += bench.figures(run: run)
  }
  return figures
}

/// One number of timers, on both sides.
private struct TimerBench: ~Copyable {
  enum Operation: String, CaseIterable {
    case start, cancel, rearm, rearm_any, expire
  }

  static let timeoutMax: UInt32 = 60_000
  let count: Int
  let extra: Int
  /// Ticks over which the timers of an expiry are spread.
  let span: UInt32
  var random = BenchRandom(state: 1987)
  let uv: OpaquePointer
  var aloft: WheelSide
  var nanoseconds: [Operation: (uv: [Double], aloft: [Double])] = [:]

  init(count: Int, span: UInt32) {
    self.count = count
    self.span = span
    extra = count / 10
    uv = bench_uv_timers_new(UInt32(count + extra))!
    aloft = WheelSide(count: count + extra)
  }

  deinit { bench_uv_timers_free(uv) }

  mutating func timeouts(_ count: Int, upTo most: UInt32) -> [UInt32] {
    (0..<count).map { _ in UInt32(truncatingIfNeeded: random.next() >> 32) % most + 1 }
  }

  mutating func note(_ operation: Operation, _ uv: UInt64, _ aloft: UInt64, per calls: Int) {
    nanoseconds[operation, default: ([], [])].uv.append(Double(uv) / Double(calls))
    nanoseconds[operation]!.aloft.append(Double(aloft) / Double(calls))
  }

  /// Fill, churn, re-arm, and let all of them expire. Each side does a whole phase, of 100,000
  /// calls and more, before the other does the same, so that each has the caches to itself.
  mutating func round() {
    bench_uv_timers_update(uv)
    var all = (0..<UInt32(count + extra)).shuffled(using: &random)
    let first = timeouts(count, upTo: Self.timeoutMax)
    _ = bench_uv_timers_start(uv, all, first, UInt32(count))
    _ = aloft.start(all[..<count], first)
    churn(&all)
    all[..<count].shuffle(using: &random)
    rearm(.rearm, all, [UInt32](repeating: Self.timeoutMax, count: count))
    all[..<count].shuffle(using: &random)
    rearm(.rearm_any, all, timeouts(count, upTo: Self.timeoutMax))
    expire(Array(all[..<count]))
  }

  mutating func rearm(_ operation: Operation, _ which: [UInt32], _ timeouts: [UInt32]) {
    let uvTime = bench_uv_timers_start(uv, which, timeouts, UInt32(count))
    note(operation, uvTime, aloft.rearm(which[..<count], timeouts), per: count)
  }

  /// A tenth more, then as many random ones fewer, ten times.
  mutating func churn(_ all: inout [UInt32]) {
    let steps = (0..<10).map { _ in
      let more = Array(all[count...])
      all.shuffle(using: &random)
      return (more: more, fewer: Array(all[count...]), time: timeouts(extra, upTo: Self.timeoutMax))
    }
    var uvTime: (start: UInt64, stop: UInt64) = (0, 0)
    for step in steps {
      uvTime.start += bench_uv_timers_start(uv, step.more, step.time, UInt32(extra))
      uvTime.stop += bench_uv_timers_stop(uv, step.fewer, UInt32(extra))
    }
    var aloftTime: (start: UInt64, stop: UInt64) = (0, 0)
    for step in steps {
      aloftTime.start += aloft.start(step.more[...], step.time)
      aloftTime.stop += aloft.cancel(step.fewer[...])
    }
    note(.start, uvTime.start, aloftTime.start, per: 10 * extra)
    note(.cancel, uvTime.stop, aloftTime.stop, per: 10 * extra)
  }

  mutating func expire(_ live: [UInt32]) {
    bench_uv_timers_update(uv)
    let soon = timeouts(count, upTo: span)
    _ = bench_uv_timers_stop(uv, live, UInt32(count))
    _ = bench_uv_timers_start(uv, live, soon, UInt32(count))
    _ = aloft.cancel(live[...])
    _ = aloft.start(live[...], soon)
    usleep(span * 1000 + 2000)
    var fired: (uv: UInt64, aloft: UInt64) = (0, 0)
    let uvTime = bench_uv_timers_run(uv, &fired.uv)
    let aloftTime = aloft.expire(after: UInt64(span), fired: &fired.aloft)
    precondition(fired.uv == UInt64(count) && fired.aloft == UInt64(count), "\(fired)")
    note(.expire, uvTime, aloftTime, per: count)
  }

  func figures(run: Int) -> [Figure] {
    let config = "timers=\(count)"
    func figure(_ system: String, _ name: String, _ value: Double, _ unit: String) -> Figure {
      Figure(
        system: system, scenario: "timers", config: config, figure: name, value: value, unit: unit,
        run: run)
    }
    var figures: [Figure] = []
    for operation in Operation.allCases {
      let both = nanoseconds[operation]!
      let (uv, aloft) = (both.uv.median, both.aloft.median)
      figures.append(figure("aloft", "\(operation.rawValue)_ns", aloft, "ns"))
      figures.append(figure("libuv", "\(operation.rawValue)_ns", uv, "ns"))
      figures.append(figure("aloft", "\(operation.rawValue)_x", uv / aloft, "x"))
    }
    // What a timer costs that is started, put off once, and then cancelled or due, half and half.
    func life(_ side: (Operation) -> Double) -> Double {
      side(.start) + side(.rearm) + (side(.cancel) + side(.expire)) / 2
    }
    let lives = (
      uv: life { nanoseconds[$0]!.uv.median }, aloft: life { nanoseconds[$0]!.aloft.median }
    )
    figures.append(figure("aloft", "timers", lives.uv / lives.aloft, "x"))
    figures.append(figure("aloft", "bytes_per_timer", aloft.bytesPerTimer, "B"))
    figures.append(figure("libuv", "bytes_per_timer", Double(bench_uv_timers_bytes()), "B"))
    return figures
  }
}

/// The wheel with its owners: a table of the names of their timers. A struct, because a class would
/// check for exclusive access at run time, with each call.
private struct WheelSide: ~Copyable {
  private var wheel: TimerWheel
  private let names: UnsafeMutablePointer<TimerIndex>

  init(count: Int) {
    wheel = TimerWheel(timersMax: count, now: 1_000_000)
    names = .allocate(capacity: count)
    names.initialize(repeating: TimerIndex(rawValue: 0), count: count)
  }

  deinit { names.deallocate() }

  /// After all that churn; of the wheel itself, without its owners' table.
  var bytesPerTimer: Double { Double(wheel.bytesTouched) / Double(wheel.timersMax) }

  private static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Runs `body` for each of them and gives the nanoseconds that it took. Every call must succeed.
  @inline(__always)
  private mutating func timed(
    _ which: ArraySlice<UInt32>, _ timeouts: [UInt32],
    _ body: (inout TimerWheel, Int, UInt64) -> Bool
  ) -> UInt64 {
    which.withUnsafeBufferPointer { which in
      timeouts.withUnsafeBufferPointer { timeouts in
        var failed = 0
        let begin = Self.now()
        let tick = wheel.now
        for place in 0..<which.count {
          let timeout = place < timeouts.count ? UInt64(timeouts[place]) : 0
          if !body(&wheel, Int(which[place]), tick &+ timeout) { failed += 1 }
        }
        let taken = Self.now() - begin
        precondition(failed == 0)
        return taken
      }
    }
  }

  mutating func start(_ which: ArraySlice<UInt32>, _ timeouts: [UInt32]) -> UInt64 {
    let names = names
    return timed(which, timeouts) { wheel, owner, deadline in
      guard let name = wheel.start(at: deadline, payload: UInt32(truncatingIfNeeded: owner)) else {
        return false
      }
      names[owner] = name
      return true
    }
  }

  mutating func cancel(_ which: ArraySlice<UInt32>) -> UInt64 {
    let names = names
    return timed(which, []) { wheel, owner, _ in
      wheel.cancel(names[owner], payload: UInt32(truncatingIfNeeded: owner))
    }
  }

  mutating func rearm(_ which: ArraySlice<UInt32>, _ timeouts: [UInt32]) -> UInt64 {
    let names = names
    return timed(which, timeouts) { wheel, owner, deadline in
      wheel.rearm(names[owner], payload: UInt32(truncatingIfNeeded: owner), to: deadline)
    }
  }

  mutating func expire(after ticks: UInt64, fired: inout UInt64) -> UInt64 {
    let begin = Self.now()
    wheel.advance(to: wheel.now + ticks)
    var count: UInt64 = 0
    while wheel.popDue() != nil { count &+= 1 }
    fired = count
    return Self.now() - begin
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
private struct BenchRandom: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

extension [Double] {
  fileprivate var median: Double { sorted()[count / 2] }
}
