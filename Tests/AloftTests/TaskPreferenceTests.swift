import Aloft
import Testing

/// A task that prefers a loop keeps its turn there: a call from one function to another, or from
/// one of the loop's actors to another, doesn't put the task behind whatever else waits.
@Suite(.timeLimit(.minutes(1))) struct TaskPreferenceTests {
  /// Touched on one loop alone.
  final class Bell: @unchecked Sendable {
    // @unchecked: see above.
    var hasRung = false
  }

  @concurrent static func deeper(_ bell: Bell, _ depth: Int) async -> Bool {
    if depth == 0 { return bell.hasRung }
    return await deeper(bell, depth - 1)
  }

  actor Clerk {
    let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.unownedExecutor }
    init(_ loop: EventLoop) { self.loop = loop }

    func hears(_ bell: Bell) -> Bool { bell.hasRung }

    func asks(_ other: Clerk, _ bell: Bell) async throws -> Bool {
      try loop.execute { bell.hasRung = true }
      return await other.hears(bell)
    }
  }

  @Test("A task that prefers a loop goes through its calls in one turn")
  func calls() async throws {
    try await Runtime.with { runtime in
      let loop = runtime.eventLoops[0]
      let bell = Bell()
      let heard = try await withTaskExecutorPreference(loop.executor) {
        await Task.yield()
        try loop.execute { bell.hasRung = true }
        let before = await Self.deeper(bell, 8)
        await Task.yield()
        return (before, bell.hasRung)
      }
      #expect(heard == (false, true))
    }
  }

  @Test("Actors of one loop call each other in one turn")
  func actors() async throws {
    try await Runtime.with { runtime in
      let loop = runtime.eventLoops[0]
      let hasHeard = try await withTaskExecutorPreference(loop.executor) {
        try await Clerk(loop).asks(Clerk(loop), Bell())
      }
      #expect(!hasHeard)
    }
  }

  /// As code does that is no task's.
  static func isIsolated(_ clerk: Clerk) -> Bool { clerk.assumeIsolated { $0.loop.isCurrent } }

  @Test("A task that prefers a loop is where the loop's actors are")
  func isolation() async throws {
    try await Runtime.with { runtime in
      let loop = runtime.eventLoops[0]
      let clerk = Clerk(loop)
      let isHere = await withTaskExecutorPreference(loop.executor) {
        await Self.deeper(Bell(), 1) ? false : Self.isIsolated(clerk)
      }
      #expect(isHere)
    }
  }
}
