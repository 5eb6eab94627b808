import Foundation

/// The report as one page that needs nothing else: tables, and bars of ours beside the others.
struct HTMLPage {
  var report: Report
  var heading: String
  var scenarios: [any Scenario.Type]

  func text() -> String {
    let rows = report.rows
    let sections = scenarios.compactMap { scenario -> String? in
      let own = rows.filter { $0.figure.scenario == scenario.id }
      return own.isEmpty ? nil : section(scenario, own)
    }
    return """
      <!doctype html>
      <html lang="en">
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>Aloft: the stress test</title>
      <style>\(Self.style)</style>
      <h1>Aloft: the stress test</h1>
      <pre>\(Self.escaped(heading))</pre>
      <pre>\(Self.escaped(report.verdict(rows)))</pre>
      \(sections.joined(separator: "\n"))
      </html>

      """
  }

  private func section(_ scenario: any Scenario.Type, _ rows: [Report.Row]) -> String {
    var configs: [String] = []
    for row in rows where !configs.contains(row.figure.config) { configs.append(row.figure.config) }
    let parts = configs.map { config in
      let here = rows.filter { $0.figure.config == config }
      return "<h3>\(Self.escaped(config))</h3>\n" + plots(here) + table(here)
    }
    return "<section><h2>\(scenario.id) \(Self.escaped(scenario.title))</h2>\n"
      + parts.joined(separator: "\n") + "</section>"
  }

  // MARK: Bars

  /// One bar of a plot.
  private struct Bar {
    var name: String
    var kind: String
    var value: Double
    var runs: [Double] = []
  }

  /// A plot for each figure that somebody else has too.
  private func plots(_ rows: [Report.Row]) -> String {
    var names: [String] = []
    for row in rows where Self.isPlotted(row.figure.figure) && !names.contains(row.figure.figure) {
      names.append(row.figure.figure)
    }
    let all = names.map { name in plot(name, rows.filter { $0.figure.figure == name }) }
    return "<div class=plots>" + all.joined() + "</div>\n"
  }

  private static func isPlotted(_ name: String) -> Bool {
    let endings = ["_per_s", "p50_us", "p99_us", "rss_bytes_per_connection", "us_per_op", "_ns"]
    return endings.contains { name.hasSuffix($0) } && !name.hasPrefix("load_")
  }

  private func plot(_ name: String, _ rows: [Report.Row]) -> String {
    var bars = rows.map { row in
      Bar(
        name: row.figure.system, kind: row.figure.system == report.system ? "ours" : "other",
        value: row.median, runs: row.values)
    }
    guard let unit = rows.first?.figure.unit else { return "" }
    let expected = expectations.first { $0.covers(rows[0].figure) }
    for (name, value) in [("Erlang/OTP", expected?.otp), ("seed's log", expected?.seed)] {
      if let value { bars.append(Bar(name: name, kind: "anchor", value: value)) }
    }
    let scale = bars.flatMap { $0.runs + [$0.value] }.max() ?? 0
    guard bars.count > 1, scale > 0 else { return "" }
    return "<figure><figcaption>\(Self.escaped(name))</figcaption>"
      + bars.map { Self.bar($0, scale: scale, unit: unit) }.joined() + "</figure>"
  }

  /// The bar is the median; a tick stands for each run.
  private static func bar(_ bar: Bar, scale: Double, unit: String) -> String {
    func percent(_ value: Double) -> String {
      String(format: "%.1f%%", max(0, value) / scale * 100)
    }
    let ticks = bar.runs.count > 1 ? bar.runs.map { "<i style='left:\(percent($0))'></i>" } : []
    return "<div class=row><span>\(escaped(bar.name))</span><div class=track>"
      + "<div class='bar \(bar.kind)' style='width:\(percent(bar.value))'></div>"
      + ticks.joined() + "</div><b>\(escaped(Report.number(bar.value, unit)))</b></div>"
  }

  // MARK: Tables

  private func table(_ rows: [Report.Row]) -> String {
    let ours = rows.filter { $0.figure.system == report.system }
    guard !ours.isEmpty else { return "" }
    let head = ["", "figure", "ours", "spread", "seed", "OTP", "bar", "others"]
    let lines = ours.map { row -> String in
      let expected = expectations.first { $0.covers(row.figure) }
      let met = Report.isMet(row, expected, among: rows)
      let unit = row.figure.unit
      let cells = [
        met.map { $0 ? "pass" : "MISS" } ?? "", row.figure.figure,
        Report.number(row.median, unit),
        row.values.count > 1 ? Report.percent(Statistics.spreadPercent(row.values)) : "",
        expected?.seed.map { Report.number($0, unit) } ?? "",
        expected?.otp.map { Report.number($0, unit) } ?? "",
        expected?.bar.map { Report.bar($0, unit) } ?? "", expected?.anchors ?? "",
      ]
      let mark = met.map { $0 ? " class=pass" : " class=miss" } ?? ""
      return "<tr\(mark)>" + cells.map { "<td>\(Self.escaped($0))</td>" }.joined() + "</tr>"
    }
    return "<details><summary>all figures</summary><table><tr>"
      + head.map { "<th>\($0)</th>" }.joined() + "</tr>\n" + lines.joined(separator: "\n")
      + "</table></details>\n"
  }

  static func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
      .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "'", with: "&#39;")
  }

  private static let style = """
    :root { color-scheme: light dark; --ours: #2a78d6; --other: #8a94a3; --anchor: #c9a227; }
    body { font: 15px/1.45 system-ui, sans-serif; max-width: 68rem; }
    body { margin: 2rem auto; padding: 0 1rem; }
    pre { white-space: pre-wrap; font-size: 13px; opacity: .8; }
    h3 { font-size: 15px; margin: 1.4rem 0 .4rem; }
    .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); }
    .plots { gap: 1rem; }
    figure { margin: 0; } figcaption { font-weight: 600; font-size: 13px; }
    .row { display: grid; grid-template-columns: 6.5rem 1fr 6rem; gap: .5rem; font-size: 13px; }
    .row b { font-variant-numeric: tabular-nums; font-weight: 500; }
    .track { position: relative; align-self: center; height: .8rem; }
    .bar { height: 100%; border-radius: 2px; min-width: 1px; }
    .bar.ours { background: var(--ours); } .bar.other { background: var(--other); }
    .bar.anchor { background: var(--anchor); }
    .track i { position: absolute; top: 0; width: 1px; height: 100%; background: currentColor; }
    table { border-collapse: collapse; font-size: 13px; margin: .4rem 0; }
    td, th { text-align: right; padding: .1rem .6rem; border-bottom: 1px solid #8884; }
    td:nth-child(2), td:last-child { text-align: left; }
    .pass td:first-child { color: #1a8a4a; } .miss td:first-child { color: #c0392b; }
    """
}
