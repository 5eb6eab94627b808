import AloftAtomics
import Glibc
import Testing

/// The rings and the mailbox under real threads, more of them than cores: every item comes out
/// once, and each producer's in order. The counts are bounded, nothing waits for a clock. Run
/// under `--sanitize=thread` this also shows that no access races on the machine's own code.
@Suite struct RingStressTests {
  final class Rings: Sendable {
    let spsc: SPSCRing
    let mpsc: MPSCRing

    init(capacity: Int) {
      spsc = SPSCRing(capacity: capacity)
      mpsc = MPSCRing(capacity: capacity)
    }
  }

  @Test(
    "One to one, by one and by batches", arguments: [(1, 1), (4, 1), (64, 1), (64, 7), (8, 16)])
  func single(capacity: Int, bulk: Int) {
    let items = 60_000
    let rings = Rings(capacity: capacity)
    let outcome = Outcome(Ledger(producers: 1))
    runThreads([
      {
        var sent = 0
        while sent < items {
          let wanted = min(bulk, items - sent)
          var count = 0
          if bulk == 1 {
            count = rings.spsc.push(Ledger.item(0, sent + 1)) ? 1 : 0
          } else {
            let part = (0..<wanted).map { Ledger.item(0, sent + 1 + $0) }
            count = part.withUnsafeBufferPointer { rings.spsc.push(contentsOf: $0) }
          }
          sent += count
          if count == 0 { sched_yield() }
        }
      },
      {
        var ledger = Ledger(producers: 1)
        var buffer = Array(repeating: UInt(0), count: bulk)
        while ledger.items < items {
          var count = 0
          if bulk == 1 {
            if let item = rings.spsc.pop() {
              buffer[0] = item
              count = 1
            }
          } else {
            count = buffer.withUnsafeMutableBufferPointer { rings.spsc.pop(into: $0) }
          }
          for i in 0..<count { ledger.enter(buffer[i]) }
          if count == 0 { sched_yield() }
        }
        outcome.value = ledger
      },
    ])
    #expect(outcome.value.items == items && outcome.value.disorders == 0)
    let left = rings.spsc.pop()
    #expect(left == nil)
  }

  @Test("Six to one, by one and by batches", arguments: [(1, 1), (16, 1), (64, 5), (4, 8)])
  func several(capacity: Int, bulk: Int) {
    let producers = 6
    let items = 8_000
    let rings = Rings(capacity: capacity)
    let outcome = Outcome(Ledger(producers: producers))
    let sides = (0..<producers).map { producer -> @Sendable () -> Void in
      {
        var sent = 0
        while sent < items {
          var count = 0
          if bulk == 1 {
            count = rings.mpsc.push(Ledger.item(producer, sent + 1)) ? 1 : 0
          } else {
            let wanted = min(bulk, items - sent)
            let part = (0..<wanted).map { Ledger.item(producer, sent + 1 + $0) }
            count = part.withUnsafeBufferPointer { rings.mpsc.push(contentsOf: $0) }
          }
          sent += count
          if count == 0 { sched_yield() }
        }
      }
    }
    let consumer: @Sendable () -> Void = {
      var ledger = Ledger(producers: producers)
      var buffer = Array(repeating: UInt(0), count: bulk)
      while ledger.items < producers * items {
        let count = buffer.withUnsafeMutableBufferPointer { rings.mpsc.pop(into: $0) }
        for i in 0..<count { ledger.enter(buffer[i]) }
        if count == 0 { sched_yield() }
      }
      outcome.value = ledger
    }
    runThreads(sides + [consumer])
    #expect(outcome.value.items == producers * items && outcome.value.disorders == 0)
    let left = rings.mpsc.pop()
    #expect(left == nil)
  }

  @Test("Four threads push nodes to a mailbox whose owner drains only when it is scheduled")
  func mailbox() {
    let pushers = 4
    let nodes = 8_000
    // A word for the mailbox, then two for each node: the link and the item.
    let words = UnsafeMutablePointer<UInt>.allocate(capacity: 1 + 2 * pushers * nodes)
    words.initialize(repeating: 0, count: 1 + 2 * pushers * nodes)
    defer { words.deallocate() }
    let place = Outcome(words)
    let schedule = Rings(capacity: 1 << 16)
    let outcome = Outcome(Ledger(producers: pushers))
    let sides = (0..<pushers).map { pusher -> @Sendable () -> Void in
      {
        let mailbox = MailboxWord(at: place.value)
        for index in 0..<nodes {
          let node = place.value + 1 + 2 * (pusher * nodes + index)
          node[1] = Ledger.item(pusher, index + 1)
          // The ring is the run queue of the owner's loop: room for one entry a node.
          if mailbox.push(node) { _ = schedule.mpsc.push(1) }
        }
      }
    }
    let owner: @Sendable () -> Void = {
      let mailbox = MailboxWord(at: place.value)
      var ledger = Ledger(producers: pushers)
      while ledger.items < pushers * nodes {
        guard schedule.mpsc.pop() != nil else {
          sched_yield()
          continue
        }
        var node = mailbox.drain()
        while let this = node {
          ledger.enter(this.load(fromByteOffset: 8, as: UInt.self))
          node = MailboxWord.next(after: this)
        }
      }
      outcome.value = ledger
    }
    runThreads(sides + [owner])
    #expect(outcome.value.items == pushers * nodes && outcome.value.disorders == 0)
  }
}
