import CBenchLoad
import Glibc

/// How a system of the `micro` bench measures itself, as in `peers/peer_map.h`.
enum MicroRound {
  static let nanoseconds: UInt64 = 50_000_000
  /// Operations between two readings of the clock.
  static let slice = 4096
  static let reads = 9
  /// Writes in a slice of nine look-ups to one write: an even number, for each key that comes goes.
  static let writes = slice / (reads + 1) / 2 * 2

  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }

  /// Holds the calling thread to a core.
  static func pin(_ core: Int) {
    let result = bench_pin(Int32(core))
    precondition(result == 0, "can't run on core \(core): \(result)")
  }

  /// Nanoseconds an operation, over slices of `count` operations until 50 ms have passed.
  static func measure(count: Int, _ body: () -> Void) -> Double {
    var done = 0
    let begin = now()
    var taken: UInt64
    repeat {
      body()
      done += count
      taken = now() - begin
    } while taken < nanoseconds
    return Double(taken) / Double(done)
  }

  /// Says that it is ready and what filling cost, and answers the lines of standard input.
  static func serve(ready: Double?, _ answer: (String) -> Double) {
    print(ready.map { "ready \($0)" } ?? "ready")
    fflush(nil)
    while let line = readLine() {
      print(answer(line))
      fflush(nil)
    }
  }
}

/// A few threads, each held to a core, that start together and all end.
final class MicroTeam: @unchecked Sendable {
  // Sendable: a thread writes its own result and no other, and they are read after the join.
  private let bodies: [@Sendable () -> Double]
  private let cores: [Int]
  private let results: UnsafeMutablePointer<Result>
  private var gate = pthread_barrier_t()

  private init(_ cores: [Int], _ bodies: [@Sendable () -> Double]) {
    self.bodies = bodies
    self.cores = cores
    results = .allocate(capacity: bodies.count)
    results.initialize(repeating: Result(), count: bodies.count)
    pthread_barrier_init(&gate, nil, UInt32(bodies.count))
  }

  deinit {
    results.deallocate()
    pthread_barrier_destroy(&gate)
  }

  /// A thread says itself when it began: another one may be held up just then.
  private struct Result {
    var value = 0.0
    var begin: UInt64 = 0
    var end: UInt64 = 0
  }

  private struct Place {
    let team: MicroTeam
    let index: Int
  }

  /// Nanoseconds from the start of the first to the end of the last, and what each gave.
  static func run(
    cores: [Int], _ bodies: [@Sendable () -> Double]
  ) -> (nanoseconds: Double, results: [Double]) {
    let team = MicroTeam(cores, bodies)
    let threads = bodies.indices.map { index in
      let place = UnsafeMutablePointer<Place>.allocate(capacity: 1)
      place.initialize(to: Place(team: team, index: index))
      var thread = pthread_t()
      let code = pthread_create(
        &thread, nil,
        { context in
          let pointer = context!.assumingMemoryBound(to: Place.self)
          let place = pointer.move()
          pointer.deallocate()
          let team = place.team
          MicroRound.pin(team.cores[place.index])
          let body = team.bodies[place.index]
          pthread_barrier_wait(&team.gate)
          let begin = MicroRound.now()
          let value = body()
          let end = MicroRound.now()
          team.results[place.index] = Result(value: value, begin: begin, end: end)
          return nil
        }, place)
      precondition(code == 0, "no thread: \(code)")
      return thread
    }
    for thread in threads { pthread_join(thread, nil) }
    let results = bodies.indices.map { team.results[$0] }
    let taken = results.map(\.end).max()! - results.map(\.begin).min()!
    return (Double(taken), results.map(\.value))
  }
}
