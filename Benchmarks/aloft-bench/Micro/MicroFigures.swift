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
    var systems = [(name: "aloft", path: context.machine.executable, words: ["role-micro"] + words)]
    for peer in MicroPeer.all where peer.kind == peers {
      if peer.isInstalled(on: context.machine) {
        systems.append((name: peer.name, path: peer.path(on: context.machine), words: words))
      } else {
        context.progress.noteOnce("micro: without \(peer.program): see `script/peers`")
      }
    }
    var samples = MicroSamples()
    var children: [MicroChild] = []
    for _ in 0..<fillings {
      children = []  // The old ones end before the new ones take their memory.
      for system in systems {
        context.progress.detail("\(config) filling \(system.name)")
        let child = try MicroChild(
          system.name, path: system.path, words: system.words, machine: context.machine)
        if let cost = child.filling {
          samples.add(cost, "\(config) insertion", "insert_ns", of: system.name)
        }
        children.append(child)
      }
    }
    for round in 0..<rounds {
      for place in children.indices {
        let child = children[(place + round) % children.count]
        for one in measurements {
          context.progress.detail("\(config) \(one.config) \(child.system)")
          samples.add(
            try child.measure(one.order), "\(config) \(one.config)", one.figure, of: child.system)
        }
      }
    }
    return samples.figures(run: context.run)
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

  mutating func add(_ value: Double, _ config: String, _ figure: String, of system: String) {
    let name = Name(config: config, figure: figure)
    if samples[name] == nil { order.append(name) }
    samples[name, default: [:]][system, default: []].append(value)
  }

  /// Medians, and for ours the ratios to each peer: above 1 ours takes less time.
  func figures(run: Int) -> [Figure] {
    order.flatMap { name -> [Figure] in
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
      return times + ratios
    }
  }
}
