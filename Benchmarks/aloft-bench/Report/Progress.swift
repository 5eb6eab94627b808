import Foundation
import Synchronization

/// Says what is going on: a line that is rewritten with the time it takes on a terminal, plain
/// lines elsewhere. All of it goes to standard error: standard output is the report's.
final class Progress: Sendable {
  private struct State {
    var step = ""
    var detail = ""
    var began = ContinuousClock.now
    var noted: Set<String> = []
  }

  private let state = Mutex(State())
  private let live = isatty(STDERR_FILENO) == 1

  init() {
    guard live else { return }
    let ticker = Thread { [weak self] in
      while let progress = self {
        progress.draw()
        usleep(200_000)
      }
    }
    ticker.start()
  }

  /// A new step: a plain line of its own where the display is not live.
  func step(_ text: String) {
    state.withLock {
      $0.step = text
      $0.detail = ""
      $0.began = .now
    }
    if !live { write(text + "\n") }
  }

  /// Where the step is: shown live only.
  func detail(_ text: String) {
    state.withLock { $0.detail = text }
  }

  /// A line that stays.
  func note(_ text: String) {
    write((live ? "\r\u{1b}[K" : "") + text + "\n")
  }

  func noteOnce(_ text: String) {
    if state.withLock({ $0.noted.insert(text).inserted }) { note(text) }
  }

  /// The live line goes: what follows is the report.
  func finish() {
    state.withLock { $0.step = "" }
    if live { write("\r\u{1b}[K") }
  }

  private func draw() {
    let text = state.withLock { state -> String? in
      guard !state.step.isEmpty else { return nil }
      let seconds = state.began.duration(to: .now).seconds
      return "\r\u{1b}[K\(state.step)  \(state.detail)  " + String(format: "%.0f s", seconds)
    }
    if let text { write(text) }
  }

  private func write(_ text: String) {
    try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
  }
}
