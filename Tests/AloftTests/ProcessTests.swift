import Aloft
import Foundation
import Testing

/// Supervised processes, real ones: how they are started, what they may hold, how they end, and who
/// takes their place.
@Suite(.timeLimit(.minutes(1)), .serialized) struct ProcessTests {
  /// Where SwiftPM puts executables: beside the test bundle that this code is in.
  static let worker: String = {
    // ThreadSanitizer's maps are too many to read at once; the runner names the bundle, too.
    let maps = (try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8)) ?? ""
    let mapped = maps.split(separator: "\n").first { $0.hasSuffix(".xctest") }
      .flatMap { line in line.firstIndex(of: "/").map { String(line[$0...]) } }
    let named = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
    guard let path = mapped ?? named else {
      preconditionFailure("the test bundle is not among the mapped files")
    }
    return URL(fileURLWithPath: path).deletingLastPathComponent()
      .appendingPathComponent("process-worker").path
  }()

  /// What a process's handler was told.
  final class Diary: ProcessHandler {
    let journal = Journal<String>()
    func started(_ worker: ProcessWorker, pid: Int32) { journal.add("up") }
    func received(_ worker: ProcessWorker, _ bytes: RawSpan) {
      journal.add(bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
    }
    func ended(_ worker: ProcessWorker, _ end: ProcessEnd) { journal.add("\(end)") }
    var all: [String] { journal.all }
  }

  static func descriptors() -> Int {
    ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"))?.count ?? 0) - 1
  }

  /// Children of this process that have ended and that nobody has waited for.
  static func zombies() -> [String] {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return all.filter { name in
      guard let stat = try? String(contentsOfFile: "/proc/\(name)/stat", encoding: .utf8),
        let end = stat.lastIndex(of: ")")
      else { return false }
      let words = stat[stat.index(after: end)...].split(separator: " ")
      return words[0] == "Z" && words[1] == "\(getpid())"
    }
  }

  static func isAlive(_ pid: Int32) -> Bool {
    guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let end = stat.lastIndex(of: ")")
    else { return false }
    return stat[stat.index(after: end)...].split(separator: " ")[0] != "Z"
  }

  /// Messages both ways; what the process has: a group of its own, four descriptors, no signal
  /// blocked or ignored, the environment that it was given.
  @Test func talksAndHolds() async throws {
    signal(SIGPIPE, SIG_IGN)
    // One without O_CLOEXEC, as any library may have.
    let stray = open("/dev/null", O_RDONLY)
    defer { close(stray) }
    try await Runtime.with { runtime in
      let diary = Diary()
      var program = ProcessProgram(Self.worker)
      program.environment = ["A=1", "B=two words"]
      let supervisor = try await runtime.supervise { [program] in
        try .process("p", program, handler: diary)
      }
      let p = try #require(try await supervisor.process("p"))
      let pid = try #require(try await p.pid())
      for word in ["hello", "pid", "fds", "signals", "env"] { p.tell(word) }
      try await until("answers") { diary.all.count == 6 }
      #expect(diary.all[1] == "hello")
      #expect(diary.all[2] == "\(pid) \(pid)")
      #expect(diary.all[3] == "0 1 2 3 ")
      #expect(diary.all[4] == "blocked ignored")
      #expect(diary.all[5] == "A=1\nB=two words\n")
      let large = String(repeating: "0123456789", count: 100_000)
      p.tell(large)
      try await until("a megabyte") { diary.all.last == large }
      await supervisor.shutDown()
      #expect(!Self.isAlive(pid) && diary.all.last == "signaled(15)")
    }
    #expect(Self.zombies() == [])
  }

  /// As under inetd: the channel is standard input and output.
  @Test func standardChannel() async throws {
    try await Runtime.with { runtime in
      let diary = Diary()
      var program = ProcessProgram(Self.worker, arguments: ["stdio"])
      program.channel = .standardInputAndOutput
      let supervisor = try await runtime.supervise { [program] in
        try .process("p", program, handler: diary)
      }
      try await supervisor.process("p")?.tell("fds")
      try await until("an answer") { diary.all.count == 2 }
      #expect(diary.all[1] == "0 1 2 ")
    }
  }

  /// However it ends, it is told, and replaced; messages sent meanwhile wait for the next one.
  @Test(arguments: [("crash", "signaled(10)"), ("exit 3", "exited(code: 3)")])
  func endsAndIsReplaced(_ row: (word: String, told: String)) async throws {
    try await Runtime.with { runtime in
      let diary = Diary()
      let supervisor = try await runtime.supervise {
        try .process("p", .init(Self.worker), handler: diary)
      }
      let p = try #require(try await supervisor.process("p"))
      let mailbox = p.mailbox
      p.tell(row.word)
      try await until("the end") { diary.all.contains(row.told) }
      p.tell("after")
      try await until("the next one") { diary.all.last == "after" }
      #expect(diary.all == ["up", row.told, "up", "after"])
      #expect(p.mailbox == mailbox)
      #expect(try await supervisor.statistics().restarts == 1)
    }
  }

  /// Exit code 0 is the end of a transient worker's work.
  @Test func exitsWell() async throws {
    try await Runtime.with { runtime in
      let diary = Diary()
      let supervisor = try await runtime.supervise {
        try .process("p", .init(Self.worker), restart: .transient, handler: diary)
      }
      let p = try #require(try await supervisor.process("p"))
      p.tell("exit 0")
      try await until("down") { p.mailbox == nil }
      #expect(diary.all == ["up", "exited(code: 0)"] && p.tell("x") == .closed)
      #expect(try await p.pid() == nil)
      #expect(try await p.signal(SIGTERM) == false)
      #expect(try await supervisor.statistics().restarts == 0)
    }
  }

  /// One that ignores SIGTERM is killed when its time is over, and its own children with it.
  @Test func deafToSignals() async throws {
    try await Runtime.with { runtime in
      let diary = Diary()
      let supervisor = try await runtime.supervise {
        try .process(
          "p", .init(Self.worker, arguments: ["deaf"]), stopWithin: .milliseconds(100),
          handler: diary)
      }
      let p = try #require(try await supervisor.process("p"))
      p.tell("child")
      try await until("a child") { diary.all.count == 2 }
      let child = try #require(Int32(diary.all[1]))
      #expect(Self.isAlive(child))
      let began = ContinuousClock.now
      await supervisor.shutDown()
      let took = began.duration(to: .now)
      #expect(took >= .milliseconds(100) && took < .seconds(5))
      #expect(diary.all.last == "signaled(9)")
      try await until("the child's end") { !Self.isAlive(child) }
    }
  }

  /// A program that isn't there, or isn't one: the error has the errno value, and nothing is left.
  @Test(arguments: [("/nonexistent/program", ENOENT), ("/etc/passwd", EACCES), ("/", EACCES)])
  func execFails(_ row: (path: String, errno: Int32)) async throws {
    try await Runtime.with { runtime in
      let before = Self.descriptors()
      for _ in 0..<20 {
        let error = await #expect(throws: AloftError.self) {
          try await runtime.supervise { try .process("p", .init(row.path), handler: Diary()) }
        }
        #expect(error?.code == .startFailed && error?.errno == row.errno)
        #expect(error?.message.contains(row.path) == true)
      }
      try await until("no descriptor left") { Self.descriptors() <= before }
    }
    #expect(Self.zombies() == [])
  }

  /// A spare is promoted at once, by the message that says what it is to do, and made up for.
  @Test func spares() async throws {
    try await Runtime.with { runtime in
      let diary = Diary()
      var options = ProcessOptions()
      options.assignment = Array("assigned".utf8)
      options.waitsForFirstMessage = true
      let supervisor = try await runtime.supervise { [options] in
        try .process(
          "p", .init(Self.worker, spares: 2), startWithin: .seconds(5), options: options,
          handler: diary)
      }
      let p = try #require(try await supervisor.process("p"))
      try await until("spares") { try await supervisor.statistics().spares == 2 }
      let first = try await p.pid()
      #expect(try await p.signal(SIGKILL))
      try await until("the next one") { diary.all.count == 5 }
      #expect(diary.all == ["up", "assigned", "signaled(9)", "up", "assigned"])
      #expect(try await p.pid() != first)
      try await until("spares again") { try await supervisor.statistics().spares == 2 }
    }
    #expect(Self.zombies() == [])
  }

  /// A program that ends at once: starts fail until they are too many, at a pace that rises, and
  /// its spares are not started over and over.
  @Test func diesAtOnce() async throws {
    try await Runtime.with { runtime in
      var options = ProcessOptions()
      options.waitsForFirstMessage = true
      let diary = Diary()
      let program = ProcessProgram(Self.worker, arguments: ["dies", "7"], spares: 1)
      let child = try SupervisorChild.process("p", program, options: options, handler: diary)
      let error = await #expect(throws: AloftError.self) {
        try await runtime.supervise { child }
      }
      #expect(error?.code == .startFailed && error?.message.contains("exited with 7") == true)
      #expect(diary.all == ["up", "exited(code: 7)"])
    }
  }

  /// A hundred processes killed at once; nobody else is disturbed, and nothing is left behind.
  @Test func hundredKilled() async throws {
    let before = Self.descriptors()
    try await Runtime.with { runtime in
      let diaries = (0..<100).map { _ in Diary() }
      var options = SupervisorOptions(intensity: .init(fraction: 1))
      options.inFlightMax = 100
      let supervisor = try await runtime.supervise(options) {
        for (index, diary) in diaries.enumerated() {
          try .process("\(index)", .init(Self.worker), handler: diary)
        }
      }
      let all = try await supervisor.processes()
      for (index, p) in all.enumerated() where index % 2 == 0 { try await p.signal(SIGKILL) }
      try await until("all replaced") { try await supervisor.statistics().restarts == 50 }
      for p in all { p.tell("well") }
      try await until("all well") { diaries.allSatisfy { $0.all.last == "well" } }
      for (index, diary) in diaries.enumerated() {
        let told = index % 2 == 0 ? ["up", "signaled(9)", "up", "well"] : ["up", "well"]
        #expect(diary.all == told)
      }
      await supervisor.shutDown()
    }
    #expect(Self.zombies() == [] && Self.descriptors() <= before + 2)
  }

  /// A runtime that ends without ceremony takes its processes with it.
  @Test func runtimeEnds() async throws {
    let diary = Diary()
    var pid: Int32 = 0
    do {
      let runtime = try Runtime()
      let supervisor = try await runtime.supervise {
        try .process("p", .init(Self.worker, arguments: ["deaf"]), handler: diary)
      }
      pid = try #require(try await supervisor.process("p")?.pid())
      await runtime.shutdown(within: .zero)
    }
    #expect(!Self.isAlive(pid) && Self.zombies() == [])
  }
}
