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

  @Test("Five thousand tasks wait for one resource and are served in their order")
  func fifo() async throws {
    let order = Order()
    try await Runtime.with(.init(eventLoops: 1)) { runtime in
      var options = PoolOptions(size: 1)
      options.waitMax = .seconds(60)
      let pool = try Pool(runtime, options) { 0 }
      let loop = runtime.eventLoops[0]
      try await withTaskExecutorPreference(loop.executor) {
        try await withThrowingTaskGroup { group in
          let first = try await pool.lease()
          // Each begins to wait before the next one does: they are enqueued in order on one loop.
          for index in 0..<5_000 {
            group.addTask(executorPreference: loop.executor) {
              try await pool.withLease { _ in order.append(index) }
            }
          }
          try await until { try await pool.statistics.waiting == 5_000 }
          try first.end()
          try await group.waitForAll()
        }
      }
      #expect(order.all == Array(0..<5_000))
      let statistics = try await pool.statistics
      #expect(statistics.waited == 5_001 && statistics.opened == 1)
      #expect(statistics.wait(percentile: 50) <= statistics.waitMax)
    }
  }

  final class Order: @unchecked Sendable {
    // @unchecked: appended to by whoever has the one lease.
    var all: [Int] = []
    func append(_ index: Int) { all.append(index) }
  }

  @Test("Who is handed a resource runs before what else waits on its loop")
  func handOver() async throws {
    let factory = Factory()
    try await Runtime.with(.init(eventLoops: 1)) { runtime in
      let loop = runtime.eventLoops[0].executor
      let pool = try factory.pool(runtime, .init(size: 1))
      let order = Order()
      let first = Task(executorPreference: loop) {
        let lease = try await pool.lease()
        let waiting = Task(executorPreference: loop) {
          try await pool.withLease { _ in order.append(0) }
        }
        try await until { try await pool.statistics.waiting == 1 }
        // From here on to its end this task doesn't give its turn up.
        let others = (1...20).map { number in
          Task(executorPreference: loop) { order.append(number) }
        }
        try lease.end()
        return (waiting, others)
      }
      let (waiting, others) = try await first.value
      try await waiting.value
      for other in others { await other.value }
      // One loop runs them all, so the list is nobody's else.
      #expect(order.all == Array(0...20))
    }
  }

  @Test("Who waits too long, is one too many, or gives up is told so, and leaves nothing behind")
  func refusals() async throws {
    let factory = Factory()
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      var options = PoolOptions(size: 1)
      options.waitersMax = 1
      let pool = try factory.pool(runtime, options)
      let held = try await pool.lease()
      let late = await #expect(throws: PoolError.self) {
        try await pool.withLease(waitMax: .milliseconds(20)) { _ in }
      }
      #expect(late?.code == .timedOut)
      let waiting = Task { try await pool.withLease(waitMax: .seconds(30)) { $0.number } }
      try await until { try await pool.statistics.waiting == 1 }
      let full = await #expect(throws: PoolError.self) { try await pool.withLease { _ in } }
      #expect(full?.code == .queueFull)
      let nothingIsFree = pool.tryLease() == nil
      #expect(nothingIsFree)
      waiting.cancel()
      await #expect(throws: CancellationError.self) { try await waiting.value }
      let already = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        return try await pool.withLease { $0.number }
      }
      await #expect(throws: CancellationError.self) { try await already.value }
      let statistics = try await pool.statistics
      #expect(statistics.waiting == 0 && statistics.inUse == 1)
      #expect(statistics.timedOut == 1 && statistics.cancelled >= 1 && statistics.refused == 1)
      try held.end()
      try await until { pool.tryLease() != nil }
    }
  }

  @Test("Tasks are cancelled at any moment of their wait: each lease comes back")
  func cancellation() async throws {
    let factory = Factory()
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let pool = try factory.pool(runtime, .init(size: 2))
      await withTaskGroup { group in
        for index in 0..<300 {
          group.addTask {
            let task = Task {
              try await pool.withLease { thing in await thing.use { await Task.yield() } }
            }
            for _ in 0..<index % 7 { await Task.yield() }
            task.cancel()
            _ = await task.result
          }
        }
      }
      let statistics = try await pool.statistics
      #expect(statistics.inUse == 0 && statistics.waiting == 0 && statistics.idle <= 2)
      await pool.drain()
    }
    #expect(factory.open.load(ordering: .relaxed) == 0)
    #expect(factory.conflicts.load(ordering: .relaxed) == 0)
  }

  @Test("A broken resource is closed and replaced; one whose borrower throws is checked")
  func broken() async throws {
    let factory = Factory()
    try await Runtime.with { runtime in
      let pool = try factory.pool(runtime, .init(size: 1), hasCheck: true)
      let first = try await pool.withLease { $0.number }
      try await pool.lease().discard()
      #expect(try await pool.withLease { $0.number } == first + 1)
      for spoils in [false, true] {
        await #expect(throws: Refused.self) {
          try await pool.withLease { thing in
            if spoils { thing.spoil() }
            throw Refused()
          }
        }
      }
      #expect(try await pool.withLease { $0.number } == first + 2)
      #expect(try await pool.statistics.checksFailed == 1)
    }
  }

  /// What ending the lease is answered; nil when it ends as it should.
  static func end(_ lease: consuming Lease<Thing>) -> PoolError.Code? {
    do throws(PoolError) {
      try lease.end()
      return nil
    } catch {
      return error.code
    }
  }

  @Test("A lease that is held for too long is taken back, and then it is stale")
  func reclaim() async throws {
    let factory = Factory()
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      var options = PoolOptions(size: 1)
      options.leaseMax = .milliseconds(40)
      let pool = try factory.pool(runtime, options)
      let dead = try await pool.lease()
      // Its borrower doesn't come back; whoever waits gets another one.
      let number = try await pool.withLease { $0.number }
      #expect(number == 2)
      #expect(try await pool.statistics.reclaimed == 1)
      let code = Self.end(dead)
      #expect(code == .staleLease)
    }
  }

  @Test("An upstream that fails is left alone, and found again")
  func breaker() async throws {
    let factory = Factory()
    factory.failing.store(true, ordering: .relaxed)
    try await Runtime.with { runtime in
      var options = PoolOptions(size: 2)
      options.failuresMax = 2
      options.pause = .milliseconds(50)
      let pool = try factory.pool(runtime, options)
      let down = await #expect(throws: PoolError.self) { try await pool.withLease { _ in } }
      #expect(down?.code == .upstreamDown)
      factory.failing.store(false, ordering: .relaxed)
      try await until { (try? await pool.withLease { $0.number }) != nil }
      #expect(try await pool.statistics.openFailures >= 2)
    }
  }

  @Test("A pool is made larger and smaller while in use, and drained")
  func resizeAndDrain() async throws {
    let factory = Factory()
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      var options = PoolOptions(size: 1)
      options.sizeLimit = 6
      let pool = try factory.pool(runtime, options)
      #expect(throws: PoolError.self) { try pool.resize(size: 7) }
      #expect(throws: PoolError.self) { try pool.resize(size: 0) }
      try pool.resize(size: 6)
      try await withThrowingTaskGroup { group in
        for _ in 0..<6 {
          group.addTask {
            try await pool.withLease { _ in
              // All six at a time, or nobody would get on.
              try await until { factory.openMax.load(ordering: .relaxed) == 6 }
            }
          }
        }
        try await group.waitForAll()
      }
      try pool.resize(size: 2)
      try await until { factory.open.load(ordering: .relaxed) == 2 }
      let held = try await pool.lease()
      let drained = Task { await pool.drain(within: .milliseconds(20)) }
      await drained.value
      #expect(factory.open.load(ordering: .relaxed) == 0)
      let code = Self.end(held)
      #expect(code == .staleLease)
    }
  }

  @Test("What a loop keeps is given to those who wait elsewhere", arguments: [1, 4])
  func kept(size: Int) async throws {
    let factory = Factory()
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      var options = PoolOptions(size: size)
      options.keptPerLoop = size
      let pool = try factory.pool(runtime, options)
      for turn in 0..<200 {
        let loop = runtime.eventLoops[turn % 2]
        // All are kept by the one loop; then the other one, or nobody's thread, wants one.
        try await loop.run {
          let local = pool.local
          for _ in 0..<size { if let lease = local.tryLease() { _ = lease.resource.number } }
        }
        let executor = turn % 3 == 0 ? nil : runtime.eventLoops[(turn + 1) % 2].executor
        try await withTaskExecutorPreference(executor) {
          try await withThrowingTaskGroup { group in
            for _ in 0..<size {
              group.addTask { try await pool.withLease { await $0.use { await Task.yield() } } }
            }
            try await group.waitForAll()
          }
        }
      }
      #expect(try await pool.statistics.opened <= UInt64(size))
    }
    #expect(factory.conflicts.load(ordering: .relaxed) == 0)
  }

  @Test("The runtime ends under load: whoever waits or comes is told, and nothing stays open")
  func shutdown() async throws {
    for turn in 0..<20 {
      let factory = Factory()
      let runtime = try Runtime(.init(eventLoops: 2, connectionsMax: 64))
      let pool = try factory.pool(runtime, .init(size: 2))
      await withTaskGroup { group in
        for _ in 0..<20 {
          group.addTask {
            while true {
              do {
                try await pool.withLease { thing in await thing.use { await Task.yield() } }
              } catch { return }
            }
          }
        }
        group.addTask {
          for _ in 0..<turn * 10 { await Task.yield() }
          await runtime.shutdown(within: .milliseconds(100))
        }
      }
      #expect(factory.conflicts.load(ordering: .relaxed) == 0)
    }
  }

  @Test("Options outside their range are refused with their numbers")
  func options() async throws {
    try await Runtime.with { runtime in
      for change: @Sendable (inout PoolOptions) -> Void in [
        { $0.size = 0 }, { $0.size = 5_000 }, { $0.overflow = -1 }, { $0.sizeMin = 11 },
        { $0.waitersMax = 0 }, { $0.upstreams = 0 }, { $0.lifetimeJitter = 2 },
        { $0.leaseMax = .zero }, { $0.waitMax = .seconds(-1) }, { $0.keptPerLoop = 99 },
      ] {
        var options = PoolOptions()
        change(&options)
        let shape = options
        let error = #expect(throws: PoolError.self) { _ = try Pool(runtime, shape) { 0 } }
        #expect(error?.code == .invalidOption)
      }
    }
  }
}
