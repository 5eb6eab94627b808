import Aloft
import Foundation
import Synchronization
import Testing

/// What happened, from any thread.
final class Journal<Entry: Sendable>: @unchecked Sendable {
  // @unchecked: guarded by the lock.
  private let isHeld = Atomic<Bool>(false)
  private var entries: [Entry] = []

  private func withLock<Value>(_ body: () -> Value) -> Value {
    while isHeld.exchange(true, ordering: .acquiring) {}
    defer { isHeld.store(false, ordering: .releasing) }
    return body()
  }

  func add(_ entry: Entry) { withLock { entries.append(entry) } }
  var all: [Entry] { withLock { entries } }
}

struct Told: Error, Equatable { var word: String }

/// Writes down what it is told. `crash` makes it throw, `finish` end; `slow` takes 30 ms.
final class Actor: WorkerHandler {
  let name: String
  let journal: Journal<String>
  var handled = 0

  init(_ name: String, _ journal: Journal<String>) {
    self.name = name
    self.journal = journal
  }

  func started(_ worker: Worker) throws { journal.add("\(name) up") }

  func received(_ worker: Worker, _ message: consuming Message) throws {
    let word = message.word
    handled += 1
    switch word {
    case "crash": throw Told(word: "crash")
    case "finish": worker.finish()
    case "slow": usleep(30_000)
    default: journal.add("\(name) \(word) \(handled)")
    }
  }

  func stopping(_ worker: Worker) { journal.add("\(name) down") }
}

extension Message {

  var word: String { withUnsafeBytes { String(decoding: $0, as: UTF8.self) } }
}

extension Worker {
  @discardableResult
  func tell(_ word: String) -> SendResult { send(word.utf8.span.bytes) }
}

extension ProcessWorker {
  @discardableResult
  func tell(_ word: String) -> SendResult { send(word.utf8.span.bytes) }
}

/// Waits for what other threads bring about: 10 s at most.
func until(
  _ what: String, _ location: SourceLocation = #_sourceLocation,
  _ condition: () async throws -> Bool
) async throws {
  for _ in 0..<10_000 {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(1))
  }
  Issue.record("10 s without: \(what)", sourceLocation: location)
}
