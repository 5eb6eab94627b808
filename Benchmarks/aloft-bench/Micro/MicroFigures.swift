/// One shape of the `micro` bench, such as 64-bit keys in a table of a million: ours and the peers,
/// in turn.
///
/// Every system is a process of its own. In each round each of them is measured once; who goes
/// first changes with the round, and a ratio is the median of the ratios of one round, so that what
/// slows the machine down for a while slows both. All use the same keys in the same order; they are
/// held to the same processors and measured for 50 ms at least a time.
struct MicroShape {
  /// What is asked of a system in each round: the word for it, the words that it adds to the
  /// config, and the figure's name.
  struct Measurement {
    var order: String
    var config: String
    var figure: String
  }

  var config: String
  /// The words for a system's process.
  var words: [String]
  var measurements: [Measurement]
  /// The kind of peers to run beside ours, if any.
  var peers: MicroPeer.Kind?
  /// How often a process is started anew to see what filling costs; the last one goes on.
  var fillings = 1

  func figures(_ context: RunContext, rounds: Int) throws -> [Figure] {
    let race = MicroRace(shape: self, context: context)
    for _ in 0..<fillings { try race.fill() }
    for round in 0..<rounds { try race.measure(round: round) }
    return race.samples.figures(run: context.run)
  }
}

/// The systems of one shape and what has been measured of them.
///
/// A peer that doesn't come to an end in its time is left out of the shape and named in the report:
/// that it stands still is its own figure, and no fault of the run. Concurrency Kit's ring does so
/// with two producers on a core: one that loses the core within a call leaves the other to spin,
/// without yielding, for its whole slice.
final class MicroRace {
  private struct System {
    var name: String
    var path: String
    var words: [String]
    var patience: Duration
  }

  private let shape: MicroShape
  private let context: RunContext
  private var systems: [System]
  private var children: [MicroChild] = []
  private(set) var samples = MicroSamples()

  init(shape: MicroShape, context: RunContext) {
    self.shape = shape
    self.context = context
    let machine = context.machine
    systems = [
      // Ours has to end, too, but then the run fails.
      System(
        name: "aloft", path: machine.executable, words: ["role-micro"] + shape.words,
        patience: .seconds(120))
    ]
    for peer in MicroPeer.all where peer.kind == shape.peers {
      guard peer.isInstalled(on: machine) else {
        context.progress.noteOnce("micro: without \(peer.program): see `script/peers`")
        continue
      }
      systems.append(
        System(
          name: peer.name, path: peer.path(on: machine), words: shape.words,
          // Ten million keys take some seconds, of a table that grows badly too.
          patience: context.size(.seconds(20), quick: .seconds(3))))
    }
  }

  /// Starts every system's process anew.
  func fill() throws {
    children = []  // The old ones end before the new ones take their memory.
    for system in systems {
      context.progress.detail("\(shape.config) filling \(system.name)")
      try orLeftOut(system.name) {
        let child = try MicroChild(
          system.name, path: system.path, words: system.words, machine: context.machine,
          patience: system.patience)
        if let cost = child.filling {
          samples.add(cost, "\(shape.config) insertion", "insert_ns", of: system.name)
        }
        children.append(child)
      }
    }
  }

  /// Asks each system once; who goes first changes with the round.
  func measure(round: Int) throws {
    let order = children.indices.map { children[($0 + round) % children.count] }
    for child in order {
      try orLeftOut(child.system) {
        for one in shape.measurements {
          context.progress.detail("\(shape.config) \(one.config) \(child.system)")
          samples.add(
            try child.measure(one.order), "\(shape.config) \(one.config)", one.figure,
            of: child.system)
        }
      }
    }
  }

  private func orLeftOut(_ name: String, _ body: () throws -> Void) throws {
    let begin = ContinuousClock.now
    do {
      try body()
    } catch  where name != "aloft" {
      context.progress.note("micro: \(shape.config) without \(name): \(error)")
      let waited = begin.duration(to: .now).seconds
      samples.leaveOut(name, of: shape.measurements.map { "\(shape.config) \($0.config)" }, waited)
      systems.removeAll { $0.name == name }
      children.removeAll { $0.system == name }
    }
  }
}

/// What was measured, round by round.
struct MicroSamples {
  private struct Name: Hashable {
    var config: String
    var figure: String
  }

  private var order: [Name] = []
  private var samples: [Name: [String: [Double]]] = [:]
  private var leftOut: [(config: String, system: String, seconds: Double)] = []

  mutating func add(_ value: Double, _ config: String, _ figure: String, of system: String) {
    let name = Name(config: config, figure: figure)
    if samples[name] == nil { order.append(name) }
    samples[name, default: [:]][system, default: []].append(value)
  }

  /// Forgets what was measured of a system that did not come to an end: the rounds in which it did
  /// are not the ones that tell. What filling cost stands, for that is over.
  mutating func leaveOut(_ system: String, of configs: [String], _ seconds: Double) {
    for name in samples.keys where configs.contains(name.config) {
      samples[name]![system] = nil
    }
    leftOut += configs.map { ($0, system, seconds) }
  }

  /// Medians, and for ours the ratios to each peer: above 1 ours takes less time.
  func figures(run: Int) -> [Figure] {
    let missing = leftOut.map { config, system, seconds in
      Figure(
        system: system, scenario: MicroScenario.id, config: config, figure: Self.leftOutAfter,
        value: seconds, unit: "s", run: run)
    }
    return order.flatMap { name -> [Figure] in
      func figure(_ system: String, _ figure: String, _ value: Double, _ unit: String) -> Figure {
        Figure(
          system: system, scenario: MicroScenario.id, config: name.config, figure: figure,
          value: value, unit: unit, run: run)
      }
      let systems = samples[name]!.sorted { $0.key < $1.key }
      let times = systems.map { figure($0.key, name.figure, Statistics.median($0.value), "ns") }
      guard let ours = samples[name]!["aloft"] else { return times }
      let ratios = systems.filter { $0.key != "aloft" }.map { system, theirs in
        let ratio = Statistics.median(zip(theirs, ours).map { $0 / $1 })
        return figure("aloft", "ratio_to_\(system)", ratio, "x")
      }
      return times + ratios + missing.filter { $0.config == name.config }
    }
  }

  /// A peer that was left out, and the seconds that its last answer had been waited for.
  static let leftOutAfter = "left_out_after_s"
}
