import Aloft
import Synchronization
import Testing

/// Pools through the Swift API: tasks on loops and off them, real time, counted resources.
@Suite struct PoolTests {
  /// Counts what is open, and finds out when two hold one resource.
  final class Factory: Sendable {
    let opened = Atomic<Int>(0)
    let open = Atomic<Int>(0)
    let openMax = Atomic<Int>(0)
    let failing = Atomic<Bool>(false)
    let conflicts = Atomic<Int>(0)
    let served = Atomic<Int>(0)

    func make() throws -> Thing {
      if failing.load(ordering: .relaxed) { throw Refused() }
      let number = opened.wrappingAdd(1, ordering: .relaxed).newValue
      let count = open.wrappingAdd(1, ordering: .relaxed).newValue
      _ = openMax.max(count, ordering: .relaxed)
      return Thing(number, self)
    }

    func pool(_ runtime: Runtime, _ options: PoolOptions, hasCheck: Bool = false) throws
      -> Pool<Thing>
    {
      let check: @Sendable (Thing) async -> Bool = { $0.isSound }
      return try Pool(
        runtime, options, open: { try self.make() }, close: { $0.close() },
        check: hasCheck ? check : nil)
    }
  }

  struct Refused: Error {}

  final class Thing: Sendable {
    let number: Int
    private let factory: Factory
    private let users = Atomic<Int>(0)
    private let broken = Atomic<Bool>(false)

    init(_ number: Int, _ factory: Factory) {
      self.number = number
      self.factory = factory
    }

    var isSound: Bool { !broken.load(ordering: .relaxed) }
    func spoil() { broken.store(true, ordering: .relaxed) }
    func close() { factory.open.subtract(1, ordering: .relaxed) }

    /// Nobody else may be in here meanwhile.
    func use<Value>(_ body: () async throws -> Value) async rethrows -> Value {
      if users.wrappingAdd(1, ordering: .relaxed).newValue != 1 {
        factory.conflicts.add(1, ordering: .relaxed)
      }
      defer { users.subtract(1, ordering: .relaxed) }
      return try await body()
    }
  }

  /// Waits for something that other tasks bring about.
  func until(_ what: () async throws -> Bool) async throws {
    while !(try await what()) { try await Task.sleep(for: .milliseconds(1)) }
  }

  @Test(
    "Tasks on loops and off them share a pool: each resource has one borrower, all are served",
    .timeLimit(.minutes(1)), arguments: [(1, 1), (2, 3), (2, 70), (4, 2)])
  func shares(loops: Int, size: Int) async throws {
    let factory = Factory()
    try await Runtime.with(.init(eventLoops: loops)) { runtime in
      let pool = try factory.pool(runtime, .init(size: size))
      try await withThrowingTaskGroup { group in
        for index in 0..<40 {
          let loop = runtime.eventLoops[index % loops]
          let onLoop = index % 3 != 0
          group.addTask(executorPreference: onLoop ? loop.executor : nil) {
            for turn in 0..<50 {
              try await pool.withLease(waitMax: .seconds(30)) { thing in
                await thing.use { if turn % 2 == 0 { await Task.yield() } }
              }
              factory.served.add(1, ordering: .relaxed)
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(factory.served.load(ordering: .relaxed) == 40 * 50)
      let statistics = try await pool.statistics
      #expect(statistics.leases == 40 * 50)
      #expect(statistics.inUse == 0 && statistics.waiting == 0)
      #expect(statistics.opened <= UInt64(size))
      await pool.drain()
      #expect(factory.open.load(ordering: .relaxed) == 0)
      let after = await #expect(throws: PoolError.self) { try await pool.withLease { _ in } }
      #expect(after?.code == .closed)
    }
    #expect(factory.conflicts.load(ordering: .relaxed) == 0)
    #expect(factory.openMax.load(ordering: .relaxed) <= size)
  }
}
