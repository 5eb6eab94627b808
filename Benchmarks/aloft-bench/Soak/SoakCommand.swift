import ArgumentParser
import CBenchLoad
import Foundation

/// Sessions come and go on four nodes for a long while: memory, descriptors and disk must level
/// off.
struct SoakCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "soak",
    abstract: "Has sessions come and go for long, and watches what the nodes take.",
    discussion: """
      Exit status: 0 when memory, descriptors and disk of each node level off, 1 when one grows.
      """)

  @Option(help: "For how long.") var minutes = 90.0
  @Option(help: "Sessions that are made a second; each is changed three times, then ends.")
  var rate = 200
  @Option(help: "A file for the samples, comma-separated.") var csv: String?
  @Option(help: "A file for a plot of them.") var svg: String?

  func validate() throws {
    guard (0.2...10_000).contains(minutes), (50...20_000).contains(rate) else {
      throw ValidationError("--minutes wants 0.2 to 10000, --rate 50 to 20000")
    }
  }

  func run() throws {
    bench_children_guard()
    let cluster = try SessionChaosCluster(Machine.read(), network: nil, disks: false)
    _ = try cluster.client.order("churn \(rate)", "churning")
    var samples = SoakSamples()
    let began = monotonicNow()
    let end = began + UInt64(minutes * 60e9)
    // Some 600 samples in all, and not more than two a second.
    let pause = max(0.5, minutes * 60 / 600)
    var told = began
    while monotonicNow() < end {
      Thread.sleep(forTimeInterval: pause)
      let now = monotonicNow()
      for index in cluster.nodes.indices {
        samples.add(
          try SoakSample(
            seconds: Double(now - began) / 1e9, node: index,
            pid: cluster.nodes[index].child.pid, data: cluster.path(index)))
      }
      if now > told + 60_000_000_000 {
        told = now
        print("\(Int((now - began) / 60_000_000_000)) min: \(try churned(cluster))")
        fflush(nil)
        try write(samples)
      }
    }
    print("in the end: \(try churned(cluster))")
    try write(samples)
    let verdicts = samples.verdicts(nodes: cluster.nodes.count)
    for verdict in verdicts { print(verdict.text) }
    if verdicts.contains(where: { !$0.isLevel }) { throw ExitCode(1) }
  }

  private func churned(_ cluster: SessionChaosCluster) throws -> String {
    let words = try cluster.client.order("churned", "churned")
    return "\(words[1]) sessions made, \(words[2]) closed, \(words[3]) operations failed, "
      + "\(words[4]) sessions there"
  }

  private func write(_ samples: SoakSamples) throws {
    if let csv { try samples.csv.write(toFile: csv, atomically: true, encoding: .utf8) }
    if let svg {
      let plot = SoakPlot(samples: samples)
      try plot.text.write(toFile: svg, atomically: true, encoding: .utf8)
    }
  }
}
