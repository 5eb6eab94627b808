import Aloft
import Foundation
import Synchronization

/// Names of 24 bytes for mailboxes on two event loops, one on each core: registered from both,
/// looked up from both, and sent to by name from both to both; every message accounted for. Then
/// a registry that grows to 10 million names, each call timed, while another thread looks up.
struct RegistryScenario: Scenario {
  static let id = "3-registry"
  static let title = "Registry routing"

  func run(_ context: RunContext) throws -> [Figure] {
    let sizes = context.size([1_000, 100_000, 1_000_000], quick: [1_000, 100_000])
    let figures = try measureEach(sizes, name: { "names=\($0)" }) {
      try RegistryPart(context, names: $0).figures()
    }
    return try figures + growth(context)
  }

  private func growth(_ context: RunContext) throws -> [Figure] {
    let names = context.size(10_000_000, quick: 200_000)
    context.progress.step("\(Self.id) growth to \(names) names")
    let outcome = try RegistryGrowth.run(names: names)
    let config = "names=\(names) growth while looked-up"
    return outcome.map {
      figure(context, system: "aloft", config: config, $0.name, $0.value, $0.unit)
    }
  }
}

/// One number of names.
private struct RegistryPart {
  let context: RunContext
  let names: Int

  init(_ context: RunContext, names: Int) {
    self.context = context
    self.names = names
  }

  private func line(_ config: String, _ name: String, _ value: Double, _ unit: String) -> Figure {
    Figure(
      system: "aloft", scenario: RegistryScenario.id,
      config: "names=\(names) name-bytes=24 loops=2" + (config.isEmpty ? "" : " " + config),
      figure: name, value: value, unit: unit, run: context.run)
  }

  func figures() throws -> [Figure] {
    context.progress.step("\(RegistryScenario.id) names=\(names)")
    let rig = try RegistryRig(names: names)
    defer { rig.stop() }
    context.progress.detail("registrations")
    var figures = try registrations(rig)
    context.progress.detail("look-ups")
    figures += try lookups(rig)
    for isBatched in [false, true] {
      context.progress.detail(isBatched ? "routed in batches" : "routed")
      figures += try routed(rig, isBatched: isBatched)
    }
    context.progress.detail("acknowledged")
    return try figures + acknowledged(rig)
  }

  // MARK: Registrations

  /// Each loop registers every other name. Few names are taken away and registered again, until
  /// there are enough to time; only the registering is timed.
  private func registrations(_ rig: RegistryRig) throws -> [Figure] {
    let rounds = max(1, context.size(1_000_000, quick: 100_000) / names)
    var nanoseconds: UInt64 = 0
    let bytesBefore = rig.registry.memoryBytes
    let half = names / 2
    for round in 0..<rounds {
      let times = try onEach(rig.loops) { position in
        let start = registryClock()
        for index in position * half..<(position + 1) * half {
          try rig.registry.register(rig.names[index], rig.mailboxes[index])
        }
        return registryClock() - start
      }
      nanoseconds += times.max()!
      guard rig.registry.nameCount == names else {
        throw BenchError("\(rig.registry.nameCount) of \(names) names registered")
      }
      if round + 1 == rounds { break }
      _ = try onEach(rig.loops) { position in
        for index in position * half..<(position + 1) * half {
          try rig.registry.unregister(rig.names[index], rig.mailboxes[index])
        }
      }
    }
    let bytes = Double(rig.registry.memoryBytes - (rounds > 1 ? 0 : bytesBefore)) / Double(names)
    var figures = [
      line("", "registrations_per_s", Double(rounds * names) * 1e9 / Double(nanoseconds), "1/s")
    ]
    if names >= 100_000 { figures.append(line("", "bytes_per_name", bytes - 24, "B")) }
    return figures
  }

  // MARK: Look-ups

  private enum Form: String, CaseIterable { case hashed, string, batch }

  private func lookups(_ rig: RegistryRig) throws -> [Figure] {
    let count = context.size(10_000_000, quick: 1_000_000)
    // Each loop has strings of its own: they count references.
    let strings = (0..<2).map { _ in (0..<names).map { RegistryRig.name($0) } }
    return try Form.allCases.map { form in
      let outcomes = try onEach(rig.loops) { position in
        let start = registryClock()
        let found = lookUp(rig, strings[position], form, count, seed: UInt64(position) + 7)
        return (found, registryClock() - start)
      }
      guard outcomes.allSatisfy({ $0.0 == count }) else {
        throw BenchError("\(outcomes.map(\.0)) of \(count) names found")
      }
      let rate = outcomes.reduce(0) { $0 + Double(count) * 1e9 / Double($1.1) }
      // The plain form is the one that the bar is for.
      return line(form == .hashed ? "" : "by=\(form)", "lookups_per_s", rate, "1/s")
    }
  }

  private func lookUp(
    _ rig: RegistryRig, _ strings: [String], _ form: Form, _ count: Int, seed: UInt64
  ) -> Int {
    let registry = rig.registry
    var steps = Steps(seed: seed)
    var found = 0
    switch form {
    case .hashed:
      rig.names.withUnsafeBufferPointer { names in
        for _ in 0..<count where registry.lookUp(names[steps.next(below: names.count)]) != nil {
          found += 1
        }
      }
    case .string:
      strings.withUnsafeBufferPointer { strings in
        for _ in 0..<count where registry.lookUp(strings[steps.next(below: strings.count)]) != nil {
          found += 1
        }
      }
    case .batch:
      var left = count
      var chosen: [Registry.Name] = []
      while left > 0 {
        chosen.removeAll(keepingCapacity: true)
        for _ in 0..<min(64, left) { chosen.append(rig.names[steps.next(below: names)]) }
        registry.lookUp(each: chosen.span) { _, target in if target != nil { found += 1 } }
        left -= chosen.count
      }
    }
    return found
  }

  // MARK: Messages

  private func routed(_ rig: RegistryRig, isBatched: Bool) throws -> [Figure] {
    let messages = context.size(10_000_000, quick: 1_000_000)
    for receiver in rig.receivers { receiver.reset() }
    let senders = (0..<2).map {
      RoutedSender(rig, $0, messages: messages / 2, isBatched: isBatched)
    }
    for sender in senders { sender.all = senders }
    let start = registryClock()
    for (position, loop) in rig.loops.enumerated() {
      let sender = senders[position]
      try loop.execute { sender.run() }
    }
    var nanoseconds: UInt64 = 0
    var handled = 0
    while true {
      handled = rig.receivers.reduce(0) { $0 + $1.handled.pointee.load(ordering: .acquiring) }
      nanoseconds = registryClock() - start
      let isDone = senders.allSatisfy { $0.isDone.load(ordering: .acquiring) }
      if isDone, handled + senders.reduce(0, { $0 + $1.refused }) >= messages { break }
      if nanoseconds > 60_000_000_000 { break }
      usleep(200)
    }
    for sender in senders { sender.all = [] }
    let refused = senders.reduce(0) { $0 + $1.refused }
    let sums = (senders.reduce(0) { $0 &+ $1.sum }, rig.receivers.reduce(0) { $0 &+ $1.sum })
    let config = "bytes=\(RoutedPayload.bytes) senders=2" + (isBatched ? " by=batch" : "")
    var figures = [
      line(config, "routed_per_s", Double(handled) * 1e9 / Double(nanoseconds), "1/s"),
      line(config, "lost", Double(messages - handled - refused), "messages"),
      line(config, "refused", Double(refused), "messages"),
      line(
        config, "mismatched",
        Double(rig.receivers.reduce(0) { $0 + $1.misrouted } + (sums.0 == sums.1 ? 0 : 1)),
        "messages"),
    ]
    var latencies = Latencies()
    for receiver in rig.receivers {
      for sample in receiver.latencies { latencies.add(nanoseconds: sample) }
    }
    figures += latencies.figures.map { line(config, $0.name, $0.microseconds, "us") }
    for receiver in rig.receivers { receiver.reset() }
    return figures
  }

  private func acknowledged(_ rig: RegistryRig) throws -> [Figure] {
    let requests = context.size(4_000_000, quick: 400_000)
    for receiver in rig.receivers { receiver.reset() }
    let sender = RequestSender(rig, requests: requests, outstanding: 1_000)
    let start = registryClock()
    try rig.loops[0].execute { try? sender.begin() }
    var nanoseconds: UInt64 = 0
    while true {
      let done = sender.acknowledged.load(ordering: .acquiring)
      nanoseconds = registryClock() - start
      if done >= requests || nanoseconds > 60_000_000_000 { break }
      usleep(200)
    }
    let done = sender.acknowledged.load(ordering: .acquiring)
    let config = "bytes=\(RoutedPayload.bytes) outstanding=1000"
    var latencies = Latencies()
    for sample in sender.latencies { latencies.add(nanoseconds: sample) }
    return [
      line(config, "acked_per_s", Double(done) * 1e9 / Double(nanoseconds), "1/s"),
      line(config, "lost", Double(requests - done), "messages"),
    ] + latencies.figures.map { line(config, $0.name, $0.microseconds, "us") }
  }
}
