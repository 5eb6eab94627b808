import Histories
import Testing

@testable import AloftRegistry

/// Histories of more threads than cores, through the registry's own calls, judged key by key: some
/// order of the calls explains every answer. Keys change between watched and unwatched meanwhile,
/// which must change nothing. A registry that hands names over in two steps must be found out.
@Suite
struct HistoryTests {
  @Test("Registering, handing over and looking up are single steps", arguments: 1...3)
  func histories(seed: Int) {
    let verdict = judge(record(seed: seed, inTwoSteps: false), NameModel())
    #expect(verdict.isLinearizable, "\(verdict)")
    print("histories: \(verdict)")
  }

  @Test("Handing over in two steps is found out")
  func twoSteps() {
    let verdicts = (1...3).map { judge(record(seed: $0, inTwoSteps: true), NameModel()) }
    #expect(verdicts.contains { $0.isViolation })
  }

  private func record(seed: Int, inTwoSteps: Bool) -> [Timed<NameOperation>] {
    let (threads, operations, keys) = (6, 3_000, 4)
    let world = World(slots: 4)
    let names = (0..<keys).map { "name \($0)" }
    let recorder = Recorder<NameOperation>(threads: threads, operationsMax: operations)
    let watchers = (0..<1).map { _ -> @Sendable () -> Void in
      {
        var dice = Dice(UInt64(seed))
        for _ in 0..<operations / 4 {
          let name = names[dice.roll(keys)]
          let listener = Listener()
          _ = world.directory.with(name) { world.directory.watch($0, listener) }
          listener.deliver()
          world.directory.with(name) { world.directory.unwatch($0, listener) }
        }
      }
    }
    let callers = (0..<threads).map { thread -> @Sendable () -> Void in
      {
        let lane = recorder[thread]
        var dice = Dice(UInt64(seed * 100 + thread))
        for _ in 0..<operations {
          let key = dice.roll(keys)
          let choice = dice.roll(8)
          let owner = world.owner(dice.roll(4))
          let other = world.owner(dice.roll(4))
          lane.record(key: UInt64(key)) {
            Self.call(
              world.directory, names[key], choice, owner, other, inTwoSteps: inTwoSteps)
          }
        }
      }
    }
    runThreads(callers + watchers)
    return recorder.history
  }

  private static func call(
    _ directory: Directory, _ name: String, _ choice: Int, _ owner: Target, _ other: Target,
    inTwoSteps: Bool
  ) -> NameOperation {
    do throws(RegistryError) {
      switch choice {
      case 0...2:
        return .find(directory.find(name: name)?.word)
      case 3, 4:
        try directory.register(name: name, owner)
        return .register(owner.word, holder: nil)
      case 5:
        try directory.unregister(name: name, owner)
        return .unregister(owner.word, nil)
      default:
        if inTwoSteps {
          try directory.unregister(name: name, owner)
          try directory.register(name: name, other)
        } else {
          try directory.with(name) { key throws(RegistryError) in
            try directory.replace(key, owner, with: other)
          }
        }
        return .replace(owner.word, with: other.word, nil)
      }
    } catch {
      let holder = error.holder?.word ?? 0
      switch choice {
      case 3, 4: return .register(owner.word, holder: holder)
      case 5: return .unregister(owner.word, holder)
      default: return .replace(owner.word, with: other.word, holder)
      }
    }
  }
}

/// What is asked of one name, and the answer.
enum NameOperation: Hashable, Sendable {
  case find(UInt64?)
  /// `holder`: who has it already; nil when it was registered, or was so before.
  case register(UInt64, holder: UInt64?)
  /// Nil when it was taken away; else who has it, 0 for nobody.
  case unregister(UInt64, UInt64?)
  case replace(UInt64, with: UInt64, UInt64?)
}

/// One name: nobody's or somebody's.
struct NameModel: SequentialModel {
  var initial: UInt64? { nil }

  func apply(_ operation: NameOperation, to state: inout UInt64?) -> Bool {
    let before = state
    switch operation {
    case .find(let found):
      return found == before
    case .register(let owner, let holder):
      if before == nil { state = owner }
      return holder == (before == nil || before == owner ? nil : before)
    case .unregister(let owner, let refused):
      if before == owner { state = nil }
      return refused == (before == owner ? nil : before ?? 0)
    case .replace(let expected, let owner, let refused):
      if before == expected { state = owner }
      return refused == (before == expected ? nil : before ?? 0)
    }
  }

  /// A name that was registered before and one that is new are answered alike.
  func isReadOnly(_ operation: NameOperation) -> Bool {
    switch operation {
    case .find: true
    case .register(_, let other), .unregister(_, let other), .replace(_, _, let other): other != nil
    }
  }
}
