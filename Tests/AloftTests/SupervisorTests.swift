import Aloft
import Foundation
import Testing

/// Supervisors on real event loops: who is restarted keeps name, mailbox and what waits in it.
@Suite(.timeLimit(.minutes(1))) struct SupervisorTests {
  /// The handler that threw is gone with its state; the mailbox is the same, and the messages
  /// behind the one it threw at are handled by the next. On the supervisor's loop, and on another.
  @Test(arguments: [false, true]) func restartKeepsMailbox(elsewhere: Bool) async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let journal = Journal<String>()
      let loops = runtime.eventLoops
      let supervisor = try await runtime.supervise(on: loops[0]) {
        try .worker("a", on: loops[elsewhere ? 1 : 0]) { Actor("a", journal) }
      }
      let worker = try #require(try await supervisor.worker("a"))
      let mailbox = try #require(worker.mailbox)
      for word in ["1", "2", "crash", "3", "4"] { #expect(worker.tell(word) == .accepted) }
      try await until("4") { journal.all.count == 6 }
      #expect(journal.all == ["a up", "a 1 1", "a 2 2", "a up", "a 3 1", "a 4 2"])
      #expect(worker.mailbox == mailbox)
      let counts = try await worker.statistics()
      #expect(counts.starts == 2 && counts.failures == 1 && counts.dropped == 1)
      #expect(try await supervisor.statistics().restarts == 1)
      await supervisor.shutDown()
      #expect(journal.all.last == "a down" && worker.mailbox == nil)
      #expect(worker.tell("5") == .closed)
    }
  }

  /// Started in order, stopped the other way round, and what waits is handled before.
  @Test(arguments: [1, 2]) func orderAndDrain(eventLoops: Int) async throws {
    try await Runtime.with(.init(eventLoops: eventLoops)) { runtime in
      let journal = Journal<String>()
      let supervisor = try await runtime.supervise {
        for name in ["a", "b", "c"] { try .worker(name) { Actor(name, journal) } }
      }
      #expect(journal.all == ["a up", "b up", "c up"])
      try await supervisor.worker("b")?.tell("last")
      await supervisor.shutDown()
      let end = Array(journal.all.suffix(4))
      #expect(end == ["c down", "b last 1", "b down", "a down"] || end.first == "b last 1")
      await supervisor.shutDown()
      await #expect(throws: AloftError.self) {
        try await supervisor.add(.worker("d") { Actor("d", journal) })
      }
      #expect(try await supervisor.stop("a") == false)
      #expect(try await supervisor.worker("a") == nil)
    }
  }

  /// All for one, and the rest for one.
  @Test(
    arguments: [
      (SupervisorOptions.Strategy.oneForAll, "c down|a down|a up|b up|c up"),
      (.restForOne, "c down|b up|c up"), (.oneForOne, "b up"),
    ], [1, 2])
  func strategies(
    _ row: (strategy: SupervisorOptions.Strategy, told: String), eventLoops: Int
  ) async throws {
    try await Runtime.with(.init(eventLoops: eventLoops)) { runtime in
      let journal = Journal<String>()
      let supervisor = try await runtime.supervise(.init(strategy: row.strategy)) {
        for name in ["a", "b", "c"] { try .worker(name) { Actor(name, journal) } }
      }
      let mailboxes = try await supervisor.workers().map(\.mailbox)
      try await supervisor.worker("b")?.tell("crash")
      let told = row.told.split(separator: "|").map(String.init)
      try await until(row.told) { journal.all.count == 3 + told.count }
      #expect(Array(journal.all.dropFirst(3)) == told)
      #expect(try await supervisor.workers().map(\.mailbox) == mailboxes)
      // What was sent to one that was restarted with the others has waited.
      try await supervisor.worker("c")?.tell("x")
      try await until("x") { journal.all.last == "c x 1" }
    }
  }

  /// More failures than allowed end the supervisor, which says why; a supervisor above starts it
  /// again, and its workers keep their mailboxes through that.
  @Test func escalation() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let journal = Journal<String>()
      let ends = Journal<AloftError?>()
      var inner = SupervisorOptions(intensity: .init(minimum: 1, fraction: 0))
      inner.onEvent = { if case .ended(let error) = $0 { ends.add(error) } }
      let options = inner
      let supervisor = try await runtime.supervise {
        try .supervisor("below", options) {
          try .worker("a") { Actor("a", journal) }
          try .worker("b") { Actor("b", journal) }
        }
      }
      let below = try await supervisor.workers(below: "below")
      let (a, b) = (below[0], below[1])
      let mailbox = b.mailbox
      a.tell("crash")
      a.tell("crash")
      a.tell("well")
      try await until("well") { journal.all.contains("a well 1") && journal.all.count == 7 }
      #expect(journal.all.filter { $0 == "a up" }.count == 3)
      #expect(journal.all.filter { $0 == "b up" }.count == 2)
      #expect(b.mailbox == mailbox && mailbox != nil)
      #expect(ends.all.count == 1 && ends.all.first??.code == .tooManyRestarts)
      #expect(ends.all.first??.message.contains("2 restarts") == true)
      #expect(try await supervisor.statistics().restarts == 1)
    }
  }

  /// Transient and temporary workers that finish.
  @Test func policies() async throws {
    try await Runtime.with { runtime in
      let journal = Journal<String>()
      let supervisor = try await runtime.supervise {
        try .worker("a", restart: .transient) { Actor("a", journal) }
        try .worker("b", restart: .temporary) { Actor("b", journal) }
        try .worker("c") { Actor("c", journal) }
      }
      for worker in try await supervisor.workers() { worker.tell("finish") }
      try await until("c again") { journal.all.count == 7 }
      #expect(try await supervisor.worker("b") == nil)
      let a = try #require(try await supervisor.worker("a"))
      #expect(a.mailbox == nil && a.tell("x") == .closed)
      #expect(try await supervisor.start("a"))
      try await until("a again") { journal.all.last == "a up" }
      #expect(a.mailbox != nil)
      #expect(try await supervisor.statistics().children == 2)
    }
  }

  /// A message above its limit, and silence above its, are failures; a message may be handed to the
  /// next handler.
  @Test func limits() async throws {
    try await Runtime.with { runtime in
      let journal = Journal<String>()
      let errors = Journal<String>()
      var options = SupervisorOptions(intensity: .init(minimum: 20))
      options.onEvent = {
        if case .restarting(let name, let error, _) = $0 {
          errors.add("\(name ?? "?"): \(error.map { "\($0)" } ?? "-")")
        }
      }
      var slow = WorkerOptions()
      slow.messageLimit = .milliseconds(10)
      var silent = WorkerOptions()
      silent.progressLimit = .milliseconds(20)
      var again = WorkerOptions()
      again.redeliveriesMax = 2
      let supervisor = try await runtime.supervise(options) { [slow, silent, again] in
        try .worker("slow", options: slow) { Actor("slow", journal) }
        try .worker("silent", options: silent) { Actor("silent", journal) }
        try .worker("again", options: again) { Actor("again", journal) }
      }
      try await supervisor.worker("slow")?.tell("slow")
      try await until("silence noticed twice") {
        errors.all.filter { $0.hasPrefix("silent") }.count >= 2
      }
      #expect(errors.all.contains { $0.contains("and 10 ms are allowed") })
      #expect(errors.all.contains { $0.contains("no progress was reported") })
      let worker = try #require(try await supervisor.worker("again"))
      worker.tell("crash")
      worker.tell("well")
      try await until("well") { journal.all.contains("again well 1") }
      let counts = try await worker.statistics()
      #expect(counts.failures == 3 && counts.redelivered == 2 && counts.dropped == 1)
    }
  }

  /// Names are taken once, and free again; children come and go at run time.
  @Test func dynamicChildren() async throws {
    try await Runtime.with(.init(eventLoops: 2)) { runtime in
      let journal = Journal<String>()
      let supervisor = try await runtime.supervise()
      let a = try await supervisor.addWorker("a") { Actor("a", journal) }
      let error = await #expect(throws: AloftError.self) {
        try await supervisor.addWorker("a") { Actor("a", journal) }
      }
      #expect(error?.code == .nameTaken && error?.message.contains("\"a\"") == true)
      try await until("a up") { journal.all == ["a up"] }
      a.tell("1")
      #expect(try await supervisor.remove("a"))
      try await until("a gone") { try await supervisor.worker("a") == nil }
      #expect(journal.all == ["a up", "a 1 1", "a down"])
      _ = try await supervisor.addWorker("a") { Actor("a", journal) }
      let nameless = try await supervisor.addWorker { Actor("-", journal) }
      try await until("up") { nameless.mailbox != nil }
      #expect(try await supervisor.restart(nameless))
      #expect(try await supervisor.stop(nameless))
      try await until("down") { nameless.mailbox == nil }
      let other = try await runtime.supervise()
      #expect(try await other.stop(nameless) == false)
      #expect(try await other.start("nobody") == false)
    }
  }

  /// A child that does not come up: those before it are stopped, and the error says which and why.
  @Test func startFails() async throws {
    try await Runtime.with { runtime in
      let journal = Journal<String>()
      let error = await #expect(throws: AloftError.self) {
        try await runtime.supervise {
          try .worker("a") { Actor("a", journal) }
          try .worker("b") { () throws -> Actor in throw Told(word: "no b today") }
        }
      }
      #expect(error?.code == .startFailed && error?.message.contains("no b today") == true)
      #expect(journal.all == ["a up", "a down"])
      let twice = await #expect(throws: AloftError.self) {
        try await runtime.supervise {
          try .worker("a") { Actor("a", journal) }
          try .worker("a") { Actor("a", journal) }
        }
      }
      #expect(twice?.code == .nameTaken)
    }
  }

  /// Options outside their ranges are told with the numbers.
  @Test func invalidOptions() async throws {
    try await Runtime.with { runtime in
      for change: @Sendable (inout SupervisorOptions) -> Void in [
        { $0.intensity.fraction = 2 }, { $0.intensity.minimum = -1 }, { $0.inFlightMax = 0 },
        { $0.intensity.consecutiveMax = 300 }, { $0.backoff.base = .seconds(-1) },
        { $0.childrenMax = 0 },
      ] {
        var options = SupervisorOptions()
        change(&options)
        let error = await #expect(throws: AloftError.self) {
          try await runtime.supervise(options)
        }
        #expect(error?.code == .invalidOption)
      }
    }
  }

  /// What happens is told to those who listen, and ends with the supervisor.
  @Test func events() async throws {
    try await Runtime.with { runtime in
      let journal = Journal<String>()
      let supervisor = try await runtime.supervise {
        try .worker("a") { Actor("a", journal) }
      }
      let events = supervisor.events
      try await supervisor.worker("a")?.tell("crash")
      try await until("restart") { journal.all.count == 2 }
      await supervisor.shutDown()
      var told: [String] = []
      for await event in events {
        switch event {
        case .restarting(let name, let error, let wait):
          told.append("\(name ?? "") \((error as? Told)?.word ?? "") \(wait)")
        case .started(let name): told.append("\(name ?? "") started")
        case .ended(let error): told.append("ended \(error == nil)")
        }
      }
      #expect(told == ["a crash 0.0 seconds", "a started", "ended true"])
      for await _ in supervisor.events { Issue.record("an event after the end") }
    }
  }

  /// The runtime's shutdown stops supervisors in their order, and a thousand workers at once.
  @Test func runtimeShutdown() async throws {
    let journal = Journal<String>()
    let runtime = try Runtime(.init(eventLoops: 2))
    var options = SupervisorOptions(intensity: .init(fraction: 1))
    options.inFlightMax = 1_000
    let supervisor = try await runtime.supervise(options) {
      for index in 0..<1_000 { try .worker("\(index)") { Actor("\(index)", journal) } }
    }
    for worker in try await supervisor.workers() { worker.tell("x") }
    await runtime.shutdown(within: .seconds(5))
    #expect(journal.all.filter { $0.hasSuffix("down") }.count == 1_000)
    #expect(journal.all.filter { $0.hasSuffix("x 1") }.count == 1_000)
    await #expect(throws: (any Error).self) { try await supervisor.statistics() }
    await supervisor.shutDown()
  }
}
