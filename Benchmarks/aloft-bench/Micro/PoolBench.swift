import Aloft
import Glibc
import Synchronization

/// What a lease and its return cost where nobody waits: the loops that `micro` and `2-pool` run.
/// Each is nanoseconds a cycle, lease and return together, through the public API.
enum PoolBench {
  /// A resource of which nothing is asked.
  final class Resource: Sendable {
    let number: Int
    init(_ number: Int) { self.number = number }
  }

  typealias ResourcePool = Pool<Resource>

  /// Pools of which each has all of its resources open.
  static func pools(_ runtime: Runtime, count: Int, size: Int, kept: Int? = nil) throws
    -> [ResourcePool]
  {
    var options = PoolOptions(size: size)
    options.sizeMin = size
    options.keptPerLoop = kept
    options.waitMax = .seconds(60)
    let pools = try (0..<count).map { _ in
      let numbers = Numbers()
      return try Pool(runtime, options) { Resource(numbers.next()) }
    }
    for pool in pools {
      while try waiting({ try await pool.statistics.idle }) < size { usleep(500) }
    }
    return pools
  }

  private final class Numbers: Sendable {
    private let value = Atomic<Int>(0)
    func next() -> Int { value.wrappingAdd(1, ordering: .relaxed).newValue }
  }

  /// On a loop: `cycles` leases, from one pool after the other. The answer is a sum over the
  /// resources, so that none is left out.
  @inline(never)
  static func ownLoop(_ pools: [LocalPool<Resource>], from first: Int = 0, cycles: Int) -> Int {
    var sum = 0
    var index = first % pools.count
    pools.withUnsafeBufferPointer { pools in
      for _ in 0..<cycles {
        guard let lease = pools[index].tryLease() else { preconditionFailure("nothing is idle") }
        sum &+= lease.rawSlot
        index += 1
        if index == pools.count { index = 0 }
      }
    }
    return sum
  }

  /// On a loop: the same with one pool, which needs no array: taking a pool out of one counts a
  /// reference, and that costs more than the lease.
  @inline(never)
  static func ownLoop(_ pool: LocalPool<Resource>, cycles: Int) {
    for _ in 0..<cycles {
      guard let lease = pool.tryLease() else { preconditionFailure("nothing is idle") }
      _ = lease
    }
  }

  /// On any thread: the same.
  @inline(never)
  static func anyThread(_ pool: ResourcePool, cycles: Int) {
    for _ in 0..<cycles {
      guard let lease = pool.tryLease() else { preconditionFailure("nothing is idle") }
      _ = lease
    }
  }

  /// Nanoseconds a cycle on one owner loop, on one foreign thread, or on two at a time.
  enum Kind { case ownLoop, oneThread, twoThreads }

  static func cycleNanoseconds(_ kind: Kind, cycles: Int) throws -> Double {
    let runtime = try Runtime(.init(eventLoops: 1, connectionsMax: 64))
    let pool = try pools(runtime, count: 1, size: 16)[0]
    let nanoseconds: Double
    switch kind {
    case .ownLoop:
      nanoseconds = try waiting {
        try await runtime.eventLoops[0].run {
          let local = pool.local
          ownLoop(local, cycles: cycles / 10 + 1)
          let begin = now()
          ownLoop(local, cycles: cycles)
          return now() - begin
        }
      }
    case .oneThread, .twoThreads:
      let team = PoolTeam(kind == .oneThread ? 1 : 2) { _ in anyThread(pool, cycles: cycles) }
      nanoseconds = team.run()
    }
    try waiting { await runtime.shutdown(within: .zero) }
    return nanoseconds / Double(cycles)
  }

  static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
  }

  /// Waits for something asynchronous, on a thread that is no task's.
  static func waiting<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
  ) throws -> Value {
    let box = Box<Value>()
    Task {
      do {
        box.finish(.success(try await body()))
      } catch {
        box.finish(.failure(error))
      }
    }
    return try box.wait()
  }

  private final class Box<Value: Sendable>: @unchecked Sendable {
    // Sendable: written before the post and read after the wait.
    private var result: Result<Value, any Error>?
    private let posted = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(posted, 0, 0) }
    deinit {
      sem_destroy(posted)
      posted.deallocate()
    }

    func finish(_ result: Result<Value, any Error>) {
      self.result = result
      sem_post(posted)
    }

    func wait() throws -> Value {
      while sem_wait(posted) != 0 {}
      return try result!.get()
    }
  }
}

extension LocalLease {
  /// Something of the lease that costs nothing to find out.
  @inline(__always)
  fileprivate var rawSlot: Int { MemoryLayout<Resource>.size }
}

/// Foreign threads that start together.
final class PoolTeam: @unchecked Sendable {
  // Sendable: immutable but for the barrier, which is one.
  private let body: @Sendable (Int) -> Void
  private let count: Int
  private let gate = UnsafeMutablePointer<pthread_barrier_t>.allocate(capacity: 1)
  /// When each thread began and was done, by its own clock: the main one may come late.
  private let times: UnsafeMutablePointer<(begin: Double, end: Double)>

  init(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    self.count = count
    self.body = body
    times = .allocate(capacity: count)
    times.initialize(repeating: (0, 0), count: count)
    pthread_barrier_init(gate, nil, UInt32(count))
  }

  deinit {
    pthread_barrier_destroy(gate)
    gate.deallocate()
    times.deallocate()
  }

  private final class Place {
    let team: PoolTeam
    let index: Int
    init(_ team: PoolTeam, _ index: Int) {
      self.team = team
      self.index = index
    }
  }

  /// Nanoseconds from the first one's beginning to the last one's end.
  func run() -> Double {
    let threads = (0..<count).map { index -> pthread_t in
      var thread = pthread_t()
      let code = pthread_create(
        &thread, nil,
        { context in
          let place = Unmanaged<Place>.fromOpaque(context!).takeRetainedValue()
          pthread_barrier_wait(place.team.gate)
          let begin = PoolBench.now()
          place.team.body(place.index)
          place.team.times[place.index] = (begin, PoolBench.now())
          return nil
        }, Unmanaged.passRetained(Place(self, index)).toOpaque())
      precondition(code == 0, "no thread: \(code)")
      return thread
    }
    for thread in threads { pthread_join(thread, nil) }
    let all = (0..<count).map { times[$0] }
    return all.map(\.end).max()! - all.map(\.begin).min()!
  }
}
