import Foundation

/// What the `micro` bench measures ours beside: programs that `script/peers` compiles, each against
/// a library of the system.
struct MicroPeer {
  enum Kind { case table, queue }

  /// The system's name in the figures.
  var name: String
  var program: String
  var kind: Kind

  static let all = [
    MicroPeer(name: "liburcu", program: "urcu-hash", kind: .table),
    MicroPeer(name: "ck", program: "ck-hash", kind: .table),
    MicroPeer(name: "tbb", program: "tbb-hash", kind: .table),
    MicroPeer(name: "ck", program: "ck-ring", kind: .queue),
    MicroPeer(name: "tbb", program: "tbb-queue", kind: .queue),
    MicroPeer(name: "moodycamel", program: "moodycamel-queue", kind: .queue),
  ]

  func path(on machine: Machine) -> String {
    "\(machine.checkout ?? ".")/.build/peers/\(program)"
  }

  func isInstalled(on machine: Machine) -> Bool {
    FileManager.default.isExecutableFile(atPath: path(on: machine))
  }
}

/// A system of the `micro` bench, in a process of its own: ours is this program, started again.
///
/// All speak the same few lines: `ready` and what filling cost, then for each line with the name of
/// a measurement one with nanoseconds.
final class MicroChild {
  let system: String
  /// Nanoseconds an insertion, where there was anything to insert.
  let filling: Double?
  private let child: Child
  /// How long it will still be waited for, over all that is asked of it.
  private var patience: Duration

  /// `words` say what is measured, as in the peers' headers; the cores are added.
  init(
    _ system: String, path: String, words: [String], machine: Machine, patience: Duration
  ) throws {
    self.system = system
    let cores = [machine.cores.first!, machine.cores.last!].map(String.init)
    child = try Child(path: path, arguments: words + cores, cpu: nil)
    let begin = ContinuousClock.now
    let line = try child.readLine(within: patience).split(separator: " ")
    self.patience = patience - begin.duration(to: .now)
    guard line.first == "ready" else {
      throw BenchError("\(child.name) said `\(line)` instead of `ready`")
    }
    filling = line.count > 1 ? Double(line[1]) : nil
  }

  func measure(_ what: String) throws -> Double {
    try child.writeLine(what)
    let begin = ContinuousClock.now
    let line = try child.readLine(within: patience)
    patience -= begin.duration(to: .now)
    guard let nanoseconds = Double(line), nanoseconds > 0 else {
      throw BenchError("\(child.name) answered `\(line)` to `\(what)`")
    }
    return nanoseconds
  }
}
