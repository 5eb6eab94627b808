import AloftEngine
import AloftSim
import Testing

/// Thousands of short lives of mailboxes, each from its seed. `ALOFT_SEEDS` says how many, and
/// `ALOFT_SEED` replays one.
struct MailboxRandomHistories {
  @Test(
    "Whatever happens: order within a sender and class, the bound, and every message accounted for",
    arguments: 0..<10)
  func histories(part: UInt64) throws {
    if let seed = RandomHistories.number("ALOFT_SEED") {
      guard part == 0 else { return }
      let faults = try MailboxHistory(seed: seed, fault: .none).run()
      #expect(faults == [], "seed \(seed)")
      return
    }
    let seeds = RandomHistories.number("ALOFT_SEEDS") ?? RandomHistories.seedsUsual / 5
    for seed in (part * seeds / 10)..<((part + 1) * seeds / 10) {
      let faults = try MailboxHistory(seed: seed, fault: .none).run()
      if !faults.isEmpty {
        Issue.record("ALOFT_SEED=\(seed): \(faults)")
        return
      }
    }
  }

  @Test("A wrong version is found", arguments: MailFault.allCases.filter { $0 != .none })
  func faults(fault: MailFault) throws {
    var found = 0
    for seed in UInt64(1)...100 {
      if try !MailboxHistory(seed: seed, fault: fault).run().isEmpty { found += 1 }
    }
    #expect(found > 5, "\(found) of 100 histories show it")
  }
}
