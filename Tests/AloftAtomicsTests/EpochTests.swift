// Memory is freed, and never while it's read: real threads of both kinds at one pointer, more of
// them than cores.
import AloftAtomics
import Glibc
import Synchronization
import Testing

@Suite(.serialized) struct EpochTests {
  /// What readers find: the domain's two words, then a mark that tells living from freed.
  private enum Node {
    static let living: UInt64 = 0x11fe_11fe_11fe_11fe
    static let freed = Atomic<Int>(0)

    static func make() -> UInt {
      let memory = UnsafeMutableRawPointer.allocate(byteCount: 24, alignment: 8)
      memory.storeBytes(of: living, toByteOffset: 16, as: UInt64.self)
      return UInt(bitPattern: memory)
    }

    static func retire(_ node: UInt) {
      Epochs.shared.retire(UnsafeMutableRawPointer(bitPattern: node)!) { memory in
        memory.storeBytes(of: 0, toByteOffset: 16, as: UInt64.self)
        _ = Node.freed.wrappingAdd(1, ordering: .relaxed)
        memory.deallocate()
      }
    }

    static func isLiving(_ node: UInt) -> Bool {
      UnsafeRawPointer(bitPattern: node)!.load(fromByteOffset: 16, as: UInt64.self) == living
    }
  }

  final class Shared: Sendable {
    let node: Atomic<UInt>
    let errors = Atomic<Int>(0)
    let done = Atomic<Bool>(false)
    init(_ node: UInt) { self.node = Atomic(node) }
  }

  @Test("Four threads that pin and two loops read what two others exchange and retire")
  func readersAndWriters() {
    let epochs = Epochs.shared
    let before = Node.freed.load(ordering: .relaxed)
    let exchanges = 20_000
    let shared = Shared(Node.make())
    @Sendable func read() {
      let node = shared.node.load(ordering: .acquiring)
      if !Node.isLiving(node) { _ = shared.errors.wrappingAdd(1, ordering: .relaxed) }
    }
    var bodies: [@Sendable () -> Void] = (0..<4).map { number in
      {
        // The last one has no slot of its own.
        let slot = number == 3 ? Epochs.Slot.shared : epochs.claim()
        while !shared.done.load(ordering: .acquiring) {
          epochs.pin(slot)
          for _ in 0..<20 { read() }
          epochs.unpin(slot)
        }
        epochs.giveBack(slot)
      }
    }
    for loop in 0..<2 {
      bodies.append {
        // Numbers that no loop of the other suites has.
        let slot = epochs.slot(loop: 250 + loop)
        while !shared.done.load(ordering: .acquiring) {
          epochs.pin(slot)
          for _ in 0..<50 {
            for _ in 0..<20 { read() }
            epochs.announce(slot)
          }
          epochs.unpin(slot)
          sched_yield()
        }
      }
    }
    let writers = Atomic<Int>(2)
    for _ in 0..<2 {
      bodies.append {
        for _ in 0..<exchanges / 2 {
          Node.retire(shared.node.exchange(Node.make(), ordering: .acquiringAndReleasing))
        }
        if writers.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 {
          shared.done.store(true, ordering: .releasing)
        }
      }
    }
    runThreads(bodies)
    #expect(shared.errors.load(ordering: .relaxed) == 0)
    // Nobody is pinned any more: the batch that waits is freed, then the one behind it.
    for _ in 0..<3 { epochs.collect() }
    #expect(Node.freed.load(ordering: .relaxed) - before == exchanges)
    Node.retire(shared.node.load(ordering: .relaxed))
    for _ in 0..<3 { epochs.collect() }
    #expect(Node.freed.load(ordering: .relaxed) - before == exchanges + 1)
  }

  @Test("Whoever stays pinned keeps memory from being freed, and nobody else does")
  func pinned() {
    let epochs = Epochs.shared
    let before = Node.freed.load(ordering: .relaxed)
    let slot = epochs.claim()
    let other = epochs.claim()
    #expect(slot != other && slot != .shared)
    for _ in 0..<3 { epochs.collect() }
    epochs.pin(slot)
    Node.retire(Node.make())
    for _ in 0..<10 {
      epochs.collect()
      epochs.pin(other)
      epochs.unpin(other)
    }
    #expect(Node.freed.load(ordering: .relaxed) == before)
    #expect(epochs.waiting >= 1)
    epochs.announce(slot)
    for _ in 0..<3 { epochs.collect() }
    #expect(Node.freed.load(ordering: .relaxed) == before + 1)
    epochs.unpin(slot)
    epochs.giveBack(slot)
    epochs.giveBack(other)
  }

  @Test("Slots run out in favour of the shared one, and come back")
  func slots() {
    let epochs = Epochs.shared
    let claimed = (0..<Epochs.foreignSlots).map { _ in epochs.claim() }
    #expect(epochs.claim() == .shared)
    for slot in claimed { epochs.giveBack(slot) }
    let again = epochs.claim()
    #expect(again != .shared)
    epochs.giveBack(again)
  }
}
