import Aloft
import AloftNode

/// Sessions that come and go: so many a second are made, each is changed a few times; half are
/// closed, the others left until they end for being idle. On the loop of a node that serves none.
final class SessionChurn: @unchecked Sendable {
  // @unchecked: used on the node's loop alone.
  private let node: Node
  private let sessions: Sessions
  private var perTick = 0
  private var number = 0
  private var made = 0
  private var closed = 0
  private var failed = 0
  private var timer: Timer?

  private static let tick = Duration.milliseconds(20)
  private static let bytes = 200
  private static let idleTimeoutMs: UInt32 = 10_000
  private static let changes = 3
  private static let changesApart = Duration.seconds(1)

  init(_ node: Node) {
    self.node = node
    sessions = node.sessions
  }

  func order(_ words: [String]) async throws -> String? {
    let numbers = words.dropFirst().compactMap { Int($0) }
    switch (words.first ?? "", numbers.count) {
    case ("churn", 1):
      try await node.eventLoop.run { [self] in
        perTick = max(1, numbers[0] / 50)
        timer = try node.eventLoop.schedule(after: Self.tick, repeating: Self.tick) { [self] in
          for _ in 0..<perTick { make() }
        }
      }
      return "churning"
    case ("churned", 0):
      let count = await sessions.count()
      return try await node.eventLoop.run { [self] in "churned \(made) \(closed) \(failed) \(count)"
      }
    case ("still", 0):
      try await node.eventLoop.run { [self] in _ = timer?.cancel() }
      return "still"
    default: return nil
    }
  }

  private func make() {
    number += 1
    let isClosed = number % 2 == 0
    let state = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: Self.bytes)
    let options = SessionOptions(idleTimeoutMs: Self.idleTimeoutMs)
    var id: SessionID?
    id = sessions.create(state.span.bytes, options: options) { [self] _, failure in
      guard let id, failure == nil else { return failed += 1 }
      made += 1
      later { self.change(id, state, left: Self.changes, isClosed) }
    }
    if id == nil { failed += 1 }
  }

  private func change(_ id: SessionID, _ state: [UInt8], left: Int, _ isClosed: Bool) {
    if left == 0 {
      guard isClosed else { return }
      return sessions.close(id) { [self] _, failure in
        if failure == nil { closed += 1 } else { failed += 1 }
      }
    }
    sessions.put(state.span.bytes, to: id) { [self] _, failure in
      guard failure == nil else { return failed += 1 }
      later { self.change(id, state, left: left - 1, isClosed) }
    }
  }

  private func later(_ body: @escaping () -> Void) {
    if (try? node.eventLoop.schedule(after: Self.changesApart, body)) == nil { failed += 1 }
  }
}
