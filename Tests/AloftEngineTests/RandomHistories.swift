import AloftEngine
import AloftSim
import Glibc
import Testing

/// Thousands of short lives, each from its seed. `ALOFT_SEEDS` says how many, and `ALOFT_SEED`
/// replays one.
struct RandomHistories {
  #if DEBUG
    static let seedsUsual: UInt64 = 2_000  // A hundredth of a second each, without optimisation.
  #else
    static let seedsUsual: UInt64 = 20_000
  #endif

  static func number(_ name: String) -> UInt64? {
    getenv(name).flatMap { UInt64(String(cString: $0)) }
  }

  @Test(
    "Whatever happens, every connection opens once, hears the truth, and closes once",
    arguments: 0..<20)
  func histories(part: UInt64) throws {
    let stream = pattern(History.streamBytes)
    if let seed = Self.number("ALOFT_SEED") {
      guard part == 0 else { return }
      let faults = try History(seed: seed, fault: .none, stream: stream).run()
      #expect(faults == [], "seed \(seed)")
      return
    }
    let seeds = Self.number("ALOFT_SEEDS") ?? Self.seedsUsual
    for seed in (part * seeds / 20)..<((part + 1) * seeds / 20) {
      let faults = try History(seed: seed, fault: .none, stream: stream).run()
      if !faults.isEmpty {
        Issue.record("ALOFT_SEED=\(seed): \(faults)")
        return
      }
    }
  }

  @Test(
    "A driver that is wrong is found out: the checker can see",
    arguments: SimFault.allCases.filter { $0 != .none })
  func wrongDrivers(fault: SimFault) throws {
    let stream = pattern(History.streamBytes)
    var found = 0
    for seed in UInt64(1)...100 {
      if try !History(seed: seed, fault: fault, stream: stream).run().isEmpty { found += 1 }
    }
    #expect(found > 5, "\(found) of 100 histories show it")
  }
}
