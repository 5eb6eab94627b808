import Glibc

/// The longest pauses of a thread, and whose they are. A pause is the thread's own only for as long
/// as it ran meanwhile: the rest of it another thread had the core. What the machine below does is
/// in both clocks, such as finding memory for a page that the system thought it had.
struct Pauses {
  static let max: UInt64 = 1_000_000

  private var longest: UInt64 = 0
  private var above = 0
  private var switched = 0
  private var ownLongest: UInt64 = 0
  private var ownAbove = 0
  private var ownBefore = Self.threadClock()
  private var switchesBefore = Self.switches()

  /// `longest`: of those since the last call, or since this was made.
  mutating func add(_ pause: UInt64) {
    let (own, switches) = (Self.threadClock(), Self.switches())
    let ran = min(pause, own - ownBefore)
    longest = Swift.max(longest, pause)
    ownLongest = Swift.max(ownLongest, ran)
    if pause > Self.max {
      above += 1
      if switches > switchesBefore { switched += 1 }
    }
    if ran > Self.max { ownAbove += 1 }
    (ownBefore, switchesBefore) = (own, switches)
  }

  func lines(prefix: String) -> [RegistryGrowth.Line] {
    [
      .init(name: prefix + "max_pause_us", value: Double(longest) / 1e3, unit: "us"),
      .init(name: prefix + "pauses_above_1ms", value: Double(above), unit: "pauses"),
      .init(name: prefix + "pauses_switched", value: Double(switched), unit: "pauses"),
      .init(name: prefix + "max_running_pause_us", value: Double(ownLongest) / 1e3, unit: "us"),
      .init(name: prefix + "running_pauses_above_1ms", value: Double(ownAbove), unit: "pauses"),
    ]
  }

  private static func threadClock() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// How often the calling thread has lost its core to another.
  private static func switches() -> Int {
    var usage = rusage()
    // RUSAGE_THREAD, which the system's module leaves out.
    getrusage(1, &usage)
    return usage.ru_nivcsw
  }
}
