// Single bricks, measured in this process beside what they replace. The code is in `Micro/`.

struct TimersScenario: Scenario {
  static let id = "timers"
  static let title = "Timer wheel"

  func run(_ context: RunContext) throws -> [Figure] {
    context.progress.step(Self.id)
    return timerFigures(quick: context.quick, run: context.run)
  }
}

struct MicroInboxScenario: Scenario {
  static let id = "micro-inbox"
  static let title = "Loop inbox"

  func run(_ context: RunContext) throws -> [Figure] {
    context.progress.step(Self.id)
    return inboxFigures(quick: context.quick, run: context.run)
  }
}

/// The bricks under registry, mailboxes, queues and pools, beside libraries that do the same.
struct MicroScenario: Scenario {
  static let id = "micro"
  static let title = "Tables, rings and leases beside their peers"

  func run(_ context: RunContext) throws -> [Figure] {
    context.progress.step(Self.id)
    let shapes = Self.tables(quick: context.quick) + Self.queues + Self.pools + [Self.slots]
    return try measureEach(shapes, name: \.config) { shape in
      try shape.figures(context, rounds: context.size(9, quick: 2))
    }
  }

  private static let lookup = MicroShape.Measurement(
    order: "lookup", config: "one-thread", figure: "lookup_ns")
  private static let mixed = MicroShape.Measurement(
    order: "mixed", config: "two-threads writes=10%", figure: "operation_ns")

  /// 64-bit keys and strings, in tables from what a first-level cache holds to what none holds.
  private static func tables(quick: Bool) -> [MicroShape] {
    let counts = quick ? [1_000, 100_000] : [1_000, 100_000, 1_000_000, 10_000_000]
    return ["ids", "names"].flatMap { kind in
      counts.map { count in
        MicroShape(
          config: "\(kind)=\(count)", words: [kind, String(count)], measurements: [lookup, mixed],
          peers: .table, fillings: quick || count > 1_000_000 ? 1 : 3)
      }
    }
  }

  private static let queues = [1, 2].map { pairs in
    MicroShape(
      config: "mpmc \(pairs)p\(pairs)c", words: ["queue", String(pairs)],
      measurements: [.init(order: "hop", config: "capacity=1024", figure: "item_ns")],
      peers: .queue)
  }

  /// No library of the system has such pools: they are held against the bars alone.
  private static let pools = [
    ("pool owner-loop", ["pool-owner", "1"]), ("pool one-thread", ["pool-thread", "1"]),
    ("pool two-threads", ["pool-thread", "2"]),
  ].map { config, words in
    MicroShape(
      config: config, words: words,
      measurements: [.init(order: "cycle", config: "size=16", figure: "cycle_ns")])
  }

  private static let slots = MicroShape(
    config: "slots=1000", words: ["slots", "1000"],
    measurements: [.init(order: "lookup", config: "one-thread", figure: "lookup_ns")])
}
