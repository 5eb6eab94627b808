/// What a connection costs in memory: opened, held idle, each used once, churned, and drained.
struct MemoryScenario: Scenario {
  static let id = "5-memory"
  static let title = "Memory stability"

  func run(_ context: RunContext) throws -> [Figure] {
    let server = context.server
    if let reason = server.missing(on: context.machine) {
      context.progress.noteOnce("\(Self.id) \(server.rawValue): \(reason)")
      return []
    }
    guard server.answersStats else { throw BenchError("\(server.rawValue) counts nothing") }
    let sockets = context.size(100_000, quick: 10_000)
    // Four nodes where the limit of descriptors allows it, more where it does not.
    guard
      let plan = SpreadPlan(
        sockets: sockets, descriptorsMax: context.machine.descriptorsMax, processesMin: 4)
    else { throw BenchError("\(context.machine.descriptorsMax) descriptors are not enough") }
    let mailboxes = server == .aloft ? try mailboxes(context) : []
    let layouts = ConnectionLayout.allCases
    return try mailboxes
      + measureEach(layouts, name: { $0.config(plan) }) { layout in
        let fits = layout.servers(plan) * context.machine.descriptorsMax > sockets
        guard fits || server.hasPrivateDescriptors else {
          let name = layout.config(plan)
          context.progress.noteOnce("\(Self.id) \(name): \(server.rawValue) has no such tables")
          return []
        }
        return try measure(layout, plan, context)
      }
  }

  private func measure(
    _ layout: ConnectionLayout, _ plan: SpreadPlan, _ context: RunContext
  ) throws -> [Figure] {
    let config = layout.config(plan)
    context.progress.step("\(Self.id) \(config)")
    let rig = try ConnectionRig(layout, plan: plan, context: context, server: context.server)
    let lines = try measured(rig) { try $0.measure() }
    var figures = lines.map {
      figure(
        context, system: context.server.rawValue, config: config, $0.name, $0.value, $0.unit)
    }
    guard layout == .spread, context.server == .aloft else { return figures }
    figures += try opening(config, plan, context, beside: lines)
    // The load's core alone can't open as many as one server's core can accept: most of what a
    // connection costs to open is the kernel's, and the client's side of it. So once more with
    // both ends on all cores.
    var shared = context
    shared.machine.pins = false
    let all = config + " cores=shared"
    let opened = try measured(
      try ConnectionRig(layout, plan: plan, context: shared, server: context.server)
    ) { try $0.measureOpening() }
    figures += opened.map {
      figure(context, system: context.server.rawValue, config: all, $0.name, $0.value, $0.unit)
    }
    return figures + (try opening(all, plan, shared, beside: opened))
  }

  /// The plain epoll server under the same load, and the ratio to it.
  private func opening(
    _ config: String, _ plan: SpreadPlan, _ context: RunContext,
    beside ours: [ConnectionRig.Line]
  ) throws -> [Figure] {
    let floor = try measured(
      try ConnectionRig(.spread, plan: plan, context: context, server: .floorEpoll)
    ) { try $0.measureOpening() }
    var figures = floor.map {
      figure(
        context, system: ServerKind.floorEpoll.rawValue, config: config, $0.name, $0.value,
        $0.unit)
    }
    let rate = { (all: [ConnectionRig.Line]) in all.first { $0.name == "accepts_per_s" }?.value }
    if let mine = rate(ours), let theirs = rate(floor) {
      figures.append(
        figure(
          context, system: context.server.rawValue, config: config,
          "accepts_ratio_to_floor_epoll", mine / theirs, "x"))
    }
    return figures
  }

  private func measured(
    _ rig: ConnectionRig, _ steps: (ConnectionRig) throws -> [ConnectionRig.Line]
  ) throws -> [ConnectionRig.Line] {
    defer { rig.stop() }
    return try steps(rig)
  }
}

/// Where the server's ends of the connections live.
enum ConnectionLayout: CaseIterable {
  /// As many server processes as the limit of descriptors takes.
  case spread
  /// One server process, whose loops have a descriptor table each.
  case oneProcess

  func servers(_ plan: SpreadPlan) -> Int { self == .spread ? plan.processes : 1 }
  func loops(_ plan: SpreadPlan) -> Int { self == .spread ? 1 : plan.processes }

  func config(_ plan: SpreadPlan) -> String {
    let shape =
      switch self {
      case .spread: "spread servers=\(plan.processes)"
      case .oneProcess: "one-process private-descriptors loops=\(plan.processes)"
      }
    return "connections=\(plan.sockets) tcp \(shape) loads=\(plan.processes)"
  }
}
