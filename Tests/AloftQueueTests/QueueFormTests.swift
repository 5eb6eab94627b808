import AloftAtomics
import AloftQueue
import Glibc
import Histories
import Testing

/// Every form of queue by the same measures: histories of more threads than cores are linearizable,
/// millions of messages come out once and in order, and closing under load loses nothing.
@Suite struct QueueFormTests {
  /// Threads that push and pop at random; the first producer, or somebody, closes in the end.
  private func history<Form: QueueForm>(
    _: Form.Type, capacity: Int, each: Int, closes: Bool, seed: Int
  ) -> [Timed<FIFOOperation>] {
    let form = Form(capacity: capacity)
    let producers = Form.producersMax
    let threads = producers + Form.consumersMax
    let recorder = Recorder<FIFOOperation>(threads: threads, operationsMax: each + 1)
    let gate = Gate(threads)
    runThreads(
      (0..<threads).map { thread in
        {
          var lottery = Lottery(seed: UInt64(seed * threads + thread + 1))
          gate.pass()
          for index in 0..<each {
            if thread < producers {
              let number = Ledger.number(thread, index)
              recorder[thread].recordUnlessNil { form.pushed(number) }
            } else {
              recorder[thread].recordUnlessNil { form.popped() }
            }
            if lottery.below(8) == 0 { sched_yield() }
            if closes, thread == 0, index == each / 2 {
              recorder[thread].record {
                form.close()
                return .close
              }
            }
          }
        }
      })
    return recorder.history
  }

  private func check<Form: QueueForm>(_ form: Form.Type) {
    var overlaps = 0
    for round in 0..<historyRounds {
      let capacity = [1, 2, 4][round % 3]
      let history = history(
        form, capacity: capacity, each: 100, closes: round % 2 == 1, seed: round)
      overlaps += history.overlaps
      let verdict = judge(
        history, FIFOModel(capacity: Form.isBounded ? capacity : .max),
        configurationsMax: 2_000_000)
      // A deep queue may be too much for the search; its four faults are decided anyway.
      let isRight = verdict.isLinearizable || !Form.isBounded && !verdict.isViolation
      #expect(isRight, "round \(round): \(verdict)")
      let deep = judgeFIFO(history)
      #expect(deep.isLinearizable, "round \(round): \(deep)")
      if !isRight || !deep.isLinearizable { return }
    }
    // Or the threads ran one after the other, and the test shows nothing; how many depends on the
    // machine.
    #expect(overlaps > 0, "\(overlaps) operations overlapped another one")
  }

  @Test("Recorded histories are linearizable: one to one")
  func singleHistories() { check(SPSCForm.self) }

  @Test("Recorded histories are linearizable: several to one")
  func severalHistories() { check(MPSCForm.self) }

  @Test("Recorded histories are linearizable: several to several")
  func manyHistories() { check(MPMCForm.self) }

  @Test("Recorded histories are linearizable: several to one, unbounded")
  func unboundedHistories() { check(UnboundedForm.self) }

  @Test("A queue whose pushes answer too early is caught")
  func tardy() {
    let caught = (0..<historyRounds).contains { round in
      let history = history(TardyForm.self, capacity: 0, each: 100, closes: false, seed: round)
      return judgeFIFO(history).isViolation
    }
    #expect(caught)
  }

  /// Producers push numbered messages, going on until each is in; the last to finish closes.
  private func stress<Form: QueueForm>(_: Form.Type, items: Int) {
    let form = Form(capacity: 1_024)
    let (producers, consumers) = (Form.producersMax, Form.consumersMax)
    let each = items / producers
    let tally = Tally(producers: producers, each: each)
    let disorders = (0..<consumers).map { _ in Outcome(0) }
    let pushing = (0..<producers).map { producer -> @Sendable () -> Void in
      {
        for index in 0..<each {
          let block = message(Ledger.number(producer, index)).take()
          while !form.push(block).isAccepted { sched_yield() }
        }
        if producers == 1 { form.close() }
      }
    }
    let popping = (0..<consumers).map { consumer -> @Sendable () -> Void in
      {
        var ledger = Ledger(producers: producers)
        while true {
          var block: MessageBlock?
          let answer = form.pop(&block)
          if let block {
            let number = Message(adopting: block).number
            tally.enter(number)
            ledger.enter(number)
          } else if answer == .closed {
            break
          } else {
            sched_yield()
          }
        }
        disorders[consumer].value = ledger.disorders
      }
    }
    let closing: @Sendable () -> Void = {
      runThreads(pushing)
      if producers > 1 { form.close() }
    }
    runThreads([closing] + popping)
    #expect(tally.wrong == 0)
    #expect(disorders.allSatisfy { $0.value == 0 })
    let statistics = form.statistics
    let all = UInt64(producers * each)
    #expect(statistics.accepted == all && statistics.delivered == all && statistics.depth == 0)
  }

  @Test("Millions of messages, one to one: none lost, doubled or out of order")
  func singleStress() { stress(SPSCForm.self, items: stressItems) }

  @Test("Millions of messages, several to one: none lost, doubled or out of order")
  func severalStress() { stress(MPSCForm.self, items: stressItems) }

  @Test("Millions of messages, several to several: none lost, doubled or out of order")
  func manyStress() { stress(MPMCForm.self, items: stressItems) }

  @Test("Millions of messages, several to one, unbounded: none lost, doubled or out of order")
  func unboundedStress() { stress(UnboundedForm.self, items: stressItems) }

  @Test("The one consumer can tell when the oldest message arrived, and takes by batches")
  func oldest() {
    let single = SPSCQueue(capacity: 4)
    let several = MPSCQueue(capacity: 4)
    let unbounded = UnboundedQueue()
    let none = [single.oldestArrived, several.oldestArrived, unbounded.oldestArrived]
    #expect(none == [nil, nil, nil])
    for arrived in 5...7 as ClosedRange<UInt32> {
      let blocks = (0..<3).map { _ in
        let block = message(UInt64(arrived)).take()
        block.header.pointee.arrived = arrived
        return block
      }
      let answers = [
        single.push(blocks[0]), several.push(blocks[1]), unbounded.push(blocks[2]),
      ]
      #expect(answers.allSatisfy { $0 == .accepted })
    }
    let first = [single.oldestArrived, several.oldestArrived, unbounded.oldestArrived]
    #expect(first == [5, 5, 5])
    var numbers: [UInt64] = []
    let counts = [
      single.pop(limit: 2) { numbers.append($0.number) },
      several.pop(limit: 2) { numbers.append($0.number) },
      unbounded.pop(limit: 9) { numbers.append($0.number) },
    ]
    #expect(counts == [2, 2, 3])
    #expect(numbers == [5, 6, 5, 6, 5, 6, 7])
    let last = [single.oldestArrived, several.oldestArrived, unbounded.oldestArrived]
    #expect(last == [7, 7, nil])
  }
}
