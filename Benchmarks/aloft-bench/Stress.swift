import ArgumentParser
import CBenchLoad
import Foundation

/// Runs the scenarios, writes the figures, and ends with the report.
struct Stress: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs the scenarios of the stress test, for real.",
    discussion: """
      Exit status: 0 when everything is accounted for, 1 when something was lost, duplicated or
      unaccounted for, or a scenario could not be run. A missed bar is reported, and is no failure.
      """)

  @Option(help: "Scenarios by number or name, such as 5,10 or micro-inbox.")
  var only: String?
  @Flag(help: "Every scenario at least ten times smaller; all of it within 45 s.")
  var quick = false
  @Option(help: "How often to run each scenario: the report gives median and spread.")
  var runs = 1
  @Option(help: "A file for the figures, one line of JSON each.")
  var json: String?
  @Option(help: "A file for the report as a page with plots, which needs nothing else.")
  var html: String?
  @Option(help: .hidden)
  var server = ServerKind.aloft

  func validate() throws {
    guard (1...100).contains(runs) else { throw ValidationError("--runs wants 1 to 100") }
    _ = try chosen()
  }

  func run() throws {
    bench_children_guard()
    let machine = Machine.read()
    let progress = Progress()
    let writer = try json.map { try FigureWriter(path: $0) }
    let heading = Self.heading(machine, quick: quick, runs: runs)
    print(heading)
    fflush(nil)
    let listed = try chosen()
    var figures: [Figure] = []
    var broken: [String] = []
    for run in 1...runs {
      for scenario in listed {
        let context = RunContext(
          quick: quick, run: run, server: server, machine: machine, progress: progress)
        var measured: [Figure] = []
        do {
          measured = try scenario.init().run(context)
        } catch {
          measured = (error as? PartFailure)?.figures ?? []
          broken.append("\(scenario.id), run \(run): \(error)")
          progress.note("FAILED \(broken.last!)")
        }
        figures += measured
        try writer?.write(measured)
      }
    }
    progress.finish()
    let report = Report(figures: figures, system: server.rawValue, runs: runs)
    print(report.text(listed))
    for text in broken { print("FAILED \(text)") }
    if let html {
      let page = HTMLPage(report: report, heading: heading, scenarios: listed)
      try page.text().write(toFile: html, atomically: true, encoding: .utf8)
    }
    if bench_children_count() > 0 { broken.append("children left") }
    if !broken.isEmpty || !report.faults.isEmpty { throw ExitCode(1) }
  }

  private func chosen() throws -> [any Scenario.Type] {
    guard let only else { return allScenarios }
    let words = only.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    for word in words where !allScenarios.contains(where: { Self.matches($0.id, word) }) {
      throw ValidationError("no scenario `\(word)`")
    }
    return allScenarios.filter { scenario in
      words.contains { Self.matches(scenario.id, $0) }
    }
  }

  private static func matches(_ id: String, _ word: String) -> Bool {
    id == word || id.hasPrefix(word + "-")
  }

  private static func heading(_ machine: Machine, quick: Bool, runs: Int) -> String {
    var text = "aloft-bench stress\(quick ? " --quick" : ""), runs: \(runs)\n\(machine.summary)"
    let plan = SpreadPlan(
      sockets: 100_000, descriptorsMax: machine.descriptorsMax, processesMin: 4)
    if let plan {
      text +=
        "\n100,000 sockets take \(plan.processes) server and \(plan.processes) load "
        + "processes, \(plan.perProcess[0]) sockets each at most, over many 127.1.0.x addresses"
    }
    #if DEBUG
      text += "\nA DEBUG BUILD: build with -c release for figures that count."
    #endif
    return text
  }
}

/// The `--json` file, written as the figures come so that a broken run keeps what it measured.
final class FigureWriter {
  private let file: FileHandle

  init(path: String) throws {
    guard FileManager.default.createFile(atPath: path, contents: nil),
      let file = FileHandle(forWritingAtPath: path)
    else { throw BenchError("can't write \(path)") }
    self.file = file
  }

  func write(_ figures: [Figure]) throws {
    let text = figures.map { $0.jsonLine + "\n" }.joined()
    try file.write(contentsOf: Data(text.utf8))
  }
}
