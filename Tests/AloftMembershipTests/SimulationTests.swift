import AloftSim
import Testing

/// Whole clusters from seeds: crashes, partitions, slow and full disks, stopped processes, and
/// after each step what must always hold. `aloft-sim --seed N` replays one.
struct SimulationTests {
  private static func options(_ seed: UInt64, _ faults: Set<SeededFault> = []) -> ClusterSimOptions
  {
    var options = ClusterSimOptions()
    options.nodes = Int(1 + seed % 9)
    options.events = 3_000
    options.faults = faults
    return options
  }

  @Test("Nothing goes wrong, and all come to rest", arguments: [1...8, 9...16, 17...24])
  func sound(seeds: ClosedRange<UInt64>) {
    for seed in seeds {
      let result = ClusterSim(seed: seed, options: Self.options(seed)).run()
      #expect(result.violation == nil, "seed \(seed): \(result.violation ?? "")")
      #expect(result.events > 1_000)
    }
  }

  @Test("The same seed gives the same history")
  func deterministic() {
    var options = Self.options(4)
    options.isTraced = true
    let results = (0..<2).map { _ in ClusterSim(seed: 4, options: options).run() }
    #expect(results[0].trace == results[1].trace)
    #expect(results[0].trace.count > 20)
    #expect(ClusterSim(seed: 13, options: options).run().trace != results[0].trace)
  }

  @Test("A fault put in is seen", arguments: SeededFault.allCases)
  func seeded(fault: SeededFault) {
    let found = (1...60).map(UInt64.init).first { seed in
      var options = Self.options(seed, [fault])
      options.nodes = 5
      let result = ClusterSim(seed: seed, options: options).run()
      return result.violation.map { !$0.hasPrefix("no rest") } ?? false
    }
    #expect(found != nil, "\(fault) goes unnoticed")
  }
}
