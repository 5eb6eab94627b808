import Aloft
import Foundation

/// A server for the robustness tests, in a process of its own, so that its descriptors, memory and
/// threads are its alone.
///
///     robust-helper [loops=1] [max=1024] [frame=0] [stall=0] [mode=echo|push|linger]
///
/// Says `port N`, then obeys lines: `stats` answers one line of `key=value` words, `limit N` lowers
/// the descriptor limit to what is held and N more, `unlimit` puts it back. When its input ends it
/// shuts down and says `end` with the same words.
@main
struct RobustHelper {
  static func main() async throws {
    // The disposition that a bare process has: a write to a reset peer must not end it.
    signal(SIGPIPE, SIG_DFL)
    let words = Words(CommandLine.arguments.dropFirst().joined(separator: " "))
    // What a process opens once, for its event loops and its clock, is no leak.
    try await Runtime().shutdown(within: .zero)
    try await Task.sleep(for: .milliseconds(1))
    let before = Resources()
    let counts = Counts()
    var shape = ConnectionOptions()
    if let most = words["frame"] { shape.framing = .lengthPrefixed(max: most) }
    if let stall = words["stall"] { shape.writeStallTimeout = .milliseconds(stall) }
    if words.text("mode") == "push" { shape.writeQueueMax = 128 << 10 }
    let runtime = try Runtime(
      .init(eventLoops: words["loops"] ?? 1, connectionsMax: words["max"] ?? 1_024))
    let mode = Server.Mode(rawValue: words.text("mode") ?? "echo") ?? .echo
    let listener = try await runtime.listen(
      on: .init("127.0.0.1", 0), options: shape, handler: Server(mode, counts))
    say("port \(listener.address.port ?? 0)")
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(7), &limit)
    while let line = readLine() {
      let order = line.split(separator: " ")
      switch order.first {
      case "stats": say(counts.text + " " + describe(runtime.statistics) + " " + Resources().text)
      case "limit":
        var lower = limit
        lower.rlim_cur = rlim_t(Resources().descriptors + (Int(order[1]) ?? 0))
        say(setrlimit(__rlimit_resource_t(7), &lower) == 0 ? "ok" : "failed")
      case "unlimit": say(setrlimit(__rlimit_resource_t(7), &limit) == 0 ? "ok" : "failed")
      default: say("what?")
      }
    }
    let threads = await threadIDs(of: runtime)
    await runtime.shutdown(within: .milliseconds(500))
    let left = threads.filter { access("/proc/self/task/\($0)", F_OK) == 0 }
    let after = Resources()
    say(
      "end " + counts.text + " threadsLeft=\(left.count)"
        + " descriptorsLeft=\(after.descriptors - before.descriptors)"
        + " left=\(after.names.subtracting(before.names).sorted().joined(separator: ","))")
  }

  /// The system's names of the loops' threads.
  static func threadIDs(of runtime: Runtime) async -> [Int] {
    var threads: [Int] = []
    for loop in runtime.eventLoops {
      // A link to "PID/task/TID".
      let thread = try? await loop.run {
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self")
      }
      if let name = thread?.split(separator: "/").last, let id = Int(name) { threads.append(id) }
    }
    return threads
  }

  static func describe(_ s: Statistics) -> String {
    "accepted=\(s.accepted) refused=\(s.refused) open=\(s.open) bytes=\(s.bytesReceived)"
  }

  static func say(_ line: String) {
    print(line)
    fflush(nil)
  }
}

/// `key=value` words of a line.
struct Words {
  private var values: [Substring: Substring] = [:]

  init(_ line: String) {
    for word in line.split(separator: " ") {
      let parts = word.split(separator: "=", maxSplits: 1)
      if parts.count == 2 { values[parts[0]] = parts[1] }
    }
  }

  subscript(key: Substring) -> Int? { values[key].flatMap { Int($0) } }
  func text(_ key: Substring) -> String? { values[key].map(String.init) }
}

/// What the process holds.
struct Resources {
  var descriptors = 0
  var resident = 0
  /// Each descriptor's number, and what it is.
  var names: Set<String> = []

  init() {
    // One of those listed is the listing's own.
    let held = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
    descriptors = (held?.count ?? 0) - 1
    for name in held ?? [] {
      let target = try? FileManager.default.destinationOfSymbolicLink(
        atPath: "/proc/self/fd/\(name)")
      if let target { names.insert("\(name):\(target)") }
    }
    let status = (try? String(contentsOfFile: "/proc/self/smaps_rollup", encoding: .utf8)) ?? ""
    let words = status.split(whereSeparator: \.isWhitespace)
    if let at = words.firstIndex(of: "Rss:") { resident = (Int(words[at + 1]) ?? 0) << 10 }
  }

  var text: String { "descriptors=\(descriptors) resident=\(resident)" }
}
