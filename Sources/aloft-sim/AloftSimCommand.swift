internal import AloftSession
internal import AloftSim
internal import ArgumentParser

/// Runs simulated clusters from seeds and says what went wrong, with the course of things that led
/// there.
@main
struct AloftSimCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "aloft-sim",
    abstract: "Simulates clusters: each seed is a history of crashes, partitions and slow disks.")

  @Option(help: "The one seed to replay, with its trace if it fails.")
  var seed: UInt64?

  @Option(help: "A range of seeds, as 1...1000.")
  var seeds: String?

  @Option(help: "No new history is begun after so many seconds; 0: all are.")
  var seconds: UInt64 = 0

  @Option(help: "Nodes of each cluster, 1 to 100; from 1 to 9 by the seed if not given.")
  var nodes: Int?

  @Option(help: "Happenings of each history, before it has to come to rest.")
  var events = 8_000

  @Option(
    help: ArgumentHelp(
      "A fault put in: "
        + SeededFault.allCases.map(\.rawValue).joined(separator: ", ") + "."))
  var fault: String?

  @Option(help: "Sessions that clients use all the while; 0 for none.")
  var sessions = 0

  @Option(help: "Who use them, each one thing at a time.")
  var clients = 4

  @Option(help: "How long a packet is on its way at most, in milliseconds.")
  var delayMs = 2

  @Option(
    help: ArgumentHelp(
      "A fault put into the sessions: "
        + SessionFault.allCases.map(\.rawValue).joined(separator: ", ") + "."))
  var sessionFault: String?

  @Option(help: "Lines of the trace that are printed, the last ones.")
  var lines = 200

  @Flag(help: "Print the trace though nothing is wrong.")
  var trace = false

  func run() throws {
    var total = ClusterSimResult(seed: 0)
    var failed: [UInt64] = []
    let end = ContinuousClock.now + .seconds(Int64(seconds))
    for seed in try range() {
      if seconds > 0, ContinuousClock.now >= end { break }
      let result = ClusterSim(seed: seed, options: try options(seed)).run()
      total.events += result.events
      total.taken += result.taken
      total.convictions += result.convictions
      total.leaders += result.leaders
      total.requests += result.requests
      total.writes += result.writes
      total.reads += result.reads
      if let violation = result.violation {
        failed.append(seed)
        print("seed \(seed): \(violation)")
      }
      if self.seed != nil, trace || result.violation != nil {
        for line in result.trace.suffix(lines) { print(line) }
      }
    }
    print(
      "events=\(total.events) messages=\(total.taken) convictions=\(total.convictions)",
      "leaders=\(total.leaders) requests=\(total.requests) failed=\(failed.count)",
      "writes=\(total.writes) reads=\(total.reads)")
    if !failed.isEmpty { throw ExitCode.failure }
  }

  private func range() throws -> ClosedRange<UInt64> {
    if let seed { return seed...seed }
    let ends = (seeds ?? "1...100").split(separator: ".").compactMap { UInt64($0) }
    guard ends.count == 2, ends[0] <= ends[1] else {
      throw ValidationError("--seeds takes two numbers, as 1...1000")
    }
    return ends[0]...ends[1]
  }

  private func options(_ seed: UInt64) throws -> ClusterSimOptions {
    var options = ClusterSimOptions()
    options.nodes = nodes ?? Int(1 + seed % 9)
    guard (1...100).contains(options.nodes) else { throw ValidationError("--nodes takes 1 to 100") }
    options.events = events
    options.isTraced = self.seed != nil
    options.sessions = sessions
    options.clients = clients
    guard (1...1_000).contains(delayMs), clients > 0 else {
      throw ValidationError("--delay-ms takes 1 to 1000, --clients 1 or more")
    }
    options.delay = 20_000...(delayMs * 1_000_000)
    if let sessionFault {
      guard let fault = SessionFault(rawValue: sessionFault) else {
        throw ValidationError("no such fault: \(sessionFault)")
      }
      options.sessionFaults = [fault]
    }
    if let fault {
      guard let fault = SeededFault(rawValue: fault) else {
        throw ValidationError("no such fault: \(fault)")
      }
      options.faults = [fault]
    }
    return options
  }
}
