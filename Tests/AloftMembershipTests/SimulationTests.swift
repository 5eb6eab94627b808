import AloftMembership
import Testing

@testable import AloftSim

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

  @Test(
    "A fault put in is seen",
    arguments: [SeededFault.fenceUnchecked, .commitByHalf, .retryNotDeduplicated])
  func seeded(fault: SeededFault) {
    let found = (1...60).map(UInt64.init).first { seed in
      var options = Self.options(seed, [fault])
      options.nodes = 5
      let result = ClusterSim(seed: seed, options: options).run()
      return result.violation.map { !$0.hasPrefix("no rest") } ?? false
    }
    #expect(found != nil, "\(fault) goes unnoticed")
  }

  // Histories in which that was found; without the fault they come to rest.
  @Test(
    "What once was wrong would be seen again",
    arguments: [(.overUntold, 8), (.promotionWaits, 166), (.demotionTold, 3962)]
      as [(SeededFault, UInt64)])
  func formerFaults(fault: SeededFault, seed: UInt64) {
    var options = ClusterSimOptions()
    options.nodes = Int(1 + seed % 9)
    let sound = ClusterSim(seed: seed, options: options).run()
    #expect(sound.violation == nil)
    options.faults = [fault]
    let wrong = ClusterSim(seed: seed, options: options).run()
    #expect(wrong.violation?.hasPrefix("no rest") == true, "\(wrong.violation ?? "nothing")")
  }

  @Test(
    "A snapshot that comes late takes nothing away that was acknowledged behind it",
    arguments: [false, true])
  func lateSnapshot(isWrong: Bool) {
    var disk = SimDisk()
    disk.term = 1
    disk.log.entries = (0..<5).map { _ in SimEntry(term: 1, content: .barrier) }
    let raft = SimRaft(
      id: NodeID(rawValue: 2), disk: disk, faults: isWrong ? [.installForgets] : [], seed: 1, now: 0
    )
    var snapshot = SimLogStore()
    (snapshot.base, snapshot.baseTerm) = (3, 1)
    raft.received(.install(term: 1, snapshot), from: NodeID(rawValue: 1), now: 1)
    #expect(raft.committed == 3)
    #expect(raft.log.last == (isWrong ? 3 : 5))
  }

  // From 3,000 histories of which 20 didn't come to rest, for each of the reasons.
  @Test("Histories that went wrong once", arguments: [39, 233, 628, 695, 1451, 3050] as [UInt64])
  func former(seed: UInt64) {
    var options = ClusterSimOptions()
    options.nodes = Int(1 + seed % 9)
    let result = ClusterSim(seed: seed, options: options).run()
    #expect(result.violation == nil, "\(result.violation ?? "")")
  }
}
