import Aloft
import Testing

/// The queue of the Swift API: tasks that wait at it, and what they are told.
@Suite struct QueueTests {
  static func message(_ text: String) -> Message {
    Message(copying: Array(text.utf8))
  }

  static func text(_ message: consuming Message) -> String {
    message.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
  }

  /// Waits for something that another task is about to bring about.
  static func until(_ condition: () -> Bool) async { while !condition() { await Task.yield() } }

  @Test("A task that waits is given what is pushed; tasks are served in the order of their coming")
  func servesInOrder() async throws {
    let queue = try Queue(.init(capacity: 4))
    var tasks: [Task<String?, any Error>] = []
    for index in 0..<8 {
      tasks.append(
        Task {
          guard let message = try await queue.pop() else { return nil }
          return Self.text(message)
        })
      await Self.until { queue.tasksWaiting.forMessage == index + 1 }
    }
    for index in 0..<8 { #expect(queue.tryPush(Self.message("\(index)")) == .accepted) }
    for (index, task) in tasks.enumerated() { #expect(try await task.value == "\(index)") }
    #expect(queue.tasksWaiting == (0, 0) && queue.count == 0)
  }

  @Test("Tasks that wait for room are let in, in the order of their coming")
  func letsIn() async throws {
    let queue = try Queue(.init(capacity: 2))
    queue.tryPush(Self.message("a"))
    queue.tryPush(Self.message("b"))
    #expect(queue.tryPush(Self.message("x")) == .full)
    var tasks: [Task<Void, any Error>] = []
    for (index, text) in ["c", "d", "e"].enumerated() {
      tasks.append(Task { try await queue.push(Self.message(text)) })
      await Self.until { queue.tasksWaiting.forRoom == index + 1 }
    }
    var got: [String] = []
    while let message = queue.tryPop() { got.append(Self.text(message)) }
    for task in tasks { try await task.value }
    #expect(got == ["a", "b", "c", "d", "e"])
    #expect(queue.statistics.refused == 1 && queue.statistics.delivered == 5)
  }

  @Test("A limit that passes: an error with the time, and nothing left behind")
  func limits() async throws {
    let queue = try Queue(.init(capacity: 1))
    let empty = await #expect(throws: AloftError.self) {
      _ = try await queue.pop(within: .milliseconds(2))?.count
    }
    #expect(empty?.code == .timedOut)
    queue.tryPush(Self.message("a"))
    let full = await #expect(throws: AloftError.self) {
      try await queue.push(Self.message("b"), within: .milliseconds(2))
    }
    #expect(full?.code == .timedOut)
    #expect(full?.message.contains("0.002 seconds") == true, "\(full?.message ?? "")")
    #expect(queue.tasksWaiting == (0, 0))
    #expect(queue.tryPop()?.count == 1)
    #expect(queue.tryPush(Self.message("c")) == .accepted)
  }

  @Test("A task that is cancelled leaves its place to the next and takes no message with it")
  func cancellation() async throws {
    let queue = try Queue(.init(capacity: 4))
    let first = Task { try await queue.pop()?.count }
    await Self.until { queue.tasksWaiting.forMessage == 1 }
    let second = Task { try await queue.pop()?.count }
    await Self.until { queue.tasksWaiting.forMessage == 2 }
    first.cancel()
    await #expect(throws: CancellationError.self) { try await first.value }
    #expect(queue.tasksWaiting.forMessage == 1)
    queue.tryPush(Self.message("abc"))
    #expect(try await second.value == 3)
    let early = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await queue.pop()?.count
    }
    await #expect(throws: CancellationError.self) { try await early.value }
    #expect(queue.tasksWaiting == (0, 0))
  }

  @Test(
    "Closing: what is inside comes out, then nil; whoever waits hears of it; pushes are refused")
  func closing() async throws {
    let queue = try Queue(.init(capacity: 2))
    queue.tryPush(Self.message("a"))
    queue.tryPush(Self.message("b"))
    let waiting = Task { try await queue.push(Self.message("c")) }
    await Self.until { queue.tasksWaiting.forRoom == 1 }
    queue.close()
    let refused = await #expect(throws: AloftError.self) { try await waiting.value }
    #expect(refused?.code == .closed)
    #expect(queue.tryPush(Self.message("d")) == .closed)
    var got: [[UInt8]] = []
    for try await bytes in queue.messages { got.append(bytes) }
    #expect(got == [Array("a".utf8), Array("b".utf8)])
    #expect(try await queue.pop()?.count == nil)

    let other = try Queue()
    let popping = Task { try await other.pop()?.count }
    await Self.until { other.tasksWaiting.forMessage == 1 }
    other.close()
    other.close()
    #expect(try await popping.value == nil)
    #expect(other.isClosed)
  }

  @Test("Closed without draining: what is inside is released")
  func closeWithoutDrain() throws {
    let queue = try Queue(.init(capacity: 4))
    for _ in 0..<3 { queue.tryPush(Self.message("a")) }
    queue.close(drain: false)
    #expect(queue.tryPop()?.count == nil)
    #expect(queue.statistics.depth == 0)
  }

  /// Pushers and poppers that give up all the time, by limits and by cancellation: in the end each
  /// message that was accepted has come out once, and nobody is left waiting.
  @Test("Tasks that come, give up and are cancelled leave nothing behind", .timeLimit(.minutes(2)))
  func comingAndGoing() async throws {
    let queue = try Queue(.init(capacity: 2))
    let (pushed, popped) = try await withThrowingTaskGroup(of: (Int, Int).self) { group in
      for worker in 0..<16 {
        group.addTask {
          var (pushed, popped) = (0, 0)
          for round in 0..<150 {
            let limit: Duration = .microseconds((round &* 37 &+ worker) % 400)
            let task = Task {
              if worker % 2 == 0 {
                try await queue.push(Self.message("m"), within: limit)
                return true
              }
              return try await queue.pop(within: limit)?.count == 1
            }
            if round % 3 == 0 { task.cancel() }
            if case .success(true) = await task.result {
              if worker % 2 == 0 { pushed += 1 } else { popped += 1 }
            }
          }
          return (pushed, popped)
        }
      }
      return try await group.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
    }
    #expect(queue.tasksWaiting == (0, 0))
    queue.close()
    var left = 0
    while let message = queue.tryPop() { left += message.count }
    #expect(pushed == popped + left)
    let statistics = queue.statistics
    #expect(statistics.accepted == UInt64(pushed) && statistics.depth == 0)
  }

  @Test("Options outside their range are refused with the number", arguments: [0, -1, 1 << 40])
  func options(capacity: Int) {
    let error = #expect(throws: AloftError.self) { try Queue(.init(capacity: capacity)) }
    #expect(error?.code == .invalidOption)
    #expect(error?.message.contains("\(capacity)") == true)
    var options = Queue.Options(capacity: 8)
    options.highWater = 9
    #expect(throws: AloftError.self) { try Queue(options) }
    options.highWater = 4
    options.lowWater = 4
    #expect(throws: AloftError.self) { try Queue(options) }
  }

  @Test("The water marks are told in turns, and at rest the last word is right")
  func pressure() async throws {
    let told = Told()
    var options = Queue.Options(capacity: 64)
    options.highWater = 32
    options.lowWater = 8
    options.onPressure = { told.append($0) }
    let queue = try Queue(options)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask { for _ in 0..<2_000 { try await queue.push(Self.message("m")) } }
        group.addTask { for _ in 0..<2_000 { _ = try await queue.pop()?.count } }
      }
      try await group.waitForAll()
    }
    let levels = told.levels
    #expect(levels.enumerated().allSatisfy { $0.element == ($0.offset % 2 == 0) }, "\(levels)")
    #expect(levels.last != true)
  }

  final class Told: @unchecked Sendable {
    // @unchecked: the queue tells never twice at a time; read after all tasks are done.
    private(set) var levels: [Bool] = []
    func append(_ level: Bool) { levels.append(level) }
  }
}
