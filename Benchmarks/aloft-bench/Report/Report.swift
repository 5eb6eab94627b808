import Foundation

/// The report at the end, in the order of the seed's log: the seed's figure, Erlang/OTP's, ours,
/// the ratio to the stronger of the two, and whether the bar is met.
struct Report {
  var figures: [Figure]
  /// The system whose figures are held against the bars.
  var system: String
  var runs: Int

  /// All runs of one figure.
  struct Row {
    var figure: Figure
    var values: [Double]
    var median: Double { Statistics.median(values) }
  }

  var rows: [Row] {
    var order: [String] = []
    var byName: [String: Row] = [:]
    for figure in figures {
      let name = [figure.system, figure.scenario, figure.config, figure.figure]
        .joined(separator: "\u{1}")
      if byName[name] == nil { order.append(name) }
      byName[name, default: Row(figure: figure, values: [])].values.append(figure.value)
    }
    return order.compactMap { byName[$0] }
  }

  /// Faults that were counted: any of them makes the run a failure.
  var faults: [Figure] {
    figures.filter { accountingFigures.contains($0.figure) && $0.value != 0 }
  }

  func text(_ listed: [any Scenario.Type]) -> String {
    let rows = rows
    var text = ""
    for (number, scenario) in listed.enumerated() {
      text += "\n[\(number + 1)/\(listed.count)] \(scenario.id)  \(scenario.title)\n"
      let own = rows.filter { $0.figure.scenario == scenario.id }
      if own.isEmpty { text += "  no figures\n" }
      text += section(own)
    }
    text += "\n" + verdict(rows)
    return text
  }

  private func section(_ rows: [Row]) -> String {
    var configs: [String] = []
    for row in rows where configs.last != row.figure.config { configs.append(row.figure.config) }
    return configs.map { config in
      let here = rows.filter { $0.figure.config == config }
      let ours = here.filter { $0.figure.system == system }
      return "  \(config)\n" + (ours.isEmpty ? "" : Self.header)
        + ours.filter { !Self.isCleanCount($0) }.map { line($0, among: rows) }.joined()
        + cleanCounts(ours) + peers(here)
    }.joined()
  }

  /// A machine that is left alone stays well below this.
  private static let stolenMax = 5.0

  /// A count of faults that is 0, as promised: named on one line with the others.
  private static func isCleanCount(_ row: Row) -> Bool {
    accountingFigures.contains(row.figure.figure) && row.values.allSatisfy { $0 == 0 }
      && !expectations.contains { $0.covers(row.figure) }
  }

  private func cleanCounts(_ rows: [Row]) -> String {
    let names = rows.filter(Self.isCleanCount).map(\.figure.figure)
    return names.isEmpty ? "" : "       all 0: \(names.joined(separator: ", "))\n"
  }

  /// What ran beside ours, a line each: all of its figures are in the `--json` file.
  private func peers(_ rows: [Row]) -> String {
    var systems: [String] = []
    for row in rows where row.figure.system != system && !systems.contains(row.figure.system) {
      systems.append(row.figure.system)
    }
    return systems.map { peer in
      let all = rows.filter { $0.figure.system == peer }
      let main = all.filter { Self.peerFigures.contains($0.figure.figure) }
      let shown = main.isEmpty ? all : main
      let words = shown.map(Self.words)
      return "       beside it, \(peer): \(words.joined(separator: ", "))\n"
    }.joined()
  }

  private static func words(_ row: Row) -> String {
    let number = number(row.median, row.figure.unit)
    guard row.figure.figure == MicroSamples.leftOutAfter else {
      return "\(row.figure.figure) \(number)"
    }
    return "left out, for it had not come to an end after \(number)"
  }

  private static let peerFigures: Set<String> = [
    "ops_per_s", "p50_us", "p99_us", "server_cpu_us_per_op", "stolen_pct",
  ]

  private static let header = columns(
    ["", "figure", "ours", "spread", "seed", "OTP", "ratio", "bar"], last: "others")

  private func line(_ row: Row, among rows: [Row]) -> String {
    let figure = row.figure
    let expected = expectations.first { $0.covers(figure) }
    let isOurs = figure.system == system
    return Self.columns(
      [
        isOurs ? mark(row, expected, among: rows) : "", figure.figure,
        Self.number(row.median, figure.unit),
        row.values.count > 1 ? Self.percent(Statistics.spreadPercent(row.values)) : "",
        expected?.seed.map { Self.number($0, figure.unit) } ?? "-",
        expected?.otp.map { Self.number($0, figure.unit) } ?? "-",
        Self.ratio(row.median, expected),
        expected?.bar.map { Self.bar($0, figure.unit) } ?? "",
      ], last: expected?.anchors ?? "")
  }

  private func mark(_ row: Row, _ expected: Expectation?, among rows: [Row]) -> String {
    guard let met = Self.isMet(row, expected, among: rows) else { return "" }
    return met ? "pass" : "MISS"
  }

  static func isMet(_ row: Row, _ expected: Expectation?, among rows: [Row]) -> Bool? {
    guard let bar = expected?.bar else { return nil }
    guard case .asMuchAs(let name) = bar else { return bar.isMet(by: row.median) }
    let other = rows.first {
      $0.figure.figure == name && $0.figure.config == row.figure.config
        && $0.figure.scenario == row.figure.scenario && $0.figure.system == row.figure.system
    }
    return other.map { row.median >= $0.median }
  }

  func verdict(_ rows: [Row]) -> String {
    let verdicts = rows.filter { $0.figure.system == system }.compactMap { row in
      Self.isMet(row, expectations.first { $0.covers(row.figure) }, among: rows)
    }
    let met = verdicts.count { $0 }
    var text = "Bars met: \(met) of \(verdicts.count) that were measured.\n"
    for fault in faults {
      let value = Self.number(fault.value, fault.unit)
      text +=
        "FAULT: \(fault.system) \(fault.scenario) \(fault.config): \(fault.figure) = "
        + "\(value), promised 0 (run \(fault.run))\n"
    }
    let stolen = rows.filter { $0.figure.figure == "stolen_pct" }.map(\.median).max() ?? 0
    if stolen > Self.stolenMax {
      text += "A NOISY RUN: other processes took up to \(Self.percent(stolen)) of the cores.\n"
    }
    text += faults.isEmpty ? "Everything is accounted for: no fault was counted.\n" : ""
    return text
  }

  // MARK: Text

  private static func columns(_ words: [String], last: String) -> String {
    let widths = [5, 34, 12, 8, 12, 12, 9, 13]
    let padded = zip(words, widths).enumerated().map { index, column in
      let (word, width) = column
      let space = String(repeating: " ", count: max(1, width - word.count))
      return index < 2 ? word + space : space + word
    }
    var line = "  " + padded.joined() + "  " + last
    while line.last == " " { line.removeLast() }
    return line + "\n"
  }

  /// Three digits, and the unit where it is not plain from the figure's name.
  static func number(_ value: Double, _ unit: String) -> String {
    let size = abs(value)
    let text =
      switch size {
      case 1e9...: String(format: "%.3g G", value / 1e9)
      case 1e6...: String(format: "%.3f M", value / 1e6)
      case 1e5...: String(format: "%.1f K", value / 1e3)
      case _ where value == value.rounded(): String(Int(value))
      case 100...: String(format: "%.0f", value)
      default: String(format: "%.2f", value)
      }
    return unit.count <= 3 && unit != "1/s" ? "\(text) \(unit)" : text
  }

  static func percent(_ value: Double) -> String { String(format: "%.1f%%", value) }

  static func bar(_ bar: Expectation.Bar, _ unit: String) -> String {
    switch bar {
    case .atLeast(let value): ">= \(number(value, unit))"
    case .atMost(let value): "<= \(number(value, unit))"
    case .exactly(let value): "= \(number(value, unit))"
    case .asMuchAs: "all"
    }
  }

  /// How many times ours is the stronger of the two: OTP's where it was measured.
  private static func ratio(_ value: Double, _ expected: Expectation?) -> String {
    guard let other = expected?.otp ?? expected?.seed, other != 0 else { return "" }
    return String(format: "%.3gx", value / other)
  }
}
