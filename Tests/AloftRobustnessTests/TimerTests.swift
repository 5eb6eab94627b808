import Aloft
import Foundation
import Testing

extension Robustness {
  /// Timers through the public API, on a real clock.
  @Suite struct TimerTests {
    /// None of 1,000 timers of 0 to 50 ms fires early, and all do, once.
    @Test(.timeLimit(.minutes(1))) func neverEarly() async throws {
      try await Runtime.with { runtime in
        let loop = runtime.eventLoops[0]
        let late = Locked([Duration]())
        try await loop.run {
          for index in 0..<1_000 {
            let delay = Duration.microseconds(index * 50)
            let begun = ContinuousClock.now
            try loop.schedule(after: delay) {
              late.with { $0.append(ContinuousClock.now - begun - delay) }
            }
          }
        }
        try await eventually("all fired") { late.value.count == 1_000 }
        #expect(late.value.allSatisfy { $0 >= .zero }, "early by \(late.value.min()!)")
        #expect(runtime.statistics.timersFired == 1_000)
      }
    }

    /// A timer is put off and put forward, cancelled before and after, and repeats until cancelled.
    @Test(.timeLimit(.minutes(1))) func rearmAndCancel() async throws {
      try await Runtime.with { runtime in
        let loop = runtime.eventLoops[0]
        let fired = Locked([String]())
        @Sendable func note(_ name: String) { fired.with { $0.append(name) } }
        let timers = try await loop.run {
          let begun = ContinuousClock.now
          let forward = try loop.schedule(after: .seconds(60)) { note("forward") }
          let off = try loop.schedule(after: .milliseconds(1)) { note("off") }
          let cancelled = try loop.schedule(after: .milliseconds(1)) { note("cancelled") }
          #expect(forward.rearm(after: .milliseconds(5)))
          #expect(off.rearm(after: .milliseconds(40)))
          #expect(cancelled.cancel() && !cancelled.cancel())
          #expect(!cancelled.rearm(after: .zero))
          try loop.schedule(after: .milliseconds(20)) {
            note("late enough \(ContinuousClock.now - begun >= .milliseconds(20))")
          }
          return (forward, off)
        }
        try await eventually("both fired") { fired.value.count == 3 }
        #expect(fired.value == ["forward", "late enough true", "off"])
        try await loop.run {
          #expect(!timers.0.rearm(after: .zero) && !timers.1.cancel())
        }
        let count = Locked(0)
        let repeating = try await loop.run {
          try loop.schedule(after: .milliseconds(1), repeating: .milliseconds(1)) {
            count.with { $0 += 1 }
          }
        }
        try await eventually("ten times") { count.value >= 10 }
        try await loop.run { #expect(repeating.cancel()) }
        let last = count.value
        _ = try await loop.run { try loop.schedule(after: .milliseconds(10)) { note("end") } }
        try await eventually("10 ms more") { fired.value.last == "end" }
        #expect(count.value == last)
      }
    }

    /// A million started and cancelled, and the millionth-and-first beyond `timersMax` refused.
    @Test(.timeLimit(.minutes(1))) func aMillion() async throws {
      var options = Runtime.Options()
      options.timersMax = 1_000_000
      try await Runtime.with(options) { runtime in
        let loop = runtime.eventLoops[0]
        let (refusal, cancelled) = try await loop.run {
          var timers: [Aloft.Timer] = []
          timers.reserveCapacity(1_000_000)
          for index in 0..<1_000_000 {
            timers.append(try loop.schedule(after: .milliseconds(60_000 + index)) {})
          }
          var refusal: AloftError?
          do throws(AloftError) {
            try loop.schedule(after: .zero) {}
          } catch { refusal = error }
          let cancelled = timers.reduce(0) { $0 + ($1.cancel() ? 1 : 0) }
          try loop.schedule(after: .zero) {}
          return (refusal, cancelled)
        }
        #expect(refusal?.code == .timerLimit && refusal?.message.contains("1000000") == true)
        #expect(cancelled == 1_000_000)
        try await eventually("the one after") { runtime.statistics.timersFired == 1 }
      }
    }

    /// A timer left over from a runtime that has ended means none of the next one's.
    @Test(.timeLimit(.minutes(1))) func leftOver() async throws {
      let fired = Locked(false)
      var old: Aloft.Timer?
      try await Runtime.with { runtime in
        let loop = runtime.eventLoops[0]
        old = try await loop.run { try loop.schedule(after: .seconds(60)) {} }
      }
      #expect(old?.cancel() == false)
      try await Runtime.with { [old] runtime in
        let loop = runtime.eventLoops[0]
        try await loop.run {
          try loop.schedule(after: .milliseconds(5)) { fired.with { $0 = true } }
          #expect(old?.cancel() == false)
        }
        try await eventually("fired") { fired.value }
      }
    }
  }
}
