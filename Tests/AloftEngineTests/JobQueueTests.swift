import AloftEngine
import Testing

/// The order of a loop's own jobs.
struct JobQueueTests {
  /// Words are even with no tag, and end in 4 for a task.
  private func job(_ number: Int) -> UInt { UInt(number) << 3 }
  private func task(_ number: Int) -> UInt { UInt(number) << 3 | 4 }

  private func all(_ queue: inout JobQueue) -> [UInt] {
    var words: [UInt] = []
    while let word = queue.popFirst() { words.append(word) }
    return words
  }

  @Test("Jobs run in the order in which they came")
  func order() {
    var queue = JobQueue()
    for number in 1...200 { queue.append(number % 3 == 0 ? task(number) : job(number)) }
    #expect(queue.count == 200)
    #expect(all(&queue).map { $0 >> 3 } == Array(1...200))
    #expect(queue.count == 0)
  }

  @Test("Tasks that were handed something come first, in their order; jobs that were sent don't")
  func handedOver() {
    var queue = JobQueue()
    queue.append(task(1))
    queue.handsOver += 1
    queue.append(task(2))
    queue.append(job(3))
    queue.append(task(4))
    queue.handsOver -= 1
    queue.append(task(5))
    #expect(all(&queue) == [task(2), task(4), task(1), job(3), task(5)])
  }

  @Test("However many are handed something, those that wait have their turn")
  func fair() {
    var queue = JobQueue()
    for number in 1...3 { queue.append(task(number)) }
    var turns: [Int] = []
    // Each that runs hands on to another.
    queue.handsOver += 1
    queue.append(task(99))
    for step in 0..<1_000 {
      if queue.popFirst() == task(99) { queue.append(task(99)) } else { turns.append(step) }
    }
    let apart = JobQueue.streakMax + 1
    #expect(turns == [apart - 1, 2 * apart - 1, 3 * apart - 1])
  }
}
