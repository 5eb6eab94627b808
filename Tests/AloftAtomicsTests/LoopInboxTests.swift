import AloftAtomics
import Glibc
import Testing

/// The inbox on one thread: what it answers, in which order it gives out, and how it shares the
/// buffer. Then under real threads with a loop that really sleeps in the kernel.
@Suite struct LoopInboxTests {
  /// An inbox that `#expect` can hold: the macro copies what it looks at.
  private final class Held {
    let inbox: LoopInbox
    init(owner: Int = 0, loops: Int, capacity: Int) {
      inbox = LoopInbox(
        owner: owner, loops: loops, laneCapacity: capacity, foreignCapacity: capacity)
    }
    var isEmpty: Bool { inbox.isEmpty }
    func prepareToSleep() -> Bool { inbox.prepareToSleep() }
    func awake() { inbox.awake() }
    func push(_ item: UInt, fromLoop: Int) -> PushResult { inbox.push(item, fromLoop: fromLoop) }
    func pushForeign(_ item: UInt) -> PushResult { inbox.pushForeign(item) }
    func push(contentsOf items: [UInt], fromLoop: Int) -> BulkPushResult {
      items.withUnsafeBufferPointer { inbox.push(contentsOf: $0, fromLoop: fromLoop) }
    }
    func pushForeign(contentsOf items: [UInt]) -> BulkPushResult {
      items.withUnsafeBufferPointer { inbox.pushForeign(contentsOf: $0) }
    }
    func drain(_ limit: Int) -> [UInt] {
      var buffer = Array(repeating: UInt(0), count: limit)
      let count = buffer.withUnsafeMutableBufferPointer { inbox.drain(into: $0) }
      return Array(buffer[..<count])
    }
  }

  @Test("Full is an answer, for a lane and for foreign threads, and room comes back")
  func full() {
    let inbox = Held(owner: 1, loops: 3, capacity: 2)
    for item: UInt in 1...2 {
      #expect(inbox.push(item, fromLoop: 0) == .accepted)
      #expect(inbox.push(10 + item, fromLoop: 2) == .accepted)
      #expect(inbox.pushForeign(20 + item) == .accepted)
    }
    #expect(inbox.push(3, fromLoop: 0) == .full)
    #expect(inbox.push(13, fromLoop: 2) == .full)
    #expect(inbox.pushForeign(23) == .full)
    #expect(inbox.drain(16).sorted() == [1, 2, 11, 12, 21, 22])
    #expect(inbox.isEmpty)
    #expect(inbox.push(3, fromLoop: 0) == .accepted)
    #expect(inbox.pushForeign(23) == .accepted)
  }

  @Test("What is pushed at once comes out at once; what doesn't fit stays with the caller")
  func bulk() {
    let inbox = Held(owner: 0, loops: 2, capacity: 4)
    let items: [UInt] = [1, 2, 3, 4, 5, 6]
    #expect(
      inbox.push(contentsOf: items, fromLoop: 1) == BulkPushResult(accepted: 4, mustWake: false))
    #expect(
      inbox.pushForeign(contentsOf: items) == BulkPushResult(accepted: 4, mustWake: false))
    #expect(
      inbox.push(contentsOf: items, fromLoop: 1) == BulkPushResult(accepted: 0, mustWake: false))
    #expect(inbox.drain(3).count == 3)
    #expect(inbox.drain(16).count == 5)
  }

  @Test("A busy source doesn't keep others out, and who begins takes turns")
  func fairness() {
    let inbox = Held(owner: 0, loops: 3, capacity: 64)
    for index in 0..<60 {
      _ = inbox.push(100 + UInt(index), fromLoop: 1)
      _ = inbox.pushForeign(300 + UInt(index))
    }
    _ = inbox.push(200, fromLoop: 2)
    let first = inbox.drain(12)
    #expect(first.contains(200))
    #expect(first.filter { $0 / 100 == 1 }.count >= 4 && first.filter { $0 / 100 == 3 }.count >= 4)
    // Even with room for one, each source has its turn.
    let turns = (0..<6).flatMap { _ in inbox.drain(1) }.map { $0 / 100 }
    #expect(turns.contains(1) && turns.contains(3))
  }

  @Test("One producer of all wakes a sleeping loop; none an awake one")
  func wakeUps() {
    let inbox = Held(owner: 0, loops: 2, capacity: 8)
    #expect(inbox.prepareToSleep())
    #expect(inbox.push(1, fromLoop: 1) == .acceptedMustWake)
    #expect(inbox.push(2, fromLoop: 1) == .accepted)
    #expect(inbox.pushForeign(3) == .accepted)
    inbox.awake()
    #expect(inbox.pushForeign(4) == .accepted)
    #expect(!inbox.prepareToSleep(), "it must not sleep on four items")
    #expect(inbox.pushForeign(5) == .accepted)
    #expect(inbox.drain(16).count == 5)
    #expect(inbox.prepareToSleep())
    #expect(inbox.pushForeign(6) == .acceptedMustWake)
  }

  /// A pipe in the place of libuv's eventfd, and what the run did with it.
  final class Rig: Sendable {
    let inbox = LoopInbox(owner: 0, loops: 4, laneCapacity: 16, foreignCapacity: 32)
    let readEnd: Int32
    let writeEnd: Int32

    init() {
      var ends: [Int32] = [0, 0]
      precondition(pipe(&ends) == 0)
      readEnd = ends[0]
      writeEnd = ends[1]
    }

    deinit {
      close(readEnd)
      close(writeEnd)
    }

    func wake() {
      var byte: UInt8 = 1
      precondition(write(writeEnd, &byte, 1) == 1)
    }

    /// `false` when nobody woke it for ten seconds: the wake-up is lost.
    func sleep() -> Bool {
      var entry = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
      guard poll(&entry, 1, 10_000) == 1 else { return false }
      var bytes = [UInt8](repeating: 0, count: 64)
      return read(readEnd, &bytes, 64) > 0
    }
  }

  @Test("Three siblings and three foreign threads push to a loop that sleeps whenever it may")
  func sleepingLoop() {
    let rig = Rig()
    let items = 8_000
    let outcome = Outcome((ledger: Ledger(producers: 6), lost: false))
    let producers = (0..<6).map { producer -> @Sendable () -> Void in
      {
        var sent = 0
        while sent < items {
          let item = Ledger.item(producer, sent + 1)
          let result =
            producer < 3
            ? rig.inbox.push(item, fromLoop: producer + 1) : rig.inbox.pushForeign(item)
          switch result {
          case .accepted: sent += 1
          case .acceptedMustWake:
            sent += 1
            rig.wake()
          case .full: sched_yield()
          }
        }
      }
    }
    let loop: @Sendable () -> Void = {
      var ledger = Ledger(producers: 6)
      var buffer = Array(repeating: UInt(0), count: 24)
      while ledger.items < 6 * items {
        if rig.inbox.prepareToSleep() {
          if !rig.sleep() {
            outcome.value.lost = true
            break
          }
        }
        rig.inbox.awake()
        let count = buffer.withUnsafeMutableBufferPointer { rig.inbox.drain(into: $0) }
        for i in 0..<count { ledger.enter(buffer[i]) }
      }
      outcome.value.ledger = ledger
    }
    runThreads(producers + [loop])
    let (ledger, lost) = outcome.value
    #expect(!lost, "a wake-up was lost after \(ledger.items) items")
    #expect(ledger.items == 6 * items && ledger.disorders == 0)
  }
}
