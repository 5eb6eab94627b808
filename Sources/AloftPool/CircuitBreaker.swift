package struct BreakerLimits: Sendable, Equatable {
  /// Failures in a row after which an upstream is left alone. 0: never.
  package var failuresMax = 5
  /// For how long at first, in nanoseconds; each failed probe doubles it.
  package var pause: UInt64 = 1_000_000_000
  package var pauseMax: UInt64 = 30_000_000_000

  package init() {}
}

/// Whether an upstream may be asked (Nygard, Release It!, 2007): closed while it answers, open
/// after failures in a row, half-open when the pause is over: then one probe at a time decides.
package struct CircuitBreaker: Sendable {
  package enum State: Equatable, Sendable {
    case closed(failures: Int)
    case open(until: UInt64, pause: UInt64, failures: Int)
    case halfOpen(pause: UInt64, failures: Int)
  }

  package private(set) var state = State.closed(failures: 0)
  private let limits: BreakerLimits

  package init(_ limits: BreakerLimits) { self.limits = limits }

  /// Whether an attempt may begin; one that may, when the breaker was open, is the probe.
  package func permits(now: UInt64) -> Bool {
    switch state {
    case .closed: true
    case .open(let until, _, _): now >= until
    case .halfOpen: false
    }
  }

  package mutating func began(now: UInt64) {
    guard case .open(let until, let pause, let failures) = state else { return }
    precondition(now >= until, "an attempt while the breaker is open")
    state = .halfOpen(pause: pause, failures: failures)
  }

  package mutating func succeeded() { state = .closed(failures: 0) }

  /// `random`: a pause is longer by up to a quarter, so that many don't probe at once.
  package mutating func failed(now: UInt64, random: UInt64) {
    switch state {
    case .closed(let failures):
      if limits.failuresMax == 0 || failures + 1 < limits.failuresMax {
        state = .closed(failures: failures + 1)
      } else {
        open(limits.pause, failures + 1, now, random)
      }
    case .halfOpen(let pause, let failures):
      let doubled = pause > limits.pauseMax / 2 ? limits.pauseMax : pause * 2
      open(doubled, failures + 1, now, random)
    case .open(let until, let pause, let failures):
      // An attempt that began before the breaker opened.
      state = .open(until: until, pause: pause, failures: failures + 1)
    }
  }

  private mutating func open(
    _ pause: UInt64, _ failures: Int, _ now: UInt64, _ random: UInt64
  ) {
    let longer = pause + (pause / 4 == 0 ? 0 : random % (pause / 4))
    state = .open(until: now &+ longer, pause: pause, failures: failures)
  }

  /// When it may be asked again, if it may not be asked now.
  package var reopensAt: UInt64? {
    if case .open(let until, _, _) = state { return until }
    return nil
  }

  package var failures: Int {
    switch state {
    case .closed(let failures), .open(_, _, let failures), .halfOpen(_, let failures): failures
    }
  }
}
