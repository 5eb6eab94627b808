import AloftMembership
import Glibc
import Testing

@testable import AloftSession

/// Thousands of random histories of sessions, each from a seed, held against a plain model; and
/// versions that are wrong, which they must find.
struct SessionHistories {
  private static let seeds = Environment.number("ALOFT_SEEDS") ?? 100
  private static let steps = 400

  @Test("Owners, entries and stores do what a plain model says, whatever happens")
  func histories() {
    var counts: [String: Int] = [:]
    let seeds = Environment.number("ALOFT_SEED").map { $0...$0 } ?? 1...Self.seeds
    for seed in seeds {
      let story = SessionStory(seed: UInt64(seed))
      let violation = story.run(steps: Self.steps)
      #expect(violation == nil, "seed \(seed): \(violation ?? "")")
      if violation != nil { return }
      counts.merge(story.counts, uniquingKeysWith: +)
    }
    guard seeds.count >= 100 else { return }
    // All that can happen has happened.
    for kind in [
      "create", "put", "append", "patch", "setPhase", "publish", "acknowledge", "close", "expire",
      "remove", "read", "local read", "overtaken", "slot moved", "new life", "restart",
      "snapshot", "snapshot installed", "expired", "attached", "answer repeated",
      "answer conflict", "answer moved", "answer forbidden", "answer outboxFull",
      "answer tooLarge", "answer notReady", "answer uncertain", "answer exists",
    ] {
      #expect((counts[kind] ?? 0) > 20, "\(kind): \(counts[kind] ?? 0)")
    }
  }

  @Test("Each fault that is put in is found", arguments: SessionFault.allCases)
  func faults(fault: SessionFault) {
    var found = false
    for seed in 1...UInt64(200) where !found {
      found = SessionStory(seed: seed, faults: [fault]).run(steps: Self.steps) != nil
    }
    #expect(found, "\(fault) is not found")
  }
}

enum Environment {
  /// A number that the environment gives.
  static func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }
}
