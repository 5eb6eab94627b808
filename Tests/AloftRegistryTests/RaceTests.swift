import Synchronization
import Testing

@testable import AloftRegistry

/// Owners that end while names are being given to them, on more threads than there are cores: no
/// name stays behind, and no living owner loses one. A registry that isn't told of ends must be
/// found out.
@Suite
struct RaceTests {
  @Test("A name never outlives its owner", arguments: [4, 8])
  func ends(threads: Int) {
    let outcome = race(threads: threads, rounds: 4_000, isForgetful: false)
    #expect(outcome.left == 0, "\(outcome.left) names of owners that have ended")
    #expect(outcome.registered > 0 && outcome.refused > 0)
    print("ends: \(outcome.registered) registered, \(outcome.refused) came too late")
  }

  @Test("A registry that isn't told of ends is found out")
  func forgetful() {
    // Whether the threads meet at all is up to the machine, so they get more than one chance.
    let isFound = (0..<100).contains { _ in
      race(threads: 4, rounds: 500, isForgetful: true).left > 0
    }
    #expect(isFound)
  }

  private func race(
    threads: Int, rounds: Int, isForgetful: Bool
  ) -> (left: Int, registered: Int, refused: Int) {
    let slots = 4
    let world = World(slots: slots, isForgetful: isForgetful)
    let (registered, refused) = (Counter(), Counter())
    do {
      let done = Counter()
      let ender: @Sendable () -> Void = {
        var dice = Dice(1)
        while done.value.load(ordering: .acquiring) < threads - 1 {
          world.end(dice.roll(slots), thenBegin: true)
        }
      }
      let registrants = (1..<threads).map { thread -> @Sendable () -> Void in
        {
          var dice = Dice(UInt64(thread) + 100)
          for round in 0..<rounds {
            let owner = world.owner(dice.roll(slots))
            let name = "\(thread) \(round % 64)"
            do throws(RegistryError) {
              switch dice.roll(5) {
              case 0:
                let id = UInt64(thread << 32 | round % 64)
                try inEpoch { () throws(RegistryError) in
                  try world.directory.register(.id(id), owner)
                }
              case 1:
                try world.directory.withGroup("group \(dice.roll(2))") {
                  key throws(RegistryError) in try world.directory.join(group: key, owner)
                }
              case 2:
                if let holder = world.directory.find(name: name) {
                  try world.directory.unregister(name: name, holder)
                }
              default:
                try world.directory.register(name: name, owner)
              }
              registered.value.add(1, ordering: .relaxed)
            } catch {
              if error.code == .ownerEnded { refused.value.add(1, ordering: .relaxed) }
            }
          }
          done.value.add(1, ordering: .releasing)
        }
      }
      runThreads([ender] + registrants)
    }
    for slot in 0..<slots { world.end(slot) }
    let directory = world.directory
    return (
      directory.nameCount + directory.idCount + directory.groupCount,
      registered.value.load(ordering: .relaxed), refused.value.load(ordering: .relaxed)
    )
  }

  @Test("Many threads change a few watched names: each change is told once, in order")
  func watches() {
    let world = World(slots: 8)
    let names = (0..<3).map { "name \($0)" }
    let listeners = names.map { _ in [Listener(), Listener()] }
    for (name, some) in zip(names, listeners) {
      for listener in some {
        _ = world.directory.with(name) { world.directory.watch($0, listener) }
      }
    }
    let changes = Counter()
    let threads = (0..<6).map { thread -> @Sendable () -> Void in
      {
        var dice = Dice(UInt64(thread))
        for _ in 0..<3_000 {
          let name = names[dice.roll(3)]
          let owner = world.owner(dice.roll(8))
          let other = world.owner(dice.roll(8))
          do throws(RegistryError) {
            let before = world.directory.find(name: name)
            switch dice.roll(3) {
            case 0:
              // To register once more what one has is no change.
              if before == nil {
                try world.directory.register(name: name, world.owner(thread))
              } else {
                continue
              }
            case 1: try world.directory.unregister(name: name, before ?? owner)
            default:
              guard let before, before != other else { continue }
              try world.directory.with(name) { key throws(RegistryError) in
                try world.directory.replace(key, before, with: other)
              }
            }
            changes.value.add(1, ordering: .relaxed)
          } catch {}
        }
      }
    }
    runThreads(threads)
    var told = 0
    for (name, some) in zip(names, listeners) {
      for listener in some { listener.deliver() }
      #expect(some[0].heard == some[1].heard)
      var holder: Target?
      for (index, change) in some[0].heard.enumerated() {
        #expect(change.number == UInt(index + 1))
        #expect(change.gone == holder)
        holder = change.came
      }
      #expect(holder == world.directory.find(name: name))
      told += some[0].heard.count
    }
    // Two who registered the same owner at once both count, and it was one change.
    #expect(told > 1_000 && told <= changes.value.load(ordering: .relaxed))
  }

  @Test("What comes too early waits for what is missing")
  func order() {
    let listener = Listener()
    listener.begin(after: 7)
    listener.push(NameChange(number: 10))
    listener.push(NameChange(number: 9))
    listener.deliver()
    #expect(listener.heard.isEmpty)
    listener.push(NameChange(number: 8))
    listener.deliver()
    #expect(listener.heard.map(\.number) == [8, 9, 10])
    #expect(listener.wakes.load(ordering: .relaxed) == 2)
    listener.push(NameChange(number: 11))
    listener.cancel()
    listener.deliver()
    #expect(listener.heard.count == 3)
  }
}

final class Counter: Sendable {
  let value = Atomic<Int>(0)
}
