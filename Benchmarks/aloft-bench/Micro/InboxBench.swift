import CBenchBricks
import Glibc

/// What an item costs on its way through the queue bricks, beside the same code in C.
///
/// Each figure is the median of several rounds; ours and the twin's rounds are run in turn, so
/// that both meet the same neighbours. Both sides of a run do the same bookkeeping: every item is
/// counted, summed and checked for its order, and a run that doesn't come out even is no figure
/// but the end of the program.
func inboxFigures(quick: Bool, run: Int) -> [Figure] {
  let rounds = quick ? 3 : 15
  let scale: UInt64 = quick ? 10 : 1
  var figures: [Figure] = []
  for route in InboxRoute.all {
    let items = route.items / scale
    var times: [String: [Double]] = [:]
    for round in 0..<rounds {
      // Who goes first changes, or the second would always find the warmer machine.
      let systems = round % 2 == 0 ? ["aloft", "c-twin"] : ["c-twin", "aloft"]
      for system in systems {
        guard let lane = system == "aloft" ? route.aloft : route.twin else { continue }
        times[system, default: []].append(timed(lane(items), name: route.config))
      }
    }
    if let ours = times["aloft"], let twins = times["c-twin"] {
      // Round by round against the twin of the same turn: what slows the machine cancels out.
      let ratios = zip(twins, ours).map { $0 / $1 }.sorted()
      figures.append(
        Figure(
          system: "aloft", scenario: "micro-inbox", config: route.config,
          figure: "ratio_to_c_twin", value: ratios[ratios.count / 2], unit: "x", run: run))
    }
    for (system, all) in times.sorted(by: { $0.key < $1.key }) {
      figures.append(
        Figure(
          system: system, scenario: "micro-inbox", config: route.config, figure: "item_ns",
          value: all.sorted()[all.count / 2], unit: "ns", run: run))
    }
  }
  return figures
}

/// The threads of one run: each does its part and says what it did.
struct InboxRun {
  var items: UInt64
  var producers: [@Sendable () -> twin_tally]
  /// `nil` where the one producer takes out its own items.
  var consumer: (@Sendable () -> twin_tally)?
}

/// Nanoseconds an item, from the moment the first thread begins to the moment the last is done.
private func timed(_ run: InboxRun, name: String) -> Double {
  let bodies = run.producers + (run.consumer.map { [$0] } ?? [])
  let team = BenchTeam(bodies)
  let nanoseconds = team.run()
  let sent = team.tallies.prefix(run.producers.count)
  let got = team.tallies.last!
  let even =
    got.items == run.items && got.out_of_order == 0
    && sent.reduce(0) { $0 &+ $1.items } == run.items
    && sent.reduce(0) { $0 &+ $1.checksum } == got.checksum
  precondition(even, "\(name): \(run.items) items, sent \(sent), got \(got)")
  return nanoseconds / Double(run.items)
}

/// A few threads that start together. Plain pthreads, so that nothing but the bodies runs in the
/// timed part.
private final class BenchTeam: @unchecked Sendable {
  // Sendable: a thread writes its own tally and no other, and they are read after the join.
  private let bodies: [@Sendable () -> twin_tally]
  private(set) var tallies: [twin_tally]
  private var gate = pthread_barrier_t()

  /// A thread says itself when it began: another one may be held up just then.
  private struct Work {
    var tally = twin_tally()
    var begin = 0.0
    var end = 0.0
  }

  init(_ bodies: [@Sendable () -> twin_tally]) {
    self.bodies = bodies
    tallies = Array(repeating: twin_tally(), count: bodies.count)
    pthread_barrier_init(&gate, nil, UInt32(bodies.count))
  }

  deinit { pthread_barrier_destroy(&gate) }

  private struct Place {
    let team: BenchTeam
    let slot: UnsafeMutablePointer<Work>
    let index: Int
  }

  func run() -> Double {
    let slots = UnsafeMutablePointer<Work>.allocate(capacity: bodies.count)
    slots.initialize(repeating: Work(), count: bodies.count)
    defer { slots.deallocate() }
    let threads = bodies.indices.map { index -> pthread_t in
      let place = UnsafeMutablePointer<Place>.allocate(capacity: 1)
      place.initialize(to: Place(team: self, slot: slots + index, index: index))
      var thread = pthread_t()
      let code = pthread_create(
        &thread, nil,
        { context in
          let pointer = context!.assumingMemoryBound(to: Place.self)
          let place = pointer.move()
          pointer.deallocate()
          let body = place.team.bodies[place.index]
          pthread_barrier_wait(&place.team.gate)
          let begin = now()
          let tally = body()
          place.slot.pointee = Work(tally: tally, begin: begin, end: now())
          return nil
        }, place)
      precondition(code == 0, "no thread: \(code)")
      return thread
    }
    for thread in threads { pthread_join(thread, nil) }
    let work = bodies.indices.map { slots[$0] }
    tallies = work.map(\.tally)
    return work.map(\.end).max()! - work.map(\.begin).min()!
  }
}

private func now() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}
