import Aloft
import Foundation
import Synchronization
import Testing

/// Workers of two loops, crashed at random while other threads send to them, with children that
/// come and go: nothing is lost but the messages that were being handled, and that is counted.
@Suite(.timeLimit(.minutes(1))) struct WorkerStorms {
  final class Counts: Sendable {
    let handled = Atomic<Int>(0)
    let crashed = Atomic<Int>(0)
    let handlers = Atomic<Int>(0)
    let alive = Atomic<Int>(0)
  }

  final class Fragile: WorkerHandler {
    private let counts: Counts
    private var last: UInt8 = 0

    init(_ counts: Counts) {
      self.counts = counts
      counts.handlers.add(1, ordering: .relaxed)
      counts.alive.add(1, ordering: .relaxed)
    }

    deinit { counts.alive.subtract(1, ordering: .relaxed) }

    func received(_ worker: Worker, _ message: consuming Message) throws {
      let byte = message.withUnsafeBytes { $0[0] }
      if byte == 0 {
        counts.crashed.add(1, ordering: .relaxed)
        throw Told(word: "crash")
      }
      counts.handled.add(1, ordering: .relaxed)
    }
  }

  typealias Strategy = SupervisorOptions.Strategy

  @Test(arguments: [Strategy.oneForOne, .oneForAll, .restForOne])
  func nothingIsLost(strategy: Strategy) async throws {
    let (counts, extra) = (Counts(), Counts())
    let (workers, perSender) = (20, 5_000)
    let crashEvery: UInt64 = strategy == .oneForOne ? 50 : 500
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      var options = SupervisorOptions(
        strategy: strategy, intensity: .init(minimum: 1_000_000, fraction: 1))
      options.backoff.base = .zero
      let supervisor = try await runtime.supervise(options) {
        for index in 0..<workers { try .worker("\(index)") { Fragile(counts) } }
      }
      let mailboxes = try await supervisor.workers().compactMap(\.mailbox)
      #expect(mailboxes.count == workers)
      try await withThrowingTaskGroup(of: Void.self) { senders in
        for sender in 0..<4 as Range<UInt64> {
          senders.addTask {
            var state = 4_711 &+ sender
            for _ in 0..<perSender {
              state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
              let byte: InlineArray<1, UInt8> = [(state >> 33) % crashEvery == 0 ? 0 : 1]
              let mailbox = mailboxes[Int(state >> 40) % mailboxes.count]
              while mailbox.send(byte.span.bytes) == .busy { await Task.yield() }
            }
          }
        }
        senders.addTask {
          for index in 0..<100 {
            let worker = try await supervisor.addWorker("extra") { Fragile(extra) }
            worker.tell("x")
            if index % 2 == 0 { _ = try await supervisor.restart("extra") }
            _ = try await supervisor.remove("extra")
            try await until("extra is gone") { try await supervisor.worker("extra") == nil }
          }
        }
        try await senders.waitForAll()
      }
      let all = 4 * perSender
      try await until("all handled") {
        counts.handled.load(ordering: .relaxed) + counts.crashed.load(ordering: .relaxed) == all
      }
      let dropped = try await withThrowingTaskGroup(of: Int.self) { tasks in
        for worker in try await supervisor.workers() {
          tasks.addTask { Int(try await worker.statistics().dropped) }
        }
        return try await tasks.reduce(0, +)
      }
      #expect(dropped == counts.crashed.load(ordering: .relaxed))
      #expect(try await supervisor.workers().map(\.mailbox) == mailboxes)
      await supervisor.shutDown()
    }
    #expect(counts.alive.load(ordering: .relaxed) == 0, "handlers are left")
    #expect(extra.alive.load(ordering: .relaxed) == 0, "handlers are left")
  }
}
