import Foundation

/// Nodes that are measured: ours, and others' programs that speak the same lines.
enum NodeKind: String, CaseIterable {
  case aloft, zeromq, otp

  func isInstalled(on machine: Machine) -> Bool {
    switch self {
    case .aloft: true
    case .zeromq: FileManager.default.isExecutableFile(atPath: path(on: machine))
    case .otp:
      FileManager.default.isExecutableFile(atPath: path(on: machine))
        && FileManager.default.fileExists(atPath: peers(machine) + "/erlang_node.beam")
    }
  }

  private func peers(_ machine: Machine) -> String { (machine.checkout ?? ".") + "/.build/peers" }

  func path(on machine: Machine) -> String {
    switch self {
    case .aloft: machine.executable
    case .zeromq: peers(machine) + "/zmq-node"
    case .otp: "/usr/bin/erl"
    }
  }

  /// No epmd: Erlang's nodes have one port, each on an address of its own.
  func arguments(_ index: Int, machine: Machine, data: String, seed: String?) -> [String] {
    switch self {
    case .aloft:
      return ["role-node", "n\(index)", "--data", "\(data)/n\(index)"]
        + (seed.map { ["--seed", $0] } ?? [])
    case .zeromq: return []
    case .otp:
      return [
        "-noshell", "-pa", peers(machine), "-start_epmd", "false", "-erl_epmd_port", "7370",
        "-kernel", "inet_dist_use_interface", "{127,0,9,\(index + 1)}",
        "-name", "n\(index)@127.0.9.\(index + 1)", "-setcookie", "bench", "-run", "erlang_node",
        "main", "0",
      ]
    }
  }
}

/// A node in a process of its own. Lines that come by themselves are kept until they are asked for.
final class NodeProcess {
  let child: Child
  let index: Int
  let startedAt: UInt64
  private(set) var bootedAt: UInt64 = 0
  private(set) var address = ""
  private var news: [[Substring]] = []

  /// - Parameters:
  ///   - options: more of the node's own.
  ///   - prefix: a program that runs it, and its arguments.
  init(
    _ kind: NodeKind, index: Int, machine: Machine, data: String, seed: String?, cpu: Int?,
    options: [String] = [], prefix: [String] = []
  ) throws {
    self.index = index
    startedAt = monotonicNow()
    let own = kind.arguments(index, machine: machine, data: data, seed: seed) + options
    let words = prefix + [kind.path(on: machine)] + own
    child = try Child(path: words[0], arguments: Array(words.dropFirst()), cpu: cpu)
  }

  func waitUntilReady() throws {
    if !address.isEmpty { return }
    address = String(try answer("ready", within: .seconds(30))[1])
  }

  /// The next line that is no news.
  private func answer(_ word: String, within limit: Duration) throws -> [Substring] {
    let end = ContinuousClock.now + limit
    while true {
      let line = try child.readLine(within: end - .now)
      let words = line.split(separator: " ")
      switch words.first {
      case "booted": bootedAt = UInt64(words[1]) ?? 0
      case "up", "dead", "accepting", "slots": news.append(words)
      case "stopped": throw BenchError("\(child.name): \(line)")
      default:
        guard words.first == Substring(word) else {
          throw BenchError("\(child.name) said `\(line)` instead of `\(word)`")
        }
        return words
      }
    }
  }

  /// Without a line it only waits for the answer.
  func order(_ line: String?, _ word: String, within limit: Duration = .seconds(60)) throws
    -> [Substring]
  {
    if let line { try child.writeLine(line) }
    return try answer(word, within: limit)
  }

  /// The time of the first news of this kind, past or to come, that `isIt` says yes to.
  func time(of word: String, within limit: Duration, _ isIt: (Int) -> Bool) throws -> UInt64 {
    let end = ContinuousClock.now + limit
    while true {
      if let found = news.first(where: { $0[0] == Substring(word) && isIt(Int($0[1]) ?? 0) }) {
        return UInt64(found[2]) ?? 0
      }
      let words = try child.readLine(within: end - .now).split(separator: " ")
      switch words.first {
      case "booted": bootedAt = UInt64(words[1]) ?? 0
      case "ready": address = String(words[1])
      case "up", "dead", "accepting", "slots": news.append(words)
      default: throw BenchError("\(child.name) said `\(words.joined(separator: " "))`")
      }
    }
  }

  /// The time of the first news of this kind that has come and that `isIt` says yes to.
  func firstNews(of word: String, _ isIt: (Int) -> Bool) -> UInt64? {
    news.first { $0[0] == Substring(word) && isIt(Int($0[1]) ?? 0) }.flatMap { UInt64($0[2]) }
  }

  /// What stands behind the time, by the number.
  func texts(of word: String) -> [(Int, String)] {
    news.filter { $0[0] == Substring(word) && $0.count > 3 }.map {
      (Int($0[1]) ?? 0, String($0[3]))
    }
  }

  func numbers(of word: String) -> [Int] {
    news.filter { $0[0] == Substring(word) }.map { Int($0[1]) ?? 0 }
  }

  func forgetNews() { news = [] }
  func newsCount(of word: String, _ isIt: (Int) -> Bool = { _ in true }) -> Int {
    news.count { $0[0] == Substring(word) && isIt(Int($0[1]) ?? 0) }
  }
}

/// A directory for nodes' data, taken away at the end.
final class ScratchDirectory {
  let path: String

  init() throws {
    let template =
      FileManager.default.temporaryDirectory.path + "/aloft-bench-"
      + String(repeating: "X", count: 6)
    var bytes = Array(template.utf8CString)
    guard mkdtemp(&bytes) != nil else {
      throw BenchError("no directory in \(template): \(String(cString: strerror(errno)))")
    }
    path = String(decoding: bytes.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
