import AloftQueue
import Glibc
import Histories
import Testing

/// The bounded queue from any threads to any threads.
@Suite struct MPMCQueueTests {
  final class Shared: Sendable {
    let queue: MPMCQueue
    init(_ options: QueueOptions) { queue = MPMCQueue(options) }
  }

  @Test(
    "Millions of messages: none lost, doubled, or out of its producer's order",
    arguments: [(1, 1), (4, 4), (6, 2)])
  func stress(producers: Int, consumers: Int) {
    let each = stressItems / 3 / producers
    let shared = Shared(.init(capacity: 1_024))
    let tally = Tally(producers: producers, each: each)
    let disorders = (0..<consumers).map { _ in Outcome(0) }
    let pushing = (0..<producers).map { producer -> @Sendable () -> Void in
      {
        for index in 0..<each {
          var next: Message? = message(Ledger.number(producer, index))
          while let block = next.take()?.take() {
            if shared.queue.push(block).isAccepted { break }
            next = Message(adopting: block)
            sched_yield()
          }
        }
      }
    }
    let popping = (0..<consumers).map { consumer -> @Sendable () -> Void in
      {
        var ledger = Ledger(producers: producers)
        var mustServe = false
        while true {
          let count = shared.queue.pop(limit: 64, mustServe: &mustServe) {
            tally.enter($0.number)
            ledger.enter($0.number)
          }
          if count > 0 { continue }
          var block: MessageBlock?
          let answer = shared.queue.pop(&block)
          if answer == .closed { break }
          if let block {
            let message = Message(adopting: block)
            tally.enter(message.number)
            ledger.enter(message.number)
          }
          sched_yield()
        }
        disorders[consumer].value = ledger.disorders
      }
    }
    let closing: @Sendable () -> Void = {
      runThreads(pushing)
      _ = shared.queue.close()
    }
    runThreads([closing] + popping)
    #expect(tally.wrong == 0)
    #expect(disorders.allSatisfy { $0.value == 0 })
    let all = UInt64(producers * each)
    let statistics = shared.queue.statistics
    #expect(statistics.accepted == all && statistics.delivered == all && statistics.depth == 0)
  }

  @Test("Closed under load: what was accepted is delivered, everything else was refused")
  func closeUnderLoad() {
    for round in 0..<historyRounds {
      let shared = Shared(.init(capacity: 8))
      let accepted = (0..<4).map { _ in Outcome(0) }
      let refused = (0..<4).map { _ in Outcome(0) }
      let delivered = (0..<3).map { _ in Outcome(0) }
      let pushing = (0..<4).map { producer -> @Sendable () -> Void in
        {
          while true {
            let answer = shared.queue.push(message(0))
            if answer.isAccepted {
              accepted[producer].value += 1
            } else {
              refused[producer].value += 1
            }
            if answer == .closed { return }
            if !answer.isAccepted { sched_yield() }
          }
        }
      }
      let popping = (0..<3).map { consumer -> @Sendable () -> Void in
        {
          while true {
            var block: MessageBlock?
            let answer = shared.queue.pop(&block)
            if let block {
              MessageBlock.release(block)
              delivered[consumer].value += 1
            } else {
              sched_yield()
            }
            if answer == .closed { return }
          }
        }
      }
      let closing: @Sendable () -> Void = {
        for _ in 0..<(round % 40) { sched_yield() }
        _ = shared.queue.close()
      }
      runThreads(pushing + popping + [closing])
      let total = accepted.reduce(0) { $0 + $1.value }
      #expect(total == delivered.reduce(0) { $0 + $1.value })
      let statistics = shared.queue.statistics
      #expect(statistics.accepted == UInt64(total) && statistics.depth == 0)
      #expect(statistics.refused == UInt64(refused.reduce(0) { $0 + $1.value }))
    }
  }

  @Test("Full: the oldest is dropped and counted, or the new one refused; the order stays")
  func whenFull() {
    for overflow in [QueueOptions.Overflow.refuse, .dropOldest] {
      let queue = MPMCQueue(.init(capacity: 4, overflow: overflow))
      let answers = (0..<7).map { queue.push(message($0)) }
      var out: [UInt64] = []
      while let message = queue.pop() { out.append(message.number) }
      let drops = overflow == .dropOldest
      #expect(answers.count { $0 == .accepted } == (drops ? 7 : 4))
      #expect(out == (drops ? [3, 4, 5, 6] : [0, 1, 2, 3]))
      let statistics = queue.statistics
      #expect(statistics.dropped == (drops ? 3 : 0) && statistics.refused == (drops ? 0 : 3))
      #expect(statistics.accepted == statistics.delivered + statistics.dropped)
    }
  }

  @Test("Dropping under load: what was accepted was delivered or dropped, and in order")
  func dropUnderLoad() {
    let each = stressItems / 20
    let shared = Shared(.init(capacity: 4, overflow: .dropOldest))
    let disorders = Outcome(0)
    let pushing = (0..<4).map { producer -> @Sendable () -> Void in
      { for index in 0..<each { _ = shared.queue.push(message(Ledger.number(producer, index))) } }
    }
    let popping: @Sendable () -> Void = {
      var ledger = Ledger(producers: 4)
      while true {
        var block: MessageBlock?
        let answer = shared.queue.pop(&block)
        if let block { ledger.enter(Message(adopting: block).number) } else { sched_yield() }
        if answer == .closed { break }
      }
      disorders.value = ledger.disorders
    }
    let closing: @Sendable () -> Void = {
      runThreads(pushing)
      _ = shared.queue.close()
    }
    runThreads([closing, popping])
    let statistics = shared.queue.statistics
    #expect(disorders.value == 0)
    #expect(statistics.accepted + statistics.refused == UInt64(4 * each))
    #expect(statistics.accepted == statistics.delivered + statistics.dropped)
  }

  @Test("Water marks: one rise and one fall an episode, and at rest the flag is right")
  func waterMarks() {
    let queue = MPMCQueue(.init(capacity: 8, highWater: 6, lowWater: 2))
    for _ in 0..<2 {
      var rises: [Int] = []
      for depth in 1...8 {
        _ = queue.push(message(0))
        if queue.roseAboveHighWater() { rises.append(depth) }
      }
      #expect(rises == [6] && queue.counters.isAboveHighWater)
      var falls: [Int] = []
      for depth in (0..<8).reversed() {
        _ = queue.pop()
        if queue.fellToLowWater() { falls.append(depth) }
      }
      #expect(falls == [2] && !queue.counters.isAboveHighWater)
    }
  }

  @Test("What is inside at the end is released")
  func released() {
    let block = MessageBlock.allocate(count: 0)
    MessageBlock.retain(block)
    do {
      let queue = MPMCQueue(.init(capacity: 4))
      _ = queue.push(block)
    }
    #expect(block.references.pointee.load(ordering: .relaxed) == 1)
    MessageBlock.release(block)
  }
}
