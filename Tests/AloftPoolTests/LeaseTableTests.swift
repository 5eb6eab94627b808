import AloftAtomics
import Glibc
import Histories
import Synchronization
import Testing

/// Leases under real threads, more of them than cores: each resource has one borrower, and the
/// recorded histories are linearizable. Then handles that are stale, forged or used twice.
@Suite struct LeaseTableTests {
  final class Shelf: Sendable {
    let table: LeaseTable
    let users: [Counter]

    final class Counter: Sendable { let value = Atomic<Int>(0) }

    init(slots: Int, loops: Int = 0, share: Int = 0) {
      table = LeaseTable(slots: slots, loops: loops, share: share)
      users = (0..<slots).map { _ in Counter() }
      for slot in 0..<slots { _ = table.core.shelve(slot) }
    }

    /// False when somebody else is in there.
    func use(_ slot: Int) -> Bool {
      let isAlone = users[slot].value.wrappingAdd(1, ordering: .relaxed).oldValue == 0
      users[slot].value.subtract(1, ordering: .relaxed)
      return isAlone
    }
  }

  static func run(_ bodies: [@Sendable () -> Void]) {
    final class Body {
      let run: @Sendable () -> Void
      init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    let threads = bodies.map { body -> pthread_t in
      var thread = pthread_t()
      let code = pthread_create(
        &thread, nil,
        {
          Unmanaged<Body>.fromOpaque($0!).takeRetainedValue().run()
          return nil
        }, Unmanaged.passRetained(Body(body)).toOpaque())
      precondition(code == 0)
      return thread
    }
    for thread in threads { pthread_join(thread, nil) }
  }

  /// A debug build takes a fraction of the operations.
  static var operations: Int {
    var count = 10_000_000
    assert({ count = 400_000 }() == ())
    return count
  }

  @Test(
    "Six threads lease and return: nobody meets another, and nothing is lost",
    arguments: [1, 3, 16, 64, 130])
  func exclusive(slots: Int) {
    let shelf = Shelf(slots: slots)
    let conflicts = Shelf.Counter()
    let leases = Shelf.Counter()
    let wanted = Self.operations / 5 / 6
    Self.run(
      (0..<6).map { thread in
        {
          var taken = 0
          var start = thread * 7 % slots
          while taken < wanted {
            let lease = shelf.table.core.takeShared(from: start)
            guard lease != 0 else {
              sched_yield()
              continue
            }
            let handle = LeaseHandle(rawValue: lease)
            if !shelf.use(handle.slot) { conflicts.value.add(1, ordering: .relaxed) }
            if shelf.table.core.giveBack(handle) != .idle {
              conflicts.value.add(1, ordering: .relaxed)
            }
            taken += 1
            start = (start + thread) % slots
          }
          leases.value.add(taken, ordering: .relaxed)
        }
      })
    #expect(conflicts.value.load(ordering: .relaxed) == 0)
    let generations = (0..<slots).map { shelf.table.core.observe($0).generation }
    #expect(generations.reduce(0, +) == UInt64(leases.value.load(ordering: .relaxed)))
    // All are idle, and all are found.
    for _ in 0..<slots { #expect(shelf.table.core.takeHome() != nil) }
    #expect(shelf.table.core.takeHome() == nil)
  }

  @Test("Histories of loops and threads are linearizable", arguments: [1, 2, 5])
  func linearizable(slots: Int) {
    let shelf = Shelf(slots: slots, loops: 2, share: 1)
    let recorder = Recorder<PoolOperation>(threads: 5, operationsMax: 8_000)
    Self.run(
      (0..<5).map { thread in
        {
          let lane = recorder[thread]
          let core = shelf.table.core
          for turn in 0..<400 {
            var lease: UInt64 = 0
            lane.recordUnlessNil {
              if thread < 2 { lease = core.takeKept(by: thread) }
              if lease == 0 { lease = core.takeShared(from: turn % slots) }
              return lease == 0 ? nil : .lease(LeaseHandle(rawValue: lease).slot)
            }
            if lease == 0 {
              sched_yield()
              continue
            }
            let handle = LeaseHandle(rawValue: lease)
            lane.record {
              let result =
                thread < 2 ? core.giveBack(handle, on: thread) : core.giveBack(handle)
              return result == .idle ? .giveBack(handle.slot) : .giveBackRefused(handle.slot)
            }
          }
        }
      })
    let verdict = judge(recorder.history, PoolModel(size: slots))
    #expect(verdict.isLinearizable, "\(verdict)")
  }

  @Test("A pool that lends one thing twice is found out")
  func brokenTwin() {
    let recorder = Recorder<PoolOperation>(threads: 2, operationsMax: 2)
    recorder[0].record { .lease(0) }
    recorder[1].record { .lease(0) }
    #expect(!judge(recorder.history, PoolModel(size: 1)).isLinearizable)
  }

  @Test("A lease ends once: returned twice, stale or forged it is refused")
  func misuse() {
    let shelf = Shelf(slots: 2, loops: 1, share: 1)
    let core = shelf.table.core
    let lease = LeaseHandle(rawValue: core.takeShared(from: 0))
    #expect(core.giveBack(lease) == .idle)
    #expect(core.giveBack(lease) == .stale)
    let next = LeaseHandle(rawValue: core.takeShared(from: lease.slot))
    #expect(next.slot == lease.slot && next.generation == lease.generation + 1)
    #expect(core.giveBack(lease) == .stale)
    #expect(core.giveBack(lease, on: 0) == .stale)
    #expect(core.sendHome(lease) == .stale)
    #expect(core.giveBack(LeaseHandle(pool: 0, slot: 4_000, generation: 1)) == .stale)
    #expect(core.giveBack(LeaseHandle(pool: 0, slot: 1, generation: 77)) == .stale)
    #expect(core.giveBack(next, on: 0) == .idle)
    // The loop keeps it now.
    #expect(core.keptCount(by: 0) == 1)
    let own = LeaseHandle(rawValue: core.takeKept(by: 0))
    #expect(own.generation == next.generation + 1)
    #expect(core.giveBack(next, on: 0) == .stale)
    // Another thread returns it: the loop has to, and hears of it once.
    #expect(core.giveBack(own) == .mustForward(loop: 0))
    #expect(core.claimReturn(own))
    #expect(!core.claimReturn(own))
    #expect(core.giveBack(own, on: 0) == .stale)
    #expect(core.returnClaimed(own, on: 0, toHome: false) == .idle)
    #expect(core.returnClaimed(own, on: 0, toHome: false) == .stale)
  }

  @Test("While somebody waits nothing is lent but by home, and what is returned goes there")
  func gate() {
    let shelf = Shelf(slots: 3, loops: 1, share: 2)
    let core = shelf.table.core
    let lent = LeaseHandle(rawValue: core.takeShared(from: 0))
    #expect(core.giveBack(LeaseHandle(rawValue: core.takeShared(from: 1)), on: 0) == .idle)
    core.beginWaiting()
    #expect(core.takeShared(from: 0) == 0 && core.takeKept(by: 0) == 0)
    #expect(core.giveBack(lent) == .mustSendHome)
    var brought: [Int] = []
    #expect(core.requestFlush(of: 0) && !core.requestFlush(of: 0))
    core.flush(0) { brought.append($0) }
    #expect(brought == [1])
    #expect(core.endWaiting())
    #expect(core.takeKept(by: 0) == 0)
    #expect(core.takeShared(from: 0) != 0)
  }
}
