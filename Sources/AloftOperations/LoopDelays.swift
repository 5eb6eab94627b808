import Aloft
import Synchronization

/// How long loops keep work waiting: ten times a second each loop is sent a task, and the time
/// until it runs is noted. A callback that blocks shows here before anybody complains.
final class LoopDelays: Sendable {
  static let interval = Duration.milliseconds(100)
  /// A minute of one loop.
  private static let recentMax = 600

  private struct State {
    var histograms: [Histogram]
    var recent: [Duration] = []
    var next = 0
  }

  private let loops: [EventLoop]
  private let state: Mutex<State>

  init(_ loops: [EventLoop]) {
    self.loops = loops
    state = Mutex(State(histograms: loops.map { _ in Histogram() }))
  }

  /// Until the task is cancelled or the loops have ended.
  func run() async {
    do {
      while true {
        for (index, loop) in loops.enumerated() {
          let began = ContinuousClock.now
          try loop.execute { [self] in note(index, began.duration(to: .now)) }
        }
        try await Task.sleep(for: Self.interval)
      }
    } catch {
      // The loops have ended, or it isn't wanted any more: nothing is left to measure.
    }
  }

  private func note(_ loop: Int, _ delay: Duration) {
    state.withLock { state in
      state.histograms[loop].add(delay)
      if state.recent.count < Self.recentMax {
        state.recent.append(delay)
      } else {
        state.recent[state.next] = delay
        state.next = (state.next + 1) % Self.recentMax
      }
    }
  }

  var histograms: [Histogram] { state.withLock { $0.histograms } }

  /// Of the last 600 tasks: the median, the 99th percentile and the slowest; nil before the first.
  var recent: (median: Duration, p99: Duration, slowest: Duration)? {
    let sorted = state.withLock { $0.recent }.sorted()
    guard let slowest = sorted.last else { return nil }
    return (sorted[sorted.count / 2], sorted[sorted.count * 99 / 100], slowest)
  }
}
