import ArgumentParser
import CBenchLoad
import Foundation

/// Harm done to a cluster of real processes, and what comes of it.
struct ChaosCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chaos", abstract: "Harms a cluster of four processes, and judges what it does.",
    discussion: """
      kills: SIGKILL under message load. stops: SIGSTOP. hogs: processes that burn time, and no \
      death may be told of. partitions: networks cut, with namespaces and iptables, as root. \
      sessions: all of these and full disks, drawn from the seed, while every operation of clients \
      is judged: nothing lost, doubled, stale, or from the future.

      Exit status: 0 when all promises were kept, 1 when one was broken.
      """)

  enum Kind: String, CaseIterable, ExpressibleByArgument {
    case kills, stops, hogs, partitions, sessions
  }

  @Argument(help: "kills, stops, hogs, partitions or sessions.") var kind: Kind
  @Option(help: "How many times; of hogs, how many seconds.") var count: Int?
  @Option(help: "Which history: the same seed harms the same nodes in the same order.")
  var seed: UInt64 = 1
  @Option(help: "Of sessions: go on until so many operations were acknowledged.")
  var operations = 100_000
  @Option(help: "Of sessions: how many faults.") var faults = 20
  @Option(help: "Of sessions: how many of them.") var sessions = 10_000

  func run() throws {
    bench_children_guard()
    let machine = Machine.read()
    var random = SeededRandom(seed)
    let broken =
      switch kind {
      case .kills: try ChaosDeaths(machine, SIGKILL).run(count ?? 200, &random)
      case .stops: try ChaosDeaths(machine, SIGSTOP).run(count ?? 50, &random)
      case .hogs: try ChaosHogs(machine).run(seconds: count ?? 600)
      case .partitions: try ChaosPartitions(machine).run(count ?? 10, &random)
      case .sessions: try harmSessions(machine, &random)
      }
    for promise in broken { print("BROKEN: \(promise)") }
    if !broken.isEmpty { throw ExitCode(1) }
    print("all kept")
  }

  private func harmSessions(_ machine: Machine, _ random: inout SeededRandom) throws -> [String] {
    print("seed \(seed)")
    var chaos = SessionChaos(
      machine, sessions: sessions, operations: operations, faults: faults)
    return try chaos.run(&random)
  }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z &>> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z &>> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z &>> 31
  }
}
