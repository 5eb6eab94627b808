// Loops and other threads say by themselves that they hold nothing: what a loop retires is freed as
// its turns pass, and a thread's slot comes back when it ends.
import AloftAtomics
import AloftEngine
import Glibc
import Synchronization
import Testing

@Suite(.serialized) struct EpochStories {
  private static let freed = Atomic<Int>(0)

  private static func retire() {
    Epochs.shared.retire(.allocate(byteCount: 16, alignment: 8)) { memory in
      _ = EpochStories.freed.wrappingAdd(1, ordering: .relaxed)
      memory.deallocate()
    }
  }

  @Test("What is retired within a turn is freed some turns later, and not before")
  func turns() throws {
    let scene = try Scene(loops: 2)
    let before = Self.freed.load(ordering: .relaxed)
    scene.on(scene.loop, run: 0) {
      Self.retire()
      // The turn isn't over: whatever is collected meanwhile, this loop may still be reading.
      for _ in 0..<5 { Epochs.shared.collect() }
      #expect(Self.freed.load(ordering: .relaxed) == before)
    }
    for _ in 0..<4 {
      for loop in scene.loops { scene.on(loop) {} }
    }
    #expect(Self.freed.load(ordering: .relaxed) == before + 1)
    scene.end()
  }

  @Test("Two thousand threads, a few at a time: each one's slot comes back with its end")
  func threads() {
    for _ in 0..<200 {
      let threads = (0..<10).map { _ -> pthread_t in
        var thread = pthread_t()
        pthread_create(
          &thread, nil,
          { _ in
            EventLoop.withEpoch { EventLoop.withEpoch {} }
            EventLoop.withEpoch {}
            return nil
          }, nil)
        return thread
      }
      for thread in threads { pthread_join(thread, nil) }
    }
    let slot = Epochs.shared.claim()
    #expect(slot != .shared)
    Epochs.shared.giveBack(slot)
  }

  @Test("While a thread is in, nothing is freed; when it's out, all of it")
  func foreign() {
    for _ in 0..<3 { Epochs.shared.collect() }
    let before = Self.freed.load(ordering: .relaxed)
    EventLoop.withEpoch {
      for _ in 0..<100 { Self.retire() }
      for _ in 0..<5 { Epochs.shared.collect() }
      #expect(Self.freed.load(ordering: .relaxed) == before)
    }
    for _ in 0..<3 { Epochs.shared.collect() }
    #expect(Self.freed.load(ordering: .relaxed) == before + 100)
  }
}
