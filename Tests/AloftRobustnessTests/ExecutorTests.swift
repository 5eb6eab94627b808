import Aloft
import Foundation
import Testing

extension Robustness {
  /// Event loops as executors and as the receivers of jobs: on their own thread, in order, bounded.
  @Suite struct ExecutorTests {
    actor Room {
      let loop: EventLoop
      var count = 0
      init(_ loop: EventLoop) { self.loop = loop }
      nonisolated var unownedExecutor: UnownedSerialExecutor { loop.unownedExecutor }
      /// Whether it is on its loop's thread.
      func enter() -> Bool {
        count += 1
        return loop.isCurrent
      }
      func visit(_ other: Room) async -> Bool { await other.enter() && loop.isCurrent }
    }

    /// A task on the loop awaits actors of the same loop 1,000 times: all of it happens on the
    /// loop's thread and within one turn, so without a hop.
    @Test(.timeLimit(.minutes(1))) func actorsOfOneLoop() async throws {
      try await Runtime.with(.init(eventLoops: 2)) { runtime in
        let loop = runtime.eventLoops[0]
        let rooms = (Room(loop), Room(loop))
        let task = Task(executorPreference: loop.executor) {
          var stays = loop.isCurrent
          let before = runtime.statistics.turns
          for _ in 0..<1_000 {
            let entered = await rooms.0.enter()
            let visited = await rooms.1.visit(rooms.0)
            stays = stays && entered && visited
          }
          return (stays, runtime.statistics.turns - before)
        }
        let (stays, turns) = await task.value
        #expect(stays)
        // The sibling sleeps; a hop each would be thousands of turns. 3,000 jobs fit one turn.
        #expect(turns <= 8, "\(turns) turns")
        #expect(await rooms.0.count == 2_000)
      }
    }

    /// Across loops: each actor on its own thread, whoever calls.
    @Test(.timeLimit(.minutes(1))) func actorsOfTwoLoops() async throws {
      try await Runtime.with(.init(eventLoops: 2)) { runtime in
        let rooms = (Room(runtime.eventLoops[0]), Room(runtime.eventLoops[1]))
        for _ in 0..<1_000 {
          #expect(await rooms.0.visit(rooms.1))
          #expect(await rooms.1.visit(rooms.0))
        }
        #expect(await rooms.0.count == 1_000)
      }
    }

    /// Eight foreign threads, and then a sibling loop, send 10,000 jobs each: every sender's jobs
    /// run in the order in which it sent them, none is lost, and a full inbox is a number.
    @Test(.timeLimit(.minutes(1)), arguments: [false, true])
    func orderOfJobs(fromSibling: Bool) async throws {
      try await Runtime.with(.init(eventLoops: 2)) { runtime in
        let loop = runtime.eventLoops[0]
        let senders = fromSibling ? 1 : 8
        let each = 10_000
        let seen = Locked([[Int]](repeating: [], count: senders))
        @Sendable func send(_ sender: Int) {
          for job in 0..<each {
            while true {
              do throws(AloftError) {
                try loop.execute { seen.with { $0[sender].append(job) } }
                break
              } catch {
                if error.code != .inboxFull { Issue.record("\(error)") }
                sched_yield()
              }
            }
          }
        }
        if fromSibling {
          try await runtime.eventLoops[1].run { send(0) }
        } else {
          for sender in 0..<senders { Thread { send(sender) }.start() }
        }
        try await eventually("all run") { seen.value.allSatisfy { $0.count == each } }
        #expect(seen.value.allSatisfy { $0 == Array(0..<each) })
      }
    }

    /// While a loop is busy as many jobs wait for it as may; the next is refused with the numbers,
    /// and those that were taken run in their order.
    @Test(.timeLimit(.minutes(1)), arguments: [64, 1_000])
    func inboxFull(capacity: Int) async throws {
      var options = Runtime.Options()
      options.inboxCapacity = capacity
      try await Runtime.with(options) { runtime in
        let loop = runtime.eventLoops[0]
        let gate = DispatchSemaphore(value: 0)
        let ran = Locked([Int]())
        let busy = Locked(false)
        try loop.execute {
          busy.with { $0 = true }
          gate.wait()
        }
        try await eventually("busy") { busy.value }
        var taken = 0
        var refusal: AloftError?
        while refusal == nil, taken < 1 << 20 {
          let job = taken
          do throws(AloftError) {
            try loop.execute { ran.with { $0.append(job) } }
            taken += 1
          } catch { refusal = error }
        }
        #expect(taken >= capacity && taken <= 2 * capacity)
        #expect(refusal?.code == .inboxFull)
        #expect(refusal?.message.contains("\(capacity)") == true)
        // What may not be refused still gets in, behind them.
        async let last: Void = loop.run { ran.with { $0.append(-1) } }
        gate.signal()
        try await last
        #expect(ran.value == Array(0..<taken) + [-1])
      }
    }

    /// After the end a job is refused, a task that waits hears of it, and tasks of the executor go
    /// on elsewhere.
    @Test(.timeLimit(.minutes(1))) func afterTheEnd() async throws {
      let runtime = try Runtime()
      let loop = runtime.eventLoops[0]
      let room = Room(loop)
      #expect(await room.enter())
      await runtime.shutdown(within: .zero)
      let error = #expect(throws: AloftError.self) { try loop.execute {} }
      #expect(error?.code == .closed)
      await #expect(throws: AloftError.self) { try await loop.run {} }
      #expect(await room.enter() == false)
      #expect(await room.count == 2)
    }

    /// The last reference goes away on a loop's own thread.
    @Test(.timeLimit(.minutes(1))) func releasedOnItsLoop() async throws {
      let recorder = Recorder()
      var runtime: Runtime? = try Runtime(.init(eventLoops: 2))
      let listener = try await runtime?.listen(on: .anyLocal, handler: recorder)
      let peer = try Peer(port: #require(listener?.address.port))
      #expect(peer.echoes([1]))
      try await runtime?.eventLoops[0].run { [runtime] in withExtendedLifetime(runtime) {} }
      runtime = nil
      withExtendedLifetime(listener) {}
    }
  }
}
